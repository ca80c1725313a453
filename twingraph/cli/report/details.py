"""What the page knows of each node, as plain data for its script; bounded, so that a huge run still opens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from twingraph.cli.display.final import error_lines
from twingraph.cli.display.tree import tally
from twingraph.cli.words import (
    between,
    component_and_kind,
    face,
    moment_text,
    reason_word,
    seconds,
    size,
    value_text,
    waiting_words,
)
from twingraph.core.execution import (
    AttemptView,
    ExecutionView,
    LogRecord,
    NodeView,
)
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import NodeStatus

_MOST_NODES = 1500
_MOST_TEXT = 4000
_MOST_CHILDREN = 200
_MOST_LOGS_PER_NODE = 50
# All details together; values are left out once it is spent.
_BUDGET = 2_500_000

Value = Callable[[str], object]


def node_details(
    view: ExecutionView, children: Mapping[str, Sequence[NodeView]], logs: Sequence[LogRecord], value: Value
) -> dict[str, Any]:
    """By node id, the most telling nodes first."""
    said: dict[str, list[str]] = {}
    for record in logs:
        if record.node_id is not None:
            said.setdefault(record.node_id, []).append(record.message.rstrip("\n"))
    found: dict[str, Any] = {}
    spent = 0
    for node in chosen(view.nodes, _MOST_NODES):
        about = _about(node, children.get(node.id, ()), said.get(node.id, ()))
        if spent < _BUDGET:
            about["given"] = [[name, value_block(text, value)] for name, text in view.given(node.id).items()]
            about["outputs"] = [
                [o.name, value_block(o.text, value) if o.text is not None else f"({size(o.size)}, not kept here)"]
                for o in node.outputs
            ]
        spent += len(json.dumps(about))
        found[node.id] = about
    return found


def chosen(nodes: Sequence[NodeView], most: int) -> list[NodeView]:
    """Failed ones, then those that stand in the graph themselves, then the rest."""
    order = sorted(nodes, key=lambda node: (node.status is not NodeStatus.FAILED, node.container is not None))
    return order[:most]


def group_details(members: Mapping[str, Sequence[NodeView]]) -> dict[str, Any]:
    """Of boxes that stand for many nodes."""
    return {name: _group(nodes) for name, nodes in members.items()}


def _group(nodes: Sequence[NodeView]) -> dict[str, Any]:
    counts = Counter(node.status for node in nodes)
    status = "failed" if counts[NodeStatus.FAILED] else str(counts.most_common(1)[0][0])
    return {
        "component": nodes[0].component,
        "kind": "group",
        "platform": nodes[0].platform,
        "place": None,
        "lookedAt": [],
        "status": status,
        "icon": face(status).icon,
        "reason": tally(counts),
        "started": "",
        "time": "",
        "after": [],
        "partOf": None,
        "kept": None,
        "attempts": [],
        "error": None,
        **_items(nodes),
        "logs": "",
    }


def _items(nodes: Sequence[NodeView]) -> dict[str, Any]:
    order = sorted(nodes, key=lambda node: node.status is not NodeStatus.FAILED)
    return {
        "children": [[node.id, str(node.status), face(node.status).icon] for node in order[:_MOST_CHILDREN]],
        "moreChildren": max(len(order) - _MOST_CHILDREN, 0),
    }


def _about(node: NodeView, children: Sequence[NodeView], said: Sequence[str]) -> dict[str, Any]:
    return {
        "component": component_and_kind(node.component, node.kind, called=node.place is not None),
        "kind": node.kind,
        "platform": node.platform if node.kind in ("task", "handler") else None,
        "place": node.place,
        "status": str(node.status),
        "icon": face(node.status).icon,
        "reason": _why(node),
        "started": moment_text(node.started_at),
        "time": seconds(between(node.started_at, node.completed_at)) if node.completed_at else "",
        "after": [name for name in node.parents if name not in node.forced][:50],
        "lookedAt": list(node.forced[:50]),
        "partOf": node.container,
        "kept": node.reused_from or ("a cache" if node.cached else None),
        "attempts": [_attempt(attempt) for attempt in node.attempts],
        "error": error_block(node.error),
        **_items(children),
        "logs": "\n".join(said[-_MOST_LOGS_PER_NODE:])[-_MOST_TEXT:],
    }


def _why(node: NodeView) -> str:
    """Why it is as it is: what it waits for, or why it was skipped."""
    if node.status is not NodeStatus.RUNNING or not (node.signal or node.until):
        return reason_word(node.reason, node.status)
    began = node.started_at or datetime.now(UTC)
    return waiting_words(node.kind, node.signal, node.until, began)


def _attempt(attempt: AttemptView) -> list[str]:
    return [
        str(attempt.number),
        f"{face(attempt.status).icon} {attempt.status}",
        seconds(between(attempt.started_at, attempt.ended_at)),
        seconds(attempt.cpu) if attempt.cpu is not None else "-",
        size(attempt.memory) if attempt.memory is not None else "-",
    ]


def error_block(error: ErrorRecord | None) -> str | None:
    """The author's traceback; of a very long one the end, where the error is."""
    if error is None:
        return None
    text = "\n".join("".join(part for part, _ in line)[2:] for line in error_lines(error))
    return text if len(text) <= _MOST_TEXT else "…\n" + text[-_MOST_TEXT:]


def value_block(text: str, value: Value) -> str:
    """A value over several lines, cut with a note."""
    shown = value_text(value(text), indent=2)
    if len(shown) <= 80 or shown.count("\n") <= 3:
        shown = value_text(value(text)) if len(shown) <= 80 else shown
    return shown if len(shown) <= _MOST_TEXT else f"{shown[:_MOST_TEXT]}\n… {len(shown) - _MOST_TEXT:,} more characters"


def script_json(data: Any) -> str:
    """JSON that can stand in a script element: no value can end it or begin a comment."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
