"""A pipeline's plan for people: what its body would call, in the order of its lines, and what data will decide."""

from __future__ import annotations

from collections.abc import Sequence

from twingraph.cli.console import Line, Span, table
from twingraph.cli.display.final import BLANK
from twingraph.cli.words import plural, printable
from twingraph.core.static_plan import DYNAMIC, StaticNode, StaticPlan


def static_lines(plan: StaticPlan, width: int, takes: Sequence[str]) -> list[Line]:
    calls = [node for node in plan.nodes if node.kind != DYNAMIC]
    lines: list[Line] = [[(printable(plan.name), "bold"), (f"  {plural(len(calls), 'call')} in its body", "dim")]]
    if takes:
        lines += [BLANK, [("inputs", "bold")], *([(f"  {line}", "")] for line in takes)]
    if plan.nodes:
        heads: list[Span] = [(word, "dim") for word in ("node", "component", "where", "after", "when")]
        lines += [BLANK, *table([heads, *(_row(plan, node) for node in plan.nodes)], width, grow=3)]
    for warning in plan.warnings:
        lines += [BLANK, [("note: ", "yellow"), (printable(warning), "")]]
    return lines


def _row(plan: StaticPlan, node: StaticNode) -> list[Span]:
    after = dict.fromkeys(edge.source for edge in plan.edges if edge.target == node.id)
    indent = "  " * (_depth(plan, node) + (node.scope.count("/") + 1 if node.scope else 0))
    dynamic = node.kind == DYNAMIC
    return [
        (indent + printable("…" if dynamic else node.id), "dim" if dynamic else ""),
        (printable(node.component if node.kind in ("task", DYNAMIC) else f"{node.component} ({node.kind})"), "cyan"),
        ("-" if dynamic or node.kind != "task" else node.platform, ""),
        (", ".join(map(printable, after)) or "-", "dim"),
        (_when(node), "yellow" if dynamic else "dim"),
    ]


def _when(node: StaticNode) -> str:
    if node.conditional is None:
        return f"known when it runs ({node.place})" if node.kind == DYNAMIC and node.place else ""
    place = f" ({node.conditional.place})" if node.conditional.place else ""
    return printable(f"{node.conditional.reason}{place}")


def _depth(plan: StaticPlan, node: StaticNode) -> int:
    regions = {one.id: one.region for one in plan.nodes if one.kind == DYNAMIC}
    depth, region = 0, node.region
    while region is not None and depth < len(regions):
        depth, region = depth + 1, regions.get(region)
    return depth
