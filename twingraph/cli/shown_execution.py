"""An execution as lines: its tree, what went in, what came out, what failed, what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from twingraph.cli.app import App
from twingraph.cli.console import Line, Surface, fit
from twingraph.cli.display.final import BLANK, error_lines
from twingraph.cli.display.tree import draw
from twingraph.cli.words import (
    changes_words,
    columns,
    from_here,
    moment_text,
    printable,
    quoted,
    status_word,
    stopped,
    value_text,
)
from twingraph.core.execution import (
    ExecutionView,
    NodeView,
    TreeSnapshot,
)
from twingraph.core.statuses import ExecutionStatus, NodeStatus

_MOST_ROWS = 200
_MOST_VALUE_LINES = 20
_MOST_ERRORS = 3
_MOST_STORIES = 10


def execution_lines(view: ExecutionView, snapshot: TreeSnapshot, app: App) -> list[Line]:
    surface = app.console.out
    width, _ = surface.size()
    record = view.record
    lines: list[Line] = [*_facts(view, width), BLANK]
    lines += draw(snapshot, record.completed_at or app.now(), surface, width=width, height=_MOST_ROWS)
    lines += values_section("inputs", view.inputs, app, surface)
    outputs = view.outputs or ({"output": view.result} if view.result is not None else {})
    lines += values_section("outputs", outputs, app, surface)
    lines += _errors(view)
    lines += _cache(view, width)
    if view.notes:
        lines += [BLANK, [("notes", "bold")], *([(f"  {printable(note)}", "")] for note in view.notes)]
    return [*lines, *_what_next(view)]


def _facts(view: ExecutionView, width: int) -> list[Line]:
    record = view.record
    facts = [
        ("execution", record.id),
        ("workflow", record.workflow_id),
        ("status", status_word(record)),
        ("started", moment_text(record.started_at)),
    ]
    if record.completed_at:
        facts.append(("ended", moment_text(record.completed_at)))
    if record.replay_of:
        facts += [("replay of", record.replay_of), ("what of it", changes_words(view.changes))]
    wide = max(len(name) for name, _ in facts)
    return [fit([(name.ljust(wide) + "  ", "dim"), (printable(text), "")], width) for name, text in facts]


def values_section(title: str, texts: Mapping[str, str | None], app: App, surface: Surface) -> list[Line]:
    """Values by name; a long one is cut with a note of where the rest is."""
    if not texts:
        return []
    width, _ = surface.size()
    lines: list[Line] = [BLANK, [(title, "bold")]]
    for name, text in texts.items():
        lines += _value(printable(name), text, app, width)
    return lines


def _value(name: str, text: str | None, app: App, width: int) -> list[Line]:
    if text is None:
        return [[(f"  {name} = ", "dim"), ("(not kept here)", "dim")]]
    value = app.reader.value(text)
    line = value_text(value)
    if columns(name) + columns(line) + 5 <= width:
        return [[(f"  {name} = ", "dim"), (printable(line), "")]]
    rows = value_text(value, indent=2).split("\n")
    shown: list[Line] = [[(f"  {name} =", "dim")]]
    shown += [fit([("    " + printable(row), "")], width) for row in rows[:_MOST_VALUE_LINES]]
    if len(rows) > _MOST_VALUE_LINES:
        shown.append([(f"    … {len(rows) - _MOST_VALUE_LINES:,} more lines; --json gives all", "dim")])
    elif any(columns(row) + 4 > width for row in rows):
        shown.append([("    … cut to the screen; --json gives all", "dim")])
    return shown


def _cache(view: ExecutionView, width: int) -> list[Line]:
    """Of each node that may use a kept outcome, why it did or did not."""
    stories = ((node, node.cache(False)) for node in view.nodes)
    told = list(islice(((node, story) for node, story in stories if story is not None), _MOST_STORIES + 1))
    if not told:
        return []
    shown = told[:_MOST_STORIES]
    wide = max(len(printable(node.id)) for node, _ in shown)
    lines: list[Line] = [BLANK, [("cache", "bold")]]
    for node, story in shown:
        lines.append(
            fit([(f"  {printable(node.id).ljust(wide)}  ", ""), (printable(from_here(story.words)), "dim")], width)
        )
    if len(told) > _MOST_STORIES:
        lines.append([("  …", "dim")])
    return lines


def _errors(view: ExecutionView) -> list[Line]:
    failed = [node for node in view.nodes if node.status is NodeStatus.FAILED and node.error is not None]
    cause = view.record.error.node_id if view.record.error else None
    # A container that failed says only that an item did; the item itself says why.
    holders = {node.container for node in failed}
    leaves = [node for node in failed if node.id not in holders]
    leaves.sort(key=lambda node: node.id != cause)
    lines: list[Line] = []
    for node in leaves[:_MOST_ERRORS]:
        lines += [BLANK, _error_title(node)]
        if node.error is not None:
            lines += error_lines(node.error)
    if len(leaves) > _MOST_ERRORS:
        lines += [BLANK, [(f"  … {len(leaves) - _MOST_ERRORS:,} more nodes failed", "dim")]]
    if not leaves and view.record.error is not None:
        lines += [BLANK, [("error", "bold")], *error_lines(view.record.error)]
    return lines


def _error_title(node: NodeView) -> Line:
    attempts = f" after {len(node.attempts)} attempts" if len(node.attempts) > 1 else ""
    return [("error", "bold"), (" in ", ""), (printable(node.id), "bold"), (attempts, "")]


def _what_next(view: ExecutionView) -> list[Line]:
    record = view.record
    steps: list[tuple[str, str]] = []
    if stopped(record):
        steps.append(("go on with it:", f"twingraph resume {record.id}"))
    if record.status is ExecutionStatus.FAILED:
        steps.append(("after a fix, go on:", f"twingraph resume {record.id} --code current"))
        if record.error and record.error.node_id:
            steps.append(("the node:", f"twingraph show {record.id} --node {quoted(record.error.node_id)}"))
    if not steps:
        return []
    wide = max(len(label) for label, _ in steps)
    return [BLANK, *([(f"{label.ljust(wide)}  ", "dim"), (command, "")] for label, command in steps)]
