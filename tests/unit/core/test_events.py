from __future__ import annotations

import json
from collections.abc import Callable, Generator
from typing import TypeVar

import pytest
from hypothesis import given

from tests.support.foreign import spoiled
from tests.unit.core.records import errors, events
from twingraph.core import events as ev
from twingraph.core.events import (
    EVENTS,
    KINDS,
    Event,
    GraphExtended,
    NodeEnded,
    body_of,
    error_from_json,
    error_to_json,
    event_from,
    reading,
    writing,
)
from twingraph.core.plan import NodeSpec, PlanNode, Template
from twingraph.core.records import ErrorRecord

GRAPH = KINDS[GraphExtended]
DRAWN = GraphExtended(
    (PlanNode(id="a", spec=0), PlanNode(id="m", spec=0, args={"x": ("[1]",)}, template="t")),
    (NodeSpec(component="c"),),
    {"t": Template(nodes=(PlanNode(id="", spec=0),), last_nodes=("",))},
)


Made = TypeVar("Made")


def made(steps: Generator[None, None, Made], between: Callable[[], None] = lambda: None) -> Made:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            event: Made = end.value
            return event
        between()


def many(count: int) -> GraphExtended:
    """Some ids cannot be written in UTF-8."""
    return DRAWN._replace(nodes=tuple(PlanNode(id=f"\udc80é{number}", spec=0) for number in range(count)))


LONG = many(10_000)
PACKED = made(writing(LONG))


def as_told(kind: str, body: str, *, by_and_by: bool) -> str:
    """What comes of it, as a text: what is no number is like nothing."""
    try:
        return repr(made(reading(kind, body)) if by_and_by else event_from(kind, body))
    except ValueError as error:
        return f"{type(error).__name__}: {error}"


@given(event=events())
def test_every_event_comes_back_from_its_json(event: Event) -> None:
    back = event_from(KINDS[type(event)], body_of(event))
    assert (type(back), back) == (type(event), event)


@given(event=events())
def test_every_event_comes_back_from_its_json_by_and_by(event: Event) -> None:
    back = made(reading(KINDS[type(event)], body_of(event)))
    assert (type(back), back) == (type(event), event)


def test_the_text_of_very_many_nodes_is_packed() -> None:
    assert len(PACKED) < len(body_of(LONG)) / 5
    assert made(reading(GRAPH, PACKED)) == event_from(GRAPH, PACKED) == event_from(GRAPH, PACKED.encode()) == LONG
    fewer = many(9_999)
    assert made(writing(fewer)) == body_of(fewer)


@given(body=spoiled([made(ev._packing(iter([body_of(DRAWN)])))]))
def test_what_was_packed_and_spoiled_is_the_same_by_and_by(body: str) -> None:
    assert as_told(GRAPH, body, by_and_by=True) == as_told(GRAPH, body, by_and_by=False)


def test_a_text_that_unpacks_to_more_than_any_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ev, "_LARGEST", len(body_of(LONG)) // 2)
    with pytest.raises(ValueError, match="too long"):
        event_from(GRAPH, PACKED)


@given(body=spoiled([body_of(DRAWN), body_of(DRAWN._replace(specs=(), templates={})), body_of(GraphExtended(()))]))
def test_what_others_wrote_is_the_same_by_and_by(body: str) -> None:
    assert as_told(GRAPH, body, by_and_by=True) == as_told(GRAPH, body, by_and_by=False)


@pytest.mark.parametrize(
    "body",
    [
        '{"nodes":[]}',
        '{"nodes":[{"id":"a"} , {"id":"b"}]}',
        '{"nodes":[{"id":"a"}]}\n',
        '{"nodes":[{"id":"a"}],}',
        '{"nodes":[{"id":"a"}],"nodes":[{"id":"b"}]}',
        '{"nodes":[{"id":"a"}],"nodes":[]}',
        '{"nodes":[{"name":"a"}],"nodes":[{"id":"b"}]}',
        '{"nodes":[{"id":"a"}], "scope":"s"}',
        '{"nodes":[{"id":"a"}],"scope":"s"} {}',
        '{"nodes":[{"id":"a"}],"colour":"red"}',
        '{"nodes":[[["id","a"]]]}',
        '{"nodes":[{"id":"a"',
        '{"nodes":[{"id":"a"}',
        '{"nodes":[{"id":"a"}]',
        '{"nodes":["a"]}',
        '{"nodes":{}}',
        '{"scope":"s"}',
    ],
)
def test_what_is_not_as_it_is_written_here_is_the_same_by_and_by(body: str) -> None:
    assert as_told(GRAPH, body, by_and_by=True) == as_told(GRAPH, body, by_and_by=False)


def test_of_many_nodes_the_text_is_read_by_and_by_too(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, read = ev._scan, [0]

    def counting(text: str, at: int) -> tuple[object, int]:
        value, end = scan(text, at)
        read[-1] += end - at
        return value, end

    monkeypatch.setattr(ev, "_scan", counting)
    event = many(3_000)
    body = body_of(event)
    assert made(reading(GRAPH, body), lambda: read.append(0)) == event
    assert max(read) < len(body) / 10


@given(event=events())
def test_a_body_is_one_line_of_json(event: Event) -> None:
    assert isinstance(json.loads(body_of(event)), dict)
    assert "\n" not in body_of(event)


@given(error=errors)
def test_every_error_comes_back_from_its_json(error: ErrorRecord) -> None:
    assert error_from_json(json.loads(json.dumps(error_to_json(error)))) == error


def test_defaults_are_left_out() -> None:
    assert body_of(NodeEnded("a", 1, "completed")) == '{"node":"a","attempt":1,"status":"completed"}'


def test_a_kind_of_another_schema_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'unheard_of' is not an event"):
        event_from("unheard_of", "{}")


def test_every_event_is_known_by_its_kind() -> None:
    assert all(KINDS[record] == kind for kind, record in EVENTS.items())
