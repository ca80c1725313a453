"""An event that says a lot is the same in pieces, as a packed text, and at once."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import TypeVar
from unittest.mock import patch
from zlib import compress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.foreign import spoiled
from tests.unit.core.records import events
from twingraph.core import long_events
from twingraph.core.events import (
    KINDS,
    LONG_FROM,
    PACKED,
    Event,
    GraphClosed,
    GraphExtended,
    body_of,
    event_from,
    is_long,
    reading,
    writing,
)
from twingraph.core.long_events import Gathered, pieces
from twingraph.core.plan import Argument, Edge, Hole, NodeSpec, PlanNode, Source, Template

GRAPH = KINDS[GraphExtended]
MANY = 3 * LONG_FROM
Made = TypeVar("Made")


def made(steps: Generator[None, None, Made], between: Callable[[], None] = lambda: None) -> Made:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: Made = end.value
            return value
        between()


def a_list(count: int) -> Argument:
    """The text of a list of so many values of nodes."""
    holes = [Hole((Source(node=f"n{number}"),)) for number in range(count)]
    return ("[", *(part for hole in holes for part in (hole, ",")), "null]")


def wide(count: int) -> PlanNode:
    edges = tuple(Edge(source=f"n{number}", param="xs") for number in range(count))
    return PlanNode(id="w", spec=0, edges=edges, args={"a": ("1",), "xs": a_list(count)}, place="flow.py:3")


def nodes(count: int) -> tuple[PlanNode, ...]:
    """Some ids cannot be written in UTF-8."""
    return tuple(PlanNode(id=f"\udc80é{number}", spec=0) for number in range(count))


SPEC = NodeSpec(component="c")
LONG: dict[str, GraphExtended | GraphClosed] = {
    "nodes": GraphExtended(nodes(MANY), (SPEC,)),
    "a wide call": GraphExtended((*nodes(3), wide(MANY), *nodes(2)), scope="s", driven=True),
    "a body that is given much": GraphExtended((PlanNode(id="p", scope_args={"xs": a_list(MANY)}),)),
    "specs": GraphExtended(nodes(1), (SPEC,) * MANY),
    "a template": GraphExtended(nodes(1), (SPEC,), {"few": Template(nodes=nodes(1)), "t": Template(nodes=nodes(MANY))}),
    "a template with a wide node": GraphExtended(
        (), (), {"t": Template(nodes=(*nodes(1), wide(MANY)), last_nodes=("w",))}
    ),
    "a template's result": GraphExtended((), (), {"t": Template(nodes=nodes(1), result=a_list(MANY))}),
    "what a body returns": GraphClosed("s", a_list(MANY), ("a",), met=("b",)),
    "what a body has met": GraphClosed(met=tuple(f"n{number}" for number in range(MANY))),
    "last nodes": GraphClosed(last_nodes=tuple(f"n{number}" for number in range(MANY))),
    "named outputs": GraphClosed(shape="tuple", outputs=(("a", ("1",)), ("b", a_list(MANY)), ("c", ()))),
}


@pytest.mark.parametrize("event", LONG.values(), ids=LONG)
def test_a_long_event_is_written_and_read_by_and_by(event: GraphExtended | GraphClosed) -> None:
    assert is_long(event)
    steps: list[str] = []
    text = made(writing(event), lambda: steps.append("written"))
    kind = KINDS[type(event)]
    assert made(reading(kind, text), lambda: steps.append("read")) == event == event_from(kind, text.encode())
    assert min(steps.count("written"), steps.count("read")) >= MANY / 2_000
    assert text.startswith(PACKED)
    assert len(text) < len(body_of(event))


@pytest.mark.parametrize("event", LONG.values(), ids=LONG)
def test_no_piece_says_much(event: GraphExtended | GraphClosed) -> None:
    assert max(len(json.dumps(piece)) for piece in pieces(event)) < 40_000


@given(event=events(), at_once=st.integers(1, 3))
def test_every_event_comes_back_from_its_pieces(event: Event, at_once: int) -> None:
    if not isinstance(event, (GraphExtended, GraphClosed)):
        return
    gathered = Gathered()
    with patch.object(long_events, "_AT_ONCE", at_once):
        for piece in pieces(event):
            assert gathered.event is None
            gathered.add(json.loads(json.dumps(piece)))
    assert (type(gathered.event), gathered.event) == (type(event), event)


def test_what_says_little_is_written_at_once() -> None:
    event = GraphExtended(nodes(LONG_FROM), (SPEC,), {"t": Template(nodes=nodes(LONG_FROM), last_nodes=("",))})
    assert not is_long(event)
    assert made(writing(event)) == body_of(event)


SMALL = GraphExtended((wide(2),), (SPEC,), {"t": Template(nodes=nodes(1), result=a_list(1), last_nodes=("x",))})
with patch.object(long_events, "_AT_ONCE", 1):
    TEXT = made(long_events.writing(SMALL))
    LINES = [json.dumps(piece) for piece in pieces(SMALL)]


def compressed(lines: list[str]) -> bytes:
    return compress("".join(line + "\n" for line in lines).encode())


def text_of(data: bytes) -> str:
    return f'{PACKED}{b64encode(data).decode()}"}}'


@given(body=spoiled([TEXT]))
def test_what_was_packed_and_spoiled_is_an_event_or_an_error(body: str) -> None:
    with suppress(ValueError):
        event_from(GRAPH, body)


@given(st.data())
def test_pieces_that_were_spoiled_are_an_event_or_an_error(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(LINES) - 1))
    line = data.draw(spoiled([LINES[at]]).filter(lambda text: "\n" not in text))
    with suppress(ValueError):
        event_from(GRAPH, text_of(compressed([*LINES[:at], line, *LINES[at + 1 :]])))


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "breaks off"),
        (LINES[:-1], "breaks off"),
        ([*LINES, LINES[0]], "goes on after its end"),
        (['["edges", null, [{"source": "a"}]]', LINES[-1]], "IndexError"),
        (['["nodes", "t", []]', LINES[-1]], "KeyError"),
        (['["colour", null, "red"]', LINES[-1]], "is no piece of an event"),
        (['{"nodes": []}'], "not enough values"),
        (['["rest", "GraphClosed", "{}"]'], "graph_closed, not a graph_extended"),
    ],
)
def test_what_is_no_event_is_told(lines: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        event_from(GRAPH, text_of(compressed(lines)))


def test_a_text_that_breaks_off_or_goes_on_is_told() -> None:
    data = compressed(LINES)
    for spoilt in (data[:-6], data + b"more"):
        with pytest.raises(ValueError, match="breaks off"):
            event_from(GRAPH, text_of(spoilt))


def test_a_text_that_unpacks_to_more_than_any_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_events, "_LARGEST", 100)
    with pytest.raises(ValueError, match="longer than any"):
        event_from(GRAPH, TEXT)
