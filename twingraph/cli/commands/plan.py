"""`twingraph plan TARGET`: what would run, where, and what is cached; of an execution, what became of that."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twingraph.cli.app import App
from twingraph.cli.cached_calls import UNKNOWN, is_cached, plan_with, stories_of
from twingraph.cli.console import Line, Span, table
from twingraph.cli.display.final import BLANK
from twingraph.cli.errors import COMPLETED, UsageError
from twingraph.cli.inputs import describe_inputs, inputs_of, plan_of, read_inputs
from twingraph.cli.planning import PlannedNode, planned, unknowns
from twingraph.cli.shown_node import story_document
from twingraph.cli.target import is_pipeline, load_target, made_ready, recorded_target
from twingraph.cli.words import component_and_kind, from_here, plural, printable, seconds
from twingraph.core.execution import CacheStory
from twingraph.core.plan import Plan
from twingraph.core.static_plan import StaticPlan

EXAMPLE = """twingraph plan hello.py
twingraph plan flow.py:wf --json
twingraph plan last"""

_EXECUTION = re.compile(r"last|exec-[0-9a-z]+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="path.py, path.py:name or module:name; or an execution of a pipeline: its id, or last",
    )
    parser.add_argument(
        "-i",
        "--input",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="an input, to see what is cached then, and which way a body goes; JSON when it parses, else text",
    )
    parser.add_argument("-f", "--inputs", metavar="FILE", help="a JSON object of inputs; '-' reads stdin")


def run(args: argparse.Namespace, app: App) -> int:
    if _EXECUTION.fullmatch(args.target) and not Path(args.target).exists():
        return _show_execution(args.target, args, app)
    thing = load_target(args.target)
    if is_pipeline(thing):
        return _show_pipeline(thing, args, app)
    compiled = thing.compile()
    plan: Plan = plan_of(compiled)
    nodes = planned(plan)
    stories, unknown = _foreseen(thing, compiled, plan, args, app)
    if args.json:
        app.print_json(_document(plan, nodes, stories))
    else:
        width = app.console.out.size()[0]
        lines = _lines(plan, nodes, width, getattr(compiled, "checks", {}))
        app.console.say(*lines, *_cache_lines(stories, unknown, width))
    return COMPLETED


def _foreseen(
    thing: Any, compiled: Any, plan: Plan, args: argparse.Namespace, app: App
) -> tuple[Mapping[str, CacheStory], str | None]:
    """Why each node that may use a kept outcome would or would not, as far as it is known; else what is missing."""
    if not any(spec.cache for spec in plan.specs):
        return {}, None
    os.environ["TWINGRAPH_HOME"] = str(app.settings.home)
    inputs = read_inputs(args.input, args.inputs)
    missing = [name for name, about in plan.inputs.items() if about.get("required", True) and name not in inputs]
    if missing:
        return {}, _more_with(missing)
    runtime = app.runtime()
    try:
        return runtime.foresee(compiled, inputs, target=recorded_target(args.target, thing)), None
    finally:
        runtime.close()


def _more_with(missing: list[str]) -> str:
    return f"more of what is cached is known with the inputs {', '.join(missing)}: give them with -i name=value"


def _cache_lines(stories: Mapping[str, CacheStory], unknown: str | None, width: int) -> list[Line]:
    if unknown is not None:
        return [BLANK, [(printable(unknown), "dim")]]
    if not stories:
        return []
    rows: list[list[Span]] = [
        [("", ""), (printable(name), ""), (printable(from_here(story.words)), "dim")] for name, story in stories.items()
    ]
    return [BLANK, [("cache", "bold")], *table(rows, width, grow=2)]


def _show_pipeline(pipeline: Any, args: argparse.Namespace, app: App) -> int:
    """Its body is followed with stand-ins for values; no component is called."""
    from twingraph.cli.static_planning import static_lines

    compiled, inputs = made_ready(pipeline), read_inputs(args.input, args.inputs)
    plan, asked = plan_with(pipeline, compiled, inputs)
    stories = _foreseen_calls(pipeline, compiled, asked, args, app) if is_cached(asked) else {}
    if args.json:
        told = {node: story_document(story) for node, story in stories.items()}
        app.print_json({**plan.to_dict(), **({"cache": told} if told else {})})
    else:
        width = app.console.out.size()[0]
        lines = static_lines(plan, width, inputs_of(compiled))
        missing = [one.name for one in compiled.parameters if one.required and one.name not in inputs]
        app.console.say(*lines, *_cache_lines(stories, None, width))
        if missing and any(story is UNKNOWN for story in stories.values()):
            app.console.say(*_cache_lines({}, _more_with(missing), width))
    return COMPLETED


def _foreseen_calls(
    pipeline: Any, compiled: Any, asked: StaticPlan, args: argparse.Namespace, app: App
) -> Mapping[str, CacheStory]:
    os.environ["TWINGRAPH_HOME"] = str(app.settings.home)
    runtime = app.runtime()
    target = recorded_target(args.target, pipeline)
    try:
        return stories_of(asked, lambda calls: runtime.foresee_calls(compiled, calls, target=target))
    finally:
        runtime.close()


def _show_execution(typed: str, args: argparse.Namespace, app: App) -> int:
    """The plan of its code, laid over what ran."""
    from twingraph.cli.static_planning import overlay_lines
    from twingraph.core.static_plan import ActualNode, overlay

    execution = app.reader.resolve(typed)
    plan = app.reader.plan(execution)
    if plan is None:
        raise UsageError(f"{execution} ran no pipeline: its plan is what was drawn; see: twingraph show {execution}")
    nodes = app.reader.view(execution).nodes
    actual = [
        ActualNode(id=node.id, component=node.component, status=str(node.status), kind=node.kind, place=node.place)
        for node in nodes
    ]
    rows = overlay(plan, actual)
    if args.json:
        app.print_json({"execution_id": execution, "plan": plan.to_dict(), "rows": [row.to_dict() for row in rows]})
    else:
        surface = app.console.out
        app.console.say(*overlay_lines(plan, rows, execution, surface, surface.size()[0]))
    return COMPLETED


def _document(plan: Plan, nodes: list[PlannedNode], stories: Mapping[str, CacheStory]) -> dict[str, Any]:
    return {
        "name": plan.name,
        "inputs": {name: dict(about) for name, about in plan.inputs.items()},
        "nodes": [
            {
                "id": node.id,
                "component": node.component,
                "kind": node.kind,
                "platform": node.platform,
                "wave": node.wave,
                "after": list(node.after),
                "part_of": node.part_of,
                "timeout": node.timeout,
                "max_attempts": node.max_attempts,
                "cache": story_document(stories.get(node.id)),
            }
            for node in nodes
        ],
        "unknown": unknowns(nodes),
    }


def _lines(plan: Plan, nodes: list[PlannedNode], width: int, checks: Mapping[str, Any]) -> list[Line]:
    waves = 1 + max((node.wave for node in nodes), default=-1)
    lines: list[Line] = [
        [(printable(plan.name), "bold"), (f"  {plural(len(nodes), 'node')} in {plural(waves, 'wave')}", "dim")]
    ]
    if plan.inputs:
        known = describe_inputs(plan.inputs, checks)
        lines += [BLANK, [("inputs", "bold")], *([(f"  {line}", "")] for line in known)]
    if nodes:
        heads: list[Span] = [(word, "dim") for word in ("wave", "node", "component", "where", "after")]
        lines += [BLANK, *table([heads, *(_row(node) for node in nodes)], width, grow=4)]
    for unknown in unknowns(nodes):
        lines += [BLANK, [("known when it runs: ", "yellow"), (printable(unknown), "")]]
    return lines


def _row(node: PlannedNode) -> list[Span]:
    extras = [f"up to {node.max_attempts} attempts"] if node.max_attempts > 1 else []
    if node.timeout is not None and node.timeout != 300.0:
        extras.append(f"timeout {seconds(node.timeout)}")
    after = ", ".join(node.after) or "-"
    return [
        (str(node.wave + 1), "dim"),
        ("  " * node.depth + printable(node.id), ""),
        (
            component_and_kind(node.component, node.kind),
            "cyan",
        ),
        (node.platform, ""),
        (after + (f"  {', '.join(extras)}" if extras else ""), "dim"),
    ]
