"""The last words about a run: its result, or its error and what to do next."""

from __future__ import annotations

from typing import Protocol

from twingraph.cli.console import Line, Surface
from twingraph.cli.display.tree import error_line
from twingraph.cli.userframes import strip
from twingraph.cli.words import between, columns, face, plural, preview, printable, quoted, seconds, status_word
from twingraph.core.execution import ExecutionRecord, ExecutionView, NodeView
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import ExecutionStatus, NodeStatus

_MOST_FAILURES = 5
BLANK: Line = ()


class Values(Protocol):
    def value(self, text: str) -> object: ...


def last_lines(view: ExecutionView, values: Values, surface: Surface, *, with_result: bool) -> list[Line]:
    """What stands below the run when it is over. `with_result`: the result is told here, shortly."""
    record = view.record
    width, _ = surface.size()
    if record.status is ExecutionStatus.COMPLETED:
        return _completed(view, values, surface, width if with_result else 0)
    head = [_head(record, surface)]
    if record.status is ExecutionStatus.FAILED:
        return head + _failed(view, values, width)
    if record.status is ExecutionStatus.CANCELLED:
        return [*head, [("  look at it: twingraph show last", "dim")]]
    return [*head, [(f"  go on with it: twingraph resume {record.id}", "")]]


def _head(record: ExecutionRecord, surface: Surface) -> Line:
    progress = record.progress
    spent = seconds(between(record.started_at, record.completed_at))
    done = f"{progress.completed_nodes:,} of {plural(progress.total_nodes, 'node')} completed"
    return [
        (f"{surface.icon(record.status)} ", face(record.status).colour),
        (printable(record.name), "bold"),
        (f" {status_word(record)}", face(record.status).colour),
        (f"  {done}" + (f" in {spent}" if record.completed_at else ""), "dim"),
    ]


def _completed(view: ExecutionView, values: Values, surface: Surface, width: int) -> list[Line]:
    record = view.record
    spent = seconds(between(record.started_at, record.completed_at))
    tail = f"  {plural(record.progress.total_nodes, 'node')} in {spent} · twingraph show last"
    kept = sum(node.reused_from is not None for node in view.nodes)
    if kept:
        tail = f"  {plural(record.progress.total_nodes, 'node')} in {spent}, {kept:,} kept · twingraph show last"
    name = printable(record.name)
    line: list[tuple[str, str]] = [
        (f"{surface.icon(record.status)} ", "green"),
        (name, "bold"),
        (" completed", "green"),
    ]
    failed = record.progress.failed_nodes
    if failed:
        line.append((f", {failed:,} failed", "red"))
    if width and view.result is not None:
        room = width - columns(name) - len(tail) - 18
        line.append((f" → {preview(values.value(view.result), max(room, 16))}", ""))
    return [[*line, (tail, "dim")]]


def _failed(view: ExecutionView, values: Values, width: int) -> list[Line]:
    record = view.record
    error = record.error
    lines: list[Line] = []
    if error is None:
        return [[("  look at it: twingraph show last", "")]]
    node = next((node for node in view.nodes if node.id == error.node_id), None)
    if node is not None:
        lines += [BLANK, *_where(view, node, error, values, width)]
    lines += [BLANK, *error_lines(error)]
    others = [n.id for n in view.nodes if n.status is NodeStatus.FAILED and n.id != error.node_id and not n.container]
    if others:
        more = f" and {len(others) - _MOST_FAILURES} more" if len(others) > _MOST_FAILURES else ""
        lines += [BLANK, [(f"  also failed: {', '.join(others[:_MOST_FAILURES])}{more}", "")]]
    return [*lines, BLANK, *_what_next(error)]


def _where(view: ExecutionView, node: NodeView, error: ErrorRecord, values: Values, width: int) -> list[Line]:
    attempt = error.attempt or len(node.attempts) or 1
    of = f" ({node.component})" if node.component != node.id else ""
    lines: list[Line] = [[("  node ", "dim"), (printable(node.id), "bold"), (f"{of}, attempt {attempt}", "")]]
    return lines + [
        [
            (f"  given {printable(name)} = ", "dim"),
            (preview(values.value(text), max(width - columns(name) - 12, 20)), ""),
        ]
        for name, text in view.given(node.id).items()
    ]


def error_lines(error: ErrorRecord) -> list[Line]:
    """The author's traceback, or the message where there is none."""
    text = strip(error.traceback).rstrip() if error.traceback else error_line(error.error_type, error.message)
    rows = [printable(row) for row in text.split("\n")]
    lines: list[Line] = [
        [(f"  {row}", "red" if row and not row.startswith((" ", "Traceback")) else "")] for row in rows
    ]
    if error.code != "user_error":
        lines.append(
            [(f"  code {error.code}" + (f", exit {error.exit_code}" if error.exit_code is not None else ""), "dim")]
        )
    return lines


def _what_next(error: ErrorRecord) -> list[Line]:
    steps = [("after a fix, go on:", "twingraph resume last --code current")]
    if error.node_id:
        steps.append(("its values:", f"twingraph show last --node {quoted(error.node_id)}"))
        steps.append(("its prints:", f"twingraph logs last --node {quoted(error.node_id)}"))
    wide = max(len(label) for label, _ in steps)
    return [[(f"  {label.ljust(wide)}  ", "dim"), (command, "")] for label, command in steps]
