"""Puts the parts of the page together; the template escapes everything that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from twingraph.cli.report.details import Value, error_block, group_details, node_details, script_json, value_block
from twingraph.cli.report.graph import HEIGHT, WIDTH, draw_graph
from twingraph.cli.report.timeline import draw_timeline
from twingraph.cli.words import between, clock, cut, face, moment_text, seconds, signal_command, status_word
from twingraph.core.execution import ExecutionView, LogRecord, NodeView
from twingraph.core.statuses import ExecutionStatus, NodeStatus

_FOLDER = Path(__file__).parent
_MOST_LOG_TEXT = 2000
_MOST_SIGNALS = 5


def render(view: ExecutionView, logs: Sequence[LogRecord], value: Value, *, now: datetime) -> str:
    """The whole page as one text."""
    record = view.record
    children: dict[str, list[NodeView]] = {}
    for node in view.nodes:
        if node.container is not None:
            children.setdefault(node.container, []).append(node)
    outputs = view.outputs or ({"output": view.result} if view.result is not None else {})
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    graph = draw_graph(view.nodes, children)
    details = script_json({**node_details(view, children, logs, value), **group_details(graph.members)})
    return environment.get_template("page.html.j2").render(
        record=record,
        status=status_word(record),
        icon=face(record.status).icon,
        is_over=record.completed_at is not None,
        is_failed=record.status is ExecutionStatus.FAILED,
        spent=seconds(between(record.started_at, record.completed_at or _last_moment(view, now))),
        started=moment_text(record.started_at),
        written=moment_text(now),
        graph=graph,
        box_width=WIDTH,
        box_height=HEIGHT,
        timeline=draw_timeline(view.nodes, _last_moment(view, now)),
        error=error_block(record.error),
        inputs=[(name, value_block(text, value)) for name, text in view.inputs.items()],
        outputs=[(name, value_block(text, value)) for name, text in outputs.items()],
        logs=[_log(log) for log in logs],
        notes=view.notes,
        signals=[signal_command(record.id, name) for name in _awaited(view)],
        icons={status: face(status).icon for status in ("completed", "running", "retrying", "failed", "skipped")},
        first=record.error.node_id or "" if record.error else "",
        details=Markup(details),
        style=Markup((_FOLDER / "page.css").read_text(encoding="utf-8")),
        script=Markup((_FOLDER / "page.js").read_text(encoding="utf-8")),
    )


def _last_moment(view: ExecutionView, now: datetime) -> datetime:
    """Until when something that has not ended is drawn: now only while somebody works on it."""
    if view.record.owner == "alive":
        return now
    moments = [
        moment
        for node in view.nodes
        for moment in (node.started_at, node.completed_at, *(attempt.started_at for attempt in node.attempts))
    ]
    return max((moment for moment in moments if moment is not None), default=now)


def _awaited(view: ExecutionView) -> list[str]:
    """The signals that it waits for now."""
    waiting = (node.signal for node in view.nodes if node.signal and node.status is NodeStatus.RUNNING)
    return list(dict.fromkeys(waiting))[:_MOST_SIGNALS]


def _log(record: LogRecord) -> tuple[str, str, str, str]:
    message = record.message.rstrip("\n")
    if len(message) > _MOST_LOG_TEXT:
        message = f"{message[:_MOST_LOG_TEXT]} …"
    return clock(record.timestamp), record.level, cut(record.node_id or "body", 40), message
