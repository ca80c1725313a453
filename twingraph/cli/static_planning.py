"""A pipeline's plan for people: what its body would call, in the order of its lines, what data will decide, and what
became of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from twingraph.cli.console import Line, Span, Surface, table
from twingraph.cli.display.final import BLANK
from twingraph.cli.display.tree import tally
from twingraph.cli.words import component_and_kind, face, plural, printable
from twingraph.core.static_plan import DYNAMIC, OverlayRow, StaticNode, StaticPlan
from twingraph.core.statuses import NodeStatus

# What ran in a region is shown up to here, then counted.
_FEW = 5
# A loop that nothing seems to end is followed for many turns.
_MOST_ROWS = 100


def static_lines(plan: StaticPlan, width: int, takes: Sequence[str]) -> list[Line]:
    calls = [node for node in plan.nodes if node.kind != DYNAMIC]
    lines: list[Line] = [[(printable(plan.name), "bold"), (f"  {plural(len(calls), 'call')} in its body", "dim")]]
    if takes:
        lines += [BLANK, [("inputs", "bold")], *([(f"  {line}", "")] for line in takes)]
    if plan.nodes:
        heads: list[Span] = [(word, "dim") for word in ("node", "component", "where", "after", "when")]
        shown = plan.nodes[:_MOST_ROWS]
        lines += [BLANK, *table([heads, *(_row(plan, node) for node in shown)], width, grow=3)]
        if len(plan.nodes) > len(shown):
            lines.append([(f"  … {plural(len(plan.nodes) - len(shown), 'more row')}; --json gives all", "dim")])
    for warning in plan.warnings:
        lines += [BLANK, [("note: ", "yellow"), (printable(warning), "")]]
    return lines


def overlay_lines(plan: StaticPlan, rows: Sequence[OverlayRow], title: str, surface: Surface, width: int) -> list[Line]:
    """Planned laid over actual: what ran as planned, what did not run and why, what came from data."""
    ran = sum(row.what == "ran" for row in rows)
    calls = sum(node.kind != DYNAMIC for node in plan.nodes)
    head: Line = [
        (printable(plan.name), "bold"),
        (f"  {ran:,} of {plural(calls, 'planned call')} ran", "dim"),
        (f"  {title}", "dim"),
    ]
    heads: list[Span] = [(word, "dim") for word in ("  node", "component", "what became of it", "when")]
    lines: list[Line] = [head, BLANK, *table([heads, *_overlaid(plan, rows, surface)], width, grow=3)]
    for warning in plan.warnings:
        lines += [BLANK, [("note: ", "yellow"), (printable(warning), "")]]
    return lines


def _overlaid(plan: StaticPlan, rows: Sequence[OverlayRow], surface: Surface) -> list[list[Span]]:
    """Of what ran in a region, the first few; the rest are counted."""
    lines: list[list[Span]] = []
    more: list[OverlayRow] = []
    for row in [*rows, None]:
        if row is not None and row.what == DYNAMIC and row.planned is None:
            more.append(row)
            continue
        lines += [_overlay_row(plan, one, surface) for one in more[:_FEW]]
        if len(more) > _FEW:
            tell = tally(Counter(NodeStatus(one.status) for one in more[_FEW:] if one.status))
            lines.append([(f"    … {len(more) - _FEW:,} more", "dim"), ("", ""), (tell, "dim"), ("", "")])
        more = []
        if row is not None:
            lines.append(_overlay_row(plan, row, surface))
    return lines


def _overlay_row(plan: StaticPlan, row: OverlayRow, surface: Surface) -> list[Span]:
    node = row.planned
    region = node is not None and node.kind == DYNAMIC
    scope = row.id.count("/")
    depth = scope + (_depth(plan, node) if node is not None else 1 if row.region else 0)
    said, colour = _became(row)
    icon = "~" if region else surface.icon(row.status) if row.status else surface.icon("skipped")
    return [
        (printable(f"{icon} {'  ' * depth}{'' if region else row.id}").rstrip(), colour if row.status else "dim"),
        (printable(row.component), "dim" if region or row.what == "not_run" else "cyan"),
        (said, colour),
        (_when(node) if node is not None and row.what != "ran" else "", "dim"),
    ]


def _became(row: OverlayRow) -> tuple[str, str]:
    if row.planned is not None and row.planned.kind == DYNAMIC:
        return "", "dim"
    if row.status is None:
        return "did not run", "dim"
    word = row.status if row.what != "unplanned" else f"{row.status}, not in the plan"
    return word, "yellow" if row.what == "unplanned" else face(row.status).colour


def _row(plan: StaticPlan, node: StaticNode) -> list[Span]:
    after = dict.fromkeys(edge.source for edge in plan.edges if edge.target == node.id)
    indent = "  " * (_depth(plan, node) + (node.scope.count("/") + 1 if node.scope else 0))
    dynamic = node.kind == DYNAMIC
    return [
        (indent + printable("~" if dynamic else node.id), "dim" if dynamic or node.conditional else ""),
        (printable(_component(node)), "cyan"),
        ("-" if dynamic or node.kind != "task" else node.platform, ""),
        (", ".join(map(printable, after)) or "-", "dim"),
        (_when(node), "yellow" if dynamic else "dim"),
    ]


def _component(node: StaticNode) -> str:
    if node.signal is not None:
        return f"signal {node.signal}"
    return node.component if node.kind == DYNAMIC else component_and_kind(node.component, node.kind, called=True)


def _when(node: StaticNode) -> str:
    if node.conditional is None:
        return printable(f"known when it runs{_place(node.place)}") if node.kind == DYNAMIC else ""
    return printable(f"{node.conditional.reason}{_place(node.conditional.place)}")


def _place(place: str | None) -> str:
    """The file's name is enough to find the line; --json has the whole path."""
    return f" ({place.rpartition('/')[2]})" if place else ""


def _depth(plan: StaticPlan, node: StaticNode) -> int:
    regions = {one.id: one.region for one in plan.nodes if one.kind == DYNAMIC}
    depth, region = 0, node.region
    while region is not None and depth < len(regions):
        depth, region = depth + 1, regions.get(region)
    return depth
