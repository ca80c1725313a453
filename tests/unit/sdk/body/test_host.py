"""The host of bodies: threads that come and go, and what each is told."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any

import pytest

from twingraph import component, pipeline, wait_any
from twingraph.core.bodies import BodyLog, Ended, Opened, Page, PastCall
from twingraph.core.codec import Encoded, decode, encode
from twingraph.core.events import Event, GraphClosed, GraphExtended
from twingraph.core.plan import NodeSpec, PlanNode
from twingraph.sdk.body.hearing import Evict
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


busy = threading.Event()


@pipeline
def computes_first(x: int) -> int:
    result = waits(x)
    busy.wait(PATIENCE)
    return result + 1


@component
async def far(x: int) -> int:
    return x


@pipeline
async def awaits(x: int) -> int:
    return await far(x) + 1


@component
def loose(x: int) -> Any:
    return x


@pipeline
def returns_what_is_not_there(x: int) -> Any:
    return {"all": [loose(x)["outputs"]["total"]]}


@pipeline
def prints_late(x: int) -> int:
    print(result := work(x) + 1)
    return result


@pipeline
def follows_a_text() -> None:
    first: Any = work(1)
    second: Any = work(1)
    _, text = str(second["hash"]), str(first["hash"])
    work(2, parent_hash=text)  # type: ignore[call-arg]


@pipeline
def looks() -> None:
    a, b, c = work(1), work(2), work(3)
    wait_any([c, b])
    work(4)
    if a == 1:
        work(5)
    work(6)


@pipeline
def speaks() -> int:
    print("at first")
    x = work(1)
    print("it waits")
    logging.getLogger("tests.logs").warning("it waits still")
    try:
        return x + 1
    finally:
        print("it is over")


@pipeline
def logs() -> int:
    logging.getLogger("tests.logs").warning("it begins")
    return 1


async def _fails() -> None:
    raise ValueError("nobody looks")


@pipeline
async def forgets(x: int) -> int:
    forgotten: list[Any] = [asyncio.create_task(_fails())]
    forgotten.append(forgotten)  # so that only the garbage collector finds it
    return await far(x)


complained = threading.Event()


class Complaints(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if "nobody looks" in str(record.exc_info):
            complained.set()


@pipeline
def collects() -> None:
    """On a thread that has gone on from another body, what that one has left is garbage a moment later only."""
    _until(lambda: gc.collect() >= 0 and complained.is_set())


BODIES: Mapping[str, Any] = {
    one.name: one
    for one in (
        waits,
        calls_for_ever,
        parent,
        computes_first,
        prints_late,
        awaits,
        logs,
        forgets,
        collects,
        returns_what_is_not_there,
        follows_a_text,
        looks,
        speaks,
    )
}


class Interrupted(SimpleQueue[Any]):
    """The garbage collector may run at any moment, also when a body is about to wait; what it finds may log."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        logging.getLogger("tests.garbage").warning("found in the garbage")
        return super().get(block, timeout)


class Resting(SimpleQueue[Any]):
    """Tells when somebody is about to wait."""

    def __init__(self, rests: threading.Event) -> None:
        self._rests = rests

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if self.empty():
            self._rests.set()
        return super().get(block, timeout)


class Deaf(SimpleQueue[Any]):
    """Of a body that has not got round to making room."""

    def __init__(self, told: list[Deaf]) -> None:
        self._told = told

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if isinstance(item, Evict):
            self._told.append(self)
        else:
            super().put(item, block, timeout)


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
        self.logged: dict[str, list[str]] = {}
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
        self.logged.setdefault(execution, []).extend(line.message for line in lines)

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


@pytest.mark.parametrize("scope", ["", "child"])
def test_an_output_that_is_not_there_fails_the_body_that_returns_it(heard: Heard, scope: str) -> None:
    host = BodyHost(heard, World())
    start(host, "e", "returns_what_is_not_there", scope, x=1)
    heard.call("e", scope)
    host.ended("e", scope, given(5, "loose"))
    error = heard.end("e", scope).error
    assert error is not None
    assert (error.code, error.error_type) == ("user_error", "AttributeError")
    assert error.message == "loose gave no output 'total'; it gave output"


