"""The host of bodies: threads that come and go, and what each is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from twingraph import component, pipeline
from twingraph.core.bodies import BodyLog, Ended, Opened, Page, PastCall
from twingraph.core.codec import Encoded, decode, encode
from twingraph.core.events import Event, GraphClosed, GraphExtended
from twingraph.core.plan import NodeSpec, PlanNode
from twingraph.sdk.body.host import BodyHost

PATIENCE = 20.0


@component
def work(x: int) -> int:
    return x


@pipeline
def waits(x: int) -> int:
    return work(x) + 1


@pipeline
def calls_for_ever() -> None:
    while True:
        work(1)


@pipeline
def parent(x: int) -> int:
    return waits(x) + 1


BODIES: Mapping[str, Any] = {"waits": waits, "calls_for_ever": calls_for_ever, "parent": parent}


class World:
    def find(self, execution: str, entry: str, bundle: str | None) -> Callable[..., Any]:
        function: Callable[..., Any] = BODIES[entry].fn
        return function

    def coder(self, execution: str) -> World:
        return self

    def encode(self, value: Any, path: str, special: Any = None) -> Encoded:
        return encode(value, path=path, special=special)

    def decode(self, text: str) -> Any:
        return decode(text)

    def class_name(self, kind: type) -> str:
        return f"{kind.__module__}:{kind.__qualname__}"

    def locate(self, execution: str, objects: Mapping[str, Any]) -> str | None:
        return None

    def body_entry(self, execution: str, pipeline: Any) -> str:
        return str(pipeline.name)

    def code_hash(self, execution: str, entry: str) -> str | None:
        return None

    def forget(self, execution: str) -> None:
        """Nothing is kept."""


class Heard:
    """A link that remembers what bodies say, and lets a test wait for it."""

    def __init__(self) -> None:
        self.calls: dict[tuple[str, str], list[PlanNode]] = {}
        self.closed: dict[tuple[str, str], GraphClosed] = {}
        self.reopened: list[tuple[str, str]] = []
        self._changed = threading.Condition()

    def feed(self, execution: str, event: Event, lines: Sequence[str] | None, specs: Sequence[NodeSpec] = ()) -> None:
        with self._changed:
            if isinstance(event, GraphExtended):
                self.calls.setdefault((execution, event.scope), []).extend(event.nodes)
            elif isinstance(event, GraphClosed):
                self.closed[execution, event.scope] = event
            self._changed.notify_all()

    def ask(self, execution: str, scope: str, number: int, what: str, about: str) -> None:
        raise AssertionError(what)

    def reopen(self, execution: str, scope: str) -> None:
        with self._changed:
            self.reopened.append((execution, scope))
            self._changed.notify_all()

    def log(self, execution: str, lines: Sequence[BodyLog]) -> None:
        """Nobody listens."""

    def until(self, holds: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(holds, PATIENCE)

    def call(self, execution: str, scope: str = "", number: int = 0) -> PlanNode:
        self.until(lambda: len(self.calls.get((execution, scope), ())) > number)
        return self.calls[execution, scope][number]

    def end(self, execution: str, scope: str = "") -> GraphClosed:
        self.until(lambda: (execution, scope) in self.closed)
        return self.closed[execution, scope]


def given(number: int, node: str = "work") -> Ended:
    value = encode(number)
    return Ended(node, number, "completed", "plain", (("output", value.hash, value.size),), (value.text,))


def start(host: BodyHost, execution: str, entry: str, scope: str = "", **arguments: int) -> None:
    host.open(Opened(execution, scope, entry, tuple((name, str(value)) for name, value in arguments.items())))
    host.page(execution, scope, Page(last=True))


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_a_body_goes_on_when_its_call_is_over(heard: Heard) -> None:
    host = BodyHost(heard, World())
    start(host, "e", "waits", x=1)
    assert heard.call("e").args == {"x": ("1",)}
    host.ended("e", "", given(5))
    assert heard.end("e").result == ("6",)


def test_what_comes_before_the_thread_stands_is_not_lost(heard: Heard) -> None:
    host = BodyHost(heard, World(), limit=1)
    start(host, "first", "waits", x=1)
    heard.call("first")
    start(host, "second", "waits", x=2)
    host.ended("first", "", given(5))
    host.ended("second", "", given(7))
    assert heard.end("second").result == ("8",)


def test_a_body_that_never_waits_has_its_calls_refused(heard: Heard) -> None:
    host = BodyHost(heard, World())
    start(host, "e", "calls_for_ever")
    heard.call("e", number=10)
    host.stop("e", "cancelled")
    _until_none_lives(host)
    assert ("e", "") not in heard.closed


def test_over_the_limit_a_waiting_body_makes_room_and_comes_back(heard: Heard) -> None:
    host = BodyHost(heard, World(), limit=1)
    start(host, "old", "waits", x=1)
    called = heard.call("old")
    start(host, "new", "waits", x=2)
    heard.call("new")
    host.ended("old", "", given(5))
    heard.until(lambda: ("old", "") in heard.reopened)
    host.ended("new", "", given(7))
    heard.end("new")
    host.open(Opened("old", "", "waits", (("x", "1"),)))
    host.page("old", "", Page((PastCall("work", called),), (given(5),), last=True))
    assert heard.end("old").result == ("6",)
    assert len(heard.calls["old", ""]) == 1


def test_a_parent_that_waits_for_its_child_makes_room_first(heard: Heard) -> None:
    host = BodyHost(heard, World(), limit=3)
    start(host, "a", "waits", x=1)
    start(host, "b", "parent", x=1)
    heard.call("b")
    start(host, "b", "waits", "waits", x=1)
    heard.call("b", "waits")
    start(host, "c", "waits", x=1)
    heard.call("c")
    host.ended("b", "", given(1, "waits"))
    heard.until(lambda: heard.reopened == [("b", "")])
    for execution in ("a", "b", "c"):
        host.stop(execution, "the test is over")
    _until_none_lives(host)


def test_a_scope_that_was_given_up_ends_alone(heard: Heard) -> None:
    host = BodyHost(heard, World())
    start(host, "e", "parent", x=1)
    heard.call("e")
    start(host, "e", "waits", "waits", x=1)
    heard.call("e", "waits")
    host.stop("e", "its time was up", "waits")
    host.ended("e", "", given(1, "waits"))
    assert heard.end("e").result == ("2",)
    _until_none_lives(host)


def test_code_that_cannot_be_found_ends_the_scope_with_that_error(heard: Heard) -> None:
    host = BodyHost(heard, World())
    start(host, "e", "unheard_of")
    error = heard.end("e").error
    assert error is not None
    assert error.error_type == "KeyError"


def _until_none_lives(host: BodyHost) -> None:
    end = time.monotonic() + PATIENCE
    while host.live() and time.monotonic() < end:
        time.sleep(0.001)
    assert host.live() == 0
