"""The records of `bodies` as JSON, for hosts in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from twingraph.core.bodies import BodyLog, Ended, Items, Opened, Page, Past, PastCall, PastDecision
from twingraph.core.events import (
    KINDS,
    Event,
    GraphClosed,
    GraphExtended,
    body_of,
    error_from_json,
    error_to_json,
    event_from,
)
from twingraph.core.plan import NodeKind, NodeSpec, PlanNode
from twingraph.core.plan_json import arguments_from_json, arguments_to_json, spec_from_json, spec_to_json

if TYPE_CHECKING:
    from twingraph.core.long_events import Gathered


def opened_to_json(opened: Opened) -> list[Any]:
    return [opened.execution, opened.scope, opened.entry, [list(pair) for pair in opened.arguments], opened.bundle]


def opened_from_json(raw: Sequence[Any]) -> Opened:
    execution, scope, entry, arguments, bundle = raw
    return Opened(execution, scope, entry, tuple((name, text) for name, text in arguments), bundle)


def ended_to_json(ended: Ended) -> list[Any]:
    error = None if ended.error is None else error_to_json(ended.error)
    return [ended.node, ended.order, ended.status, ended.shape, ended.outputs, ended.texts, error, ended.reason]


def ended_from_json(raw: Sequence[Any]) -> Ended:
    node, order, status, shape, outputs, texts, error, reason = raw
    record = None if error is None else error_from_json(error)
    return Ended(node, order, status, shape, tuple(map(tuple, outputs)), tuple(texts), record, reason)


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
    """A call has seven parts, and an eighth where it waits for a signal; a decision has four. Of a call only what a
    body compares goes along, not the names that a plan has for it: of a long history there are tens of thousands."""
    if not isinstance(past, PastCall):
        return list(past)
    node = past.node
    arguments = arguments_to_json(node.scope_args if node.kind is NodeKind.SCOPE else node.args)
    told = [past.component, node.id, node.kind, node.spec, arguments, node.caller, node.place]
    return told if node.signal is None else [*told, node.signal]


def _past_from_json(raw: Sequence[Any]) -> Past:
    if len(raw) == 4:
        return PastDecision(*raw)
    component, name, word, spec, given, caller, place, *signal = raw
    kind, arguments = _KINDS[word], arguments_from_json(given)
    if kind is NodeKind.SCOPE:
        return PastCall(component, PlanNode(name, kind, spec, scope_args=arguments, caller=caller, place=place))
    waited = signal[0] if signal else None
    return PastCall(component, PlanNode(name, kind, spec, args=arguments, signal=waited, caller=caller, place=place))


_KINDS = {str(kind): kind for kind in NodeKind}


def fed_to_json(event: Event, lines: Sequence[str] | None, specs: Sequence[NodeSpec]) -> list[Any]:
    return [KINDS[type(event)], body_of(event), *beside_to_json(lines, specs)]


def beside_to_json(lines: Sequence[str] | None, specs: Sequence[NodeSpec]) -> list[Any]:
    return [None if lines is None else list(lines), [spec_to_json(spec) for spec in specs]]


def fed_from_json(raw: Sequence[Any]) -> tuple[Event, tuple[str, ...] | None, tuple[NodeSpec, ...]]:
    kind, body, *beside = raw
    return event_from(kind, body), *beside_from_json(beside)


def beside_from_json(raw: Sequence[Any]) -> tuple[tuple[str, ...] | None, tuple[NodeSpec, ...]]:
    lines, specs = raw
    return None if lines is None else tuple(lines), tuple(spec_from_json(spec) for spec in specs)


def pieces_to_json(event: Event) -> Iterator[list[Any]]:
    """A long event in lines of its own, each of which is soon read. Others may be said between them."""
    from twingraph.core.long_events import pieces  # few events are

    assert isinstance(event, (GraphExtended, GraphClosed))
    return pieces(event)


class Gathering:
    """Long events of which some pieces have come. Raises whatever a piece that is none leads to."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, int], Gathered | None] = {}  # None: nobody needs it any more

    def add(self, execution: str, number: int, piece: list[Any], *, needed: bool) -> None:
        from twingraph.core.long_events import Gathered

        key = execution, number
        if not needed:
            self._begun[key] = None
        elif (begun := self._begun.setdefault(key, Gathered())) is not None:
            begun.add(piece)

    def whole(self, execution: str, number: int, *, needed: bool) -> Event | None:
        begun = self._begun.pop((execution, number))
        if begun is None or not needed:
            return None
        if begun.event is None:
            raise ValueError("an event breaks off")
        return begun.event


def logs_to_json(lines: Sequence[BodyLog]) -> list[Any]:
    return [list(line) for line in lines]


def logs_from_json(raw: Sequence[Any]) -> list[BodyLog]:
    return [BodyLog(*line) for line in raw]