def test_a_hash_as_a_text_means_the_latest_of_equal_calls(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    host = BodyHost(heard, World())
    monkeypatch.setattr(heard, "ask", lambda execution, scope, number, *_: host.answer(execution, scope, number, "h1"))
    start(host, "e", "follows_a_text")
    assert [edge.source for edge in heard.call("e", number=2).edges] == ["work-2"]
    host.stop("e", "the test is over")
    _until_none_lives(host)


def test_a_call_tells_what_was_looked_at_since_the_call_before_and_looking_tells_nothing(heard: Heard) -> None:
    host = BodyHost(heard, World())
    start(host, "e", "looks")
    heard.call("e", number=2)
    host.ended("e", "", given(3, "work-3"))
    host.ended("e", "", given(1))
    heard.end("e")
    assert [call.forced for call in heard.calls["e", ""]] == [(), (), (), ("work-3",), ("work",), ()]


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


def test_what_a_body_said_before_it_was_let_go_is_not_said_again(heard: Heard) -> None:
    """Also what came after the last call that history has."""
    host = BodyHost(heard, World(), limit=1)
    start(host, "old", "speaks")
    called = heard.call("old")
    start(host, "new", "waits", x=2)
    heard.call("new")
    host.ended("old", "", given(5))
    heard.until(lambda: ("old", "") in heard.reopened)
    host.ended("new", "", given(7))
    heard.end("new")
    assert heard.logged["old"] == ["at first", "it waits", "it waits still"]
    host.open(Opened("old", "", "speaks", ()))
    host.page("old", "", Page((PastCall("work", called),), (given(5),), last=True))
    assert heard.end("old").result == ("6",)
    assert heard.logged["old"] == ["at first", "it waits", "it waits still", "it is over"]


def test_of_two_that_come_at_once_each_finds_another_body_to_make_room(heard: Heard) -> None:
    host = BodyHost(heard, World(), limit=2)
    told: list[Deaf] = []
    host.make_inbox = lambda: Deaf(told)
    for execution in ("a", "b"):
        start(host, execution, "waits", x=1)
        heard.call(execution)
        _until(partial(_waits, host, execution))
    for execution in ("c", "d"):
        host.open(Opened(execution, "", "waits", (("x", "1"),)))
    assert len(told) == 2
    assert told[0] is not told[1]
    for execution in ("a", "b", "c", "d"):
        host.stop(execution, "the test is over")
    _until_none_lives(host)


def test_a_parent_that_waits_for_its_child_makes_room_first(heard: Heard) -> None:
    host = BodyHost(heard, World(), limit=3)
    start(host, "a", "waits", x=1)
    start(host, "b", "parent", x=1)
    heard.call("b")
    start(host, "b", "waits", "waits", x=1)
    heard.call("b", "waits")
    _until(lambda: _waits(host, "a") and _waits(host, "b"))
    start(host, "c", "waits", x=1)
    heard.call("c")
    host.ended("b", "", given(1, "waits"))
    heard.until(lambda: heard.reopened == [("b", "")])
    for execution in ("a", "b", "c"):
        host.stop(execution, "the test is over")
    _until_none_lives(host)


def test_a_child_that_comes_while_all_compute_gets_its_room_when_one_of_them_waits(heard: Heard) -> None:
    host = BodyHost(heard, World(), limit=1)
    busy.clear()
    start(host, "e", "computes_first", x=1)
    heard.call("e")
    start(host, "e", "waits", "waits", x=1)
    busy.set()
    heard.call("e", "waits")
    host.stop("e", "the test is over")
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


@pytest.mark.parametrize("entry", ["waits", "awaits"])
def test_what_garbage_logs_while_a_body_waits_takes_nothing_of_what_it_waits_for(heard: Heard, entry: str) -> None:
    host = BodyHost(heard, World())
    host.make_inbox = Interrupted
    start(host, "e", entry, x=1)
    host.ended("e", "", given(5, heard.call("e").id))
    assert heard.end("e").result == ("6",)


def test_a_body_that_logs_before_its_history_is_there_keeps_no_other_from_logging(heard: Heard) -> None:
    host = BodyHost(heard, World())
    rests = threading.Event()
    host.make_inbox = lambda: Resting(rests)
    host.open(Opened("early", "", "logs", ()))
    assert rests.wait(PATIENCE)
    start(host, "late", "logs")
    assert heard.end("late").result == ("1",)
    host.page("early", "", Page(last=True))
    assert heard.end("early").result == ("1",)


def test_an_async_body_that_is_stopped_before_its_history_came_leaves_no_warning(heard: Heard) -> None:
    host = BodyHost(heard, World())
    rests = threading.Event()
    host.make_inbox = lambda: Resting(rests)
    host.open(Opened("e", "", "awaits", (("x", "1"),)))
    assert rests.wait(PATIENCE)
    host.stop("e", "cancelled")
    _until_none_lives(host)
    gc.collect()  # what is left of it warns now, and a warning fails the test


def test_what_a_body_prints_is_its_own_while_bodies_of_other_hosts_come_and_go(
    heard: Heard, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = BodyHost(heard, World()), BodyHost(heard, World(), shows_prints=lambda: False)
    start(first, "first", "waits", x=1)
    heard.call("first")
    start(second, "second", "prints_late", x=1)
    heard.call("second")
    first.ended("first", "", given(5))
    _until(lambda: not first.live())
    second.ended("second", "", given(6))
    assert heard.end("second").result == ("7",)
    assert heard.logged == {"second": ["7"]}
    _until(lambda: not second.live())
    assert capsys.readouterr().out == ""


@pytest.fixture
def complaints() -> Iterator[None]:
    """What asyncio complains of is known, and garbage waits until somebody collects it."""
    gc.collect()  # what others have left says nothing here
    complained.clear()
    handler = Complaints()
    logging.getLogger("asyncio").addHandler(handler)
    gc.disable()
    yield
    gc.enable()
    logging.getLogger("asyncio").removeHandler(handler)


@pytest.mark.usefixtures("complaints")
def test_a_failure_that_nobody_looked_at_is_not_said_by_the_body_whose_thread_finds_it(heard: Heard) -> None:
    host = BodyHost(heard, World())
    start(host, "forgets", "forgets", x=1)
    host.ended("forgets", "", given(5, heard.call("forgets").id))
    heard.end("forgets")
    _until(lambda: not host.live())
    start(host, "collects", "collects")
    assert heard.end("collects").error is None
    assert "collects" not in heard.logged


@pytest.mark.usefixtures("complaints")
def test_a_failure_that_a_body_had_not_looked_at_when_it_was_let_go_is_no_complaint(heard: Heard) -> None:
    host = BodyHost(heard, World())
    start(host, "forgets", "forgets", x=1)
    heard.call("forgets")
    _until(lambda: _waits(host, "forgets"))
    host.stop("forgets", "the test is over")
    _until_none_lives(host)
    gc.collect()
    assert not complained.is_set()


def test_code_that_cannot_be_found_ends_the_scope_with_that_error(heard: Heard) -> None:
    host = BodyHost(heard, World())
    start(host, "e", "unheard_of")
    error = heard.end("e").error
    assert error is not None
    assert error.error_type == "KeyError"


def _until_none_lives(host: BodyHost) -> None:
    _until(lambda: not host.live())


def _waits(host: BodyHost, execution: str) -> bool:
    """A body that has made its call may take a while until it waits for it."""
    body = host._places[execution, ""].body
    return body is not None and bool(body.waits_for)


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < end:
        time.sleep(0.001)
    assert holds()
