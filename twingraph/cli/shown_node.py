"""One node as lines, and as a document: attempts, values, logs, error."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from twingraph.cli.app import App
from twingraph.cli.console import Line, Span, fit, table
from twingraph.cli.display.final import BLANK, error_lines
from twingraph.cli.display.logs import all_log_lines
from twingraph.cli.shown_execution import values_section
from twingraph.cli.words import (
    between,
    clock,
    component_and_kind,
    face,
    from_here,
    printable,
    quoted,
    reason_word,
    seconds,
    signal_command,
    size,
    waiting_words,
)
from twingraph.core.execution import (
    AttemptView,
    CacheStory,
    ExecutionView,
    NodeView,
    record_to_wire,
)
from twingraph.core.statuses import NodeStatus
from twingraph.core.wire import time_to_wire

_LOG_TAIL = 20
_LABEL = 12  # columns of the name of a fact


def node_lines(view: ExecutionView, node: NodeView, app: App) -> list[Line]:
    surface = app.console.out
    width, _ = surface.size()
    status = f"{surface.icon(node.status)} {node.status}" + (
        f" ({reason_word(node.reason, node.status)})" if node.reason else ""
    )
    lines: list[Line] = [fit([(printable(node.id), "bold"), ("  ", ""), (status, face(node.status).colour)], width)]
    for name, text in _facts(view, node, app):
        lines += _fact(name, printable(text), width)
    if node.attempts:
        rows = [_attempt_row(attempt) for attempt in node.attempts]
        lines += [BLANK, [("attempts", "bold")], *table(rows, width, grow=6)]
    lines += values_section("given", view.given(node.id), app, surface)
    lines += values_section("outputs", {output.name: output.text for output in node.outputs}, app, surface)
    if node.error is not None:
        lines += [BLANK, [("error", "bold")], *error_lines(node.error)]
    return [*lines, *_logs(view, node, app)]


def _facts(view: ExecutionView, node: NodeView, app: App) -> list[tuple[str, str]]:
    facts = [("component", component_and_kind(node.component, node.kind, called=node.place is not None))]
    if node.kind in ("task", "handler"):
        facts.append(("platform", node.platform))
    if node.place:
        facts.append(("called at", from_here(node.place)))
    waits = waiting_words(node.kind, node.signal, node.until, app.now())
    if waits and node.status is NodeStatus.RUNNING:
        facts.append(("now", waits))
        if node.signal:
            facts.append(("give it", signal_command(view.record.id, node.signal)))
    elif node.signal:
        facts.append(("signal", node.signal))
    after = [name for name in node.parents if name not in node.forced]
    facts += [(word, _names(names)) for word, names in (("after", after), ("looked at", node.forced)) if names]
    if node.container:
        facts.append(("part of", node.container))
    if node.started_at:
        spent = seconds(between(node.started_at, node.completed_at)) if node.completed_at else "still running"
        facts.append(("time", f"{clock(node.started_at)}, {spent}"))
    if node.reused_from and not node.reused_node:
        facts.append(("kept from", node.reused_from))
    if (story := node.cache(True)) is not None:
        facts.append(
            (
                "cache",
                story.words
                if not story.differences
                else f"{story.verdict}: differs from {story.execution} {story.node}",
            )
        )
        facts += [("", f"  {from_here(told)}") for told in story.differences]
    facts += [(word, value) for word, value in (("hash", node.hash), ("cache key", node.cache_key)) if value]
    return facts


def _fact(name: str, text: str, width: int) -> list[Line]:
    """On as many lines as it takes: what a long one ends with may be what somebody looks for."""
    indent = " " * (len(text) - len(text.lstrip()))
    rows = wrap(text, max(width - _LABEL, 20), subsequent_indent=indent, break_on_hyphens=False) or [""]
    names = [name, *[""] * (len(rows) - 1)]
    return [fit([(f"  {name}".ljust(_LABEL), "dim"), (row, "")], width) for name, row in zip(names, rows, strict=True)]


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")


def _memory(attempt: AttemptView) -> str:
    """What it used, and what it might use."""
    used = size(attempt.memory) if attempt.memory is not None else ""
    return used if attempt.memory_limit is None else f"{used or '?'} of {size(attempt.memory_limit)}"


def _attempt_row(attempt: AttemptView) -> list[Span]:
    error = attempt.error.words if attempt.error else ""
    return [
        (f"  {attempt.number}", ""),
        (attempt.status, face(attempt.status).colour),
        (clock(attempt.started_at) if attempt.started_at else "-", "dim"),
        (seconds(between(attempt.started_at, attempt.ended_at)), ""),
        (f"cpu {seconds(attempt.cpu)}" if attempt.cpu is not None else "", "dim"),
        (_memory(attempt), "dim"),
        (printable(error.split("\n")[0]), "red"),
    ]


def _logs(view: ExecutionView, node: NodeView, app: App) -> list[Line]:
    records = app.reader.logs(view.record.id, node=node.id)
    if not records:
        return []
    lines: list[Line] = [BLANK, [("logs", "bold")], *all_log_lines(records[-_LOG_TAIL:], times=True)]
    if len(records) > _LOG_TAIL:
        lines.append([(f"  all of them: twingraph logs {view.record.id} --node {quoted(node.id)}", "dim")])
    return lines


def node_document(view: ExecutionView, node: NodeView, app: App) -> dict[str, Any]:
    return {
        "node_id": node.id,
        "component": node.component,
        "kind": node.kind,
        "status": str(node.status),
        "reason": node.reason,
        "platform": node.platform,
        "hash": node.hash,
        "cache_key": node.cache_key,
        "parents": list(node.parents),
        "looked_at": list(node.forced),
        "place": node.place,
        "signal": node.signal,
        "until": time_to_wire(node.until),
        "container": node.container,
        "cached": node.cached,
        "reused_from": node.reused_from,
        "reused_node": node.reused_node,
        "cache": story_document(node.cache(True)),
        "started_at": time_to_wire(node.started_at),
        "completed_at": time_to_wire(node.completed_at),
        "duration": between(node.started_at, node.completed_at),
        "attempts": [_attempt_document(attempt) for attempt in node.attempts],
        "given": app.values(view.given(node.id)),
        "outputs": {o.name: app.reader.value(o.text) if o.text is not None else None for o in node.outputs},
        "error": record_to_wire(node.error),
    }


def story_document(story: CacheStory | None) -> dict[str, Any] | None:
    """Why a node has or has not the outcome of other work."""
    if story is None:
        return None
    return {
        "verdict": story.verdict,
        "why": story.why,
        "execution_id": story.execution,
        "node_id": story.node,
        "differences": list(story.differences),
    }


def _attempt_document(attempt: AttemptView) -> dict[str, Any]:
    return {
        "attempt": attempt.number,
        "status": attempt.status,
        "started_at": time_to_wire(attempt.started_at),
        "ended_at": time_to_wire(attempt.ended_at),
        "cpu": attempt.cpu,
        "memory_bytes": attempt.memory,
        "memory_limit_bytes": attempt.memory_limit,
        "worker": attempt.worker,
        "error": record_to_wire(attempt.error),
    }
