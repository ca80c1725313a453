"""The records of `bodies` as JSON, for hosts in processes of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twingraph.core.bodies import BodyLog, Ended, Items, Opened, Page, Past, PastCall, PastDecision
from twingraph.core.events import KINDS, Event, body_of, error_from_json, error_to_json, event_from
from twingraph.core.plan import NodeSpec, PlanNode
from twingraph.core.plan_json import node_from_json, node_to_json, spec_from_json, spec_to_json


def opened_to_json(opened: Opened) -> list[Any]:
    return [opened.execution, opened.scope, opened.entry, [list(pair) for pair in opened.arguments], opened.bundle]


def opened_from_json(raw: Sequence[Any]) -> Opened:
    execution, scope, entry, arguments, bundle = raw
    return Opened(execution, scope, entry, tuple((name, text) for name, text in arguments), bundle)


def ended_to_json(ended: Ended) -> list[Any]:
    error = None if ended.error is None else error_to_json(ended.error)
    outputs = [list(output) for output in ended.outputs]
    return [ended.node, ended.order, ended.status, ended.shape, outputs, list(ended.texts), error, ended.reason]


def ended_from_json(raw: Sequence[Any]) -> Ended:
    node, order, status, shape, outputs, texts, error, reason = raw
    metas = tuple((name, digest, size) for name, digest, size in outputs)
    record = None if error is None else error_from_json(error)
    return Ended(node, order, status, shape, metas, tuple(texts), record, reason)


def items_to_json(items: Items) -> list[Any]:
    return [items.node, items.start, list(items.texts)]


def items_from_json(raw: Sequence[Any]) -> Items:
    node, start, texts = raw
    return Items(node, start, tuple(texts))


def page_to_json(page: Page) -> list[Any]:
    return [
        [_past_to_json(past) for past in page.past],
        [ended_to_json(ended) for ended in page.ended],
        [items_to_json(items) for items in page.items],
        page.last,
    ]


def page_from_json(raw: Sequence[Any]) -> Page:
    past, ended, items, last = raw
    return Page(
        tuple(_past_from_json(one) for one in past),
        tuple(ended_from_json(one) for one in ended),
        tuple(items_from_json(one) for one in items),
        last,
    )


def _past_to_json(past: Past) -> list[Any]:
    """A call has two parts, a decision four. Of a call only what a body compares goes along."""
    if not isinstance(past, PastCall):
        return list(past)
    node = past.node
    told = PlanNode(
        id=node.id,
        kind=node.kind,
        spec=node.spec,
        args=node.args,
        scope_args=node.scope_args,
        caller=node.caller,
        place=node.place,
    )
    return [past.component, node_to_json(told)]


def _past_from_json(raw: Sequence[Any]) -> Past:
    return PastCall(raw[0], node_from_json(raw[1])) if len(raw) == 2 else PastDecision(*raw)


def fed_to_json(event: Event, lines: Sequence[str] | None, specs: Sequence[NodeSpec]) -> list[Any]:
    texts = None if lines is None else list(lines)
    return [KINDS[type(event)], body_of(event), texts, [spec_to_json(spec) for spec in specs]]


def fed_from_json(raw: Sequence[Any]) -> tuple[Event, tuple[str, ...] | None, tuple[NodeSpec, ...]]:
    kind, body, lines, specs = raw
    texts = None if lines is None else tuple(lines)
    return event_from(kind, body), texts, tuple(spec_from_json(spec) for spec in specs)


def logs_to_json(lines: Sequence[BodyLog]) -> list[Any]:
    return [list(line) for line in lines]


def logs_from_json(raw: Sequence[Any]) -> list[BodyLog]:
    return [BodyLog(*line) for line in raw]
