"""A body that does not do again what its history says ends with that error, whatever its own code does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tests.unit.sdk.body.test_host import PATIENCE, Heard, World, given
from twingraph import component, pipeline, wait_for_signal
from twingraph.core.bodies import Ended, Opened, Page, PastCall
from twingraph.core.plan import PlanNode
from twingraph.core.records import ErrorRecord
from twingraph.sdk.body.host import BodyHost

# Each body is run with again=False, then with its history and again=True.


@component
def work(x: int) -> int:
    return x


@component
async def far(x: int) -> int:
    return x


# -- what is done with the mismatch ------------------------------------------------------------------------


@pipeline
def handles_it(again: bool) -> Any:
    try:
        return int(work(2 if again else 1))
    except Exception as error:
        return repr(error)


@pipeline
def suppresses_it(again: bool) -> Any:
    with contextlib.suppress(Exception):
        return int(work(2 if again else 1))
    return None


@pipeline
def tries_for_ever(again: bool) -> Any:
    while True:
        try:
            return int(work(2 if again else 1))
        except Exception:
            continue


@pipeline
def raises_another(again: bool) -> Any:
    try:
        return int(work(2 if again else 1))
    finally:
        if again:
            raise ValueError("on the way out")


met: list[str] = []


@pipeline
def holds_on(again: bool) -> Any:
    for ask in (lambda: int(work(2 if again else 1)), lambda: work(3), lambda: wait_for_signal("go")):
        try:
            ask()
        except BaseException as error:
            if again:
                met.append(type(error).__name__)
        if not again:
            break
    return "it went on"


@pipeline
async def gathers_it(again: bool) -> Any:
    return len(await asyncio.gather(_one(2 if again else 1), return_exceptions=True))


async def _one(x: int) -> int:
    return await far(x)


unwinds, may_end = threading.Event(), threading.Event()


@pipeline
def ends_late(again: bool) -> Any:
    try:
        return int(work(2 if again else 1))
    finally:
        if again:
            unwinds.set()
            may_end.wait(PATIENCE)


host_of: list[BodyHost] = []


@pipeline
def stops_itself(again: bool) -> Any:
    host_of[0].stop("again", "cancelled")
    return "history has a call"


# -- what is raised before history is repeated --------------------------------------------------------------


@pipeline
def raises_early(again: bool) -> Any:
    if again:
        raise ValueError("the file is gone")
    return int(work(1))


@pipeline
def exits_early(again: bool) -> Any:
    if again:
        raise SystemExit(3)
    return int(work(1))


@pipeline
def is_interrupted(again: bool) -> Any:
    if again:
        raise KeyboardInterrupt
    return int(work(1))


@pipeline
def no_longer_handles(again: bool) -> Any:
    try:
        return int(work(1))
    except ValueError:
        if again:
            raise
        return int(work(2))


@pipeline
def fails_as_before(again: bool) -> Any:
    if work(1) == 1:
        raise ValueError("as before")


@pipeline
def loses_a_class(again: bool) -> Any:
    return work(1) + work(2)


@component
def keep(x: Any) -> Any:
    return x


@pipeline
def spells_otherwise(again: bool) -> Any:
    return int(keep({"b": 2, "a": 1} if again else {"a": 1, "b": 2}))


@pipeline
async def task_gets_further(again: bool) -> Any:
    async def ahead() -> None:
        await far(2)
        await far(3)

    task = asyncio.create_task(ahead())
    await asyncio.sleep(0)
    if again:
        raise ValueError("of the body itself")
    await task


@pipeline
async def raises_early_awaiting(again: bool) -> Any:
    if again:
        raise ValueError("the file is gone")
    return await far(1)


@pipeline
def waits_for_another(again: bool) -> Any:
    return wait_for_signal("b" if again else "a")


BODIES: Mapping[str, Any] = {one.name: one for one in list(globals().values()) if isinstance(one, type(handles_it))}


class Here(World):
    def __init__(self, lost: Sequence[str] = ()) -> None:
        self._lost = lost

    def find(self, execution: str, entry: str, bundle: str | None) -> Callable[..., Any]:
        function: Callable[..., Any] = BODIES[entry].fn
        return function

    def decode(self, text: str) -> Any:
        if text in self._lost:
            raise ImportError("the class is gone")
        return super().decode(text)


def opened(execution: str, entry: str, again: bool) -> Opened:
    return Opened(execution, "", entry, (("again", "true" if again else "false"),))


def completed(node: PlanNode, order: int) -> Ended:
    return given(order)._replace(node=node.id)


def failed(node: PlanNode, order: int) -> Ended:
    error = ErrorRecord(code="user_error", error_type="ValueError", message="no", types=("ValueError", "Exception"))
    return Ended(node.id, order, "failed", error=error)


def replayed(
    heard: Heard,
    entry: str,
    *,
    over: Sequence[Callable[[PlanNode, int], Ended]] = (completed,),
    calls: int = 0,
    lost: Sequence[str] = (),
) -> BodyHost:
    """Run it until it has made its calls, then again with these as its history. `over`: how each of the first ends."""
    host = BodyHost(heard, Here(lost))
    host.open(opened("before", entry, again=False))
    host.page("before", "", Page(last=True))
    ended: list[Ended] = []
    for order, how in enumerate(over, 1):
        ended.append(how(heard.call("before", number=order - 1), order))
        if not lost:
            host.ended("before", "", ended[-1])
    heard.call("before", number=max(calls, len(over)) - 1)
    host.stop("before", "it is run again")
    _until_none_lives(host)
    past = [PastCall(_component(node), node) for node in heard.calls["before", ""]]
    host.open(opened("again", entry, again=True))
    host.page("again", "", Page(past, ended, last=True))
    return host


def _component(node: PlanNode) -> str:
    return str(node.kind) if node.spec is None else node.id.partition("-")[0].partition("@")[0]


def left_with(heard: Heard) -> ErrorRecord:
    error = heard.end("again").error
    assert error is not None
    return error


@pytest.fixture
def heard() -> Heard:
    met.clear()
    unwinds.clear()
    may_end.clear()
    return Heard()


@pytest.mark.parametrize("entry", ["handles_it", "suppresses_it", "tries_for_ever", "raises_another", "gathers_it"])
def test_a_body_ends_with_its_mismatch_whatever_it_does_with_it(heard: Heard, entry: str) -> None:
    replayed(heard, entry)
    error = left_with(heard)
    assert (error.error_type, error.code) == ("ReplayMismatch", "replay_mismatch")
    assert "(x=1)" in error.message
    assert "(x=2)" in error.message
    assert entry in (error.traceback or "") or entry == "gathers_it"  # there it came by a helper's frame
    assert not heard.calls["again", ""]


def test_a_mismatch_of_a_body_that_was_stopped_is_not_told(heard: Heard) -> None:
    host = BodyHost(heard, Here())
    host_of[:] = [host]
    host.open(opened("again", "stops_itself", again=True))
    host.page("again", "", Page([PastCall("work", PlanNode("work", spec=0))], last=True))
    _until_none_lives(host)
    assert ("again", "") not in heard.closed


def test_each_further_call_and_wait_raises_it_again(heard: Heard) -> None:
    replayed(heard, "holds_on")
    assert left_with(heard).error_type == "ReplayMismatch"
    assert met == ["BodyMismatched"] * 3


def test_a_body_that_is_stopped_while_it_unwinds_from_a_mismatch_says_nothing(heard: Heard) -> None:
    host = replayed(heard, "ends_late")
    assert unwinds.wait(PATIENCE)
    host.stop("again", "cancelled")
    may_end.set()
    _until_none_lives(host)
    assert ("again", "") not in heard.closed


@pytest.mark.parametrize(
    ("entry", "raised"),
    [
        ("raises_early", "ValueError: the file is gone"),
        ("raises_early_awaiting", "ValueError: the file is gone"),
        ("exits_early", "SystemExit: 3"),
    ],
)
def test_what_is_raised_before_history_is_repeated_is_a_mismatch_that_shows_it(
    heard: Heard, entry: str, raised: str
) -> None:
    replayed(heard, entry)
    error = left_with(heard)
    assert (error.error_type, error.code) == ("ReplayMismatch", "replay_mismatch")
    assert f"the code now: it raises {raised}" in error.message
    assert "it called " in error.message
    assert error.traceback is not None
    assert raised in error.traceback.partition("direct cause")[0]


def test_a_recorded_failure_that_was_handled_before_and_is_not_now_is_a_mismatch(heard: Heard) -> None:
    replayed(heard, "no_longer_handles", over=(failed,), calls=2)
    error = left_with(heard)
    assert error.error_type == "ReplayMismatch"
    assert "it raises" in error.message


@pytest.mark.parametrize(
    ("entry", "name"), [("fails_as_before", "ValueError"), ("is_interrupted", "KeyboardInterrupt")]
)
def test_what_history_led_to_and_an_interrupt_stay_what_they_are(heard: Heard, entry: str, name: str) -> None:
    replayed(heard, entry)
    assert left_with(heard).error_type == name


def test_a_value_that_cannot_be_read_here_is_no_mismatch(heard: Heard) -> None:
    replayed(heard, "loses_a_class", over=(completed,), lost=("1",), calls=2)
    assert left_with(heard).error_type == "ImportError"


def test_calls_of_other_tasks_may_be_left_when_the_body_itself_raises(heard: Heard) -> None:
    replayed(heard, "task_gets_further", over=(completed, completed), calls=2)
    assert left_with(heard).error_type == "ValueError"


def test_an_argument_that_is_only_spelled_otherwise_is_the_same(heard: Heard) -> None:
    replayed(heard, "spells_otherwise")
    assert heard.end("again").result == ("1",)
    assert not heard.calls.get(("again", ""))


def test_the_name_of_a_signal_is_compared(heard: Heard) -> None:
    replayed(heard, "waits_for_another", over=(), calls=1)
    error = left_with(heard)
    assert error.error_type == "ReplayMismatch"
    assert "signal('a')" in error.message
    assert "wait_for_signal('b')" in error.message


def _until_none_lives(host: BodyHost) -> None:
    while host.live():
        threading.Event().wait(0.001)
