"""The same test takes the same turns, however busy the machine is."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from twingraph import component, pipeline
from twingraph.testing import Inline, sequence

PATIENCE = 20.0

dawdling: list[float] = []  # how long each of the bodies below takes, which nothing may depend on
ended: list[str] = []
let_on = threading.Event()
interrupted = threading.Event()


@component
def work(x: int) -> int:
    return x


@component(retry_policy={"max_attempts": 2, "backoff": "fixed", "initial_delay": 30, "jitter": 1})
def flaky(x: int) -> int:
    return x


@pipeline
def child(number: int) -> int:
    time.sleep(dawdling[number])
    first = work(number)
    time.sleep(dawdling[number])
    return work(first)


@pipeline
def family() -> list[int]:
    return [child(number) for number in range(3)]


@pipeline
def takes_leave() -> int:
    try:
        return work(1) + 1
    finally:
        time.sleep(0.05)
        ended.append("takes_leave")


@pipeline
def tried_again() -> int:
    return flaky(1)


@pipeline
def is_interrupted() -> int:
    while not interrupted.wait(0.01):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    let_on.wait(PATIENCE)
    ended.append("is_interrupted")
    return work(1)


@pytest.fixture(autouse=True)
def _nothing_yet() -> None:
    ended.clear()
    let_on.clear()
    interrupted.clear()


def journal(times: list[float], *, evict: bool) -> list[list[tuple[str, str]]]:
    dawdling[:] = times
    execution = Inline(evict=evict).start(family)
    assert execution.result() == [0, 1, 2]
    return [[(row.kind, row.body) for row in commit] for commit in execution.commits]


@pytest.mark.parametrize("evict", [False, True])
def test_the_journal_does_not_tell_which_body_was_slow(evict: bool) -> None:
    quick = journal([0, 0, 0], evict=evict)
    assert journal([0.05, 0.02, 0], evict=evict) == quick


def test_after_a_crash_no_body_of_the_life_before_goes_on() -> None:
    execution = Inline().begin(takes_leave)
    while not any("work" in node for node in execution.nodes):
        execution.world.life.turn()
    execution.crash()
    assert ended == ["takes_leave"]


def test_the_next_attempt_comes_exactly_when_its_policy_says() -> None:
    execution = Inline({flaky: sequence(ValueError("busy"), 7)}).start(tried_again)
    execution.advance(29)
    assert not execution.over
    execution.advance(1)
    assert execution.result() == 7


@pytest.fixture
def interrupts() -> Iterator[None]:
    def once(*_: Any) -> None:
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, once)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_who_interrupts_a_test_does_not_wait_for_its_bodies() -> None:
    inline = Inline()
    with pytest.raises(KeyboardInterrupt):
        inline.start(is_interrupted)
    inline.close()
    assert not ended
    let_on.set()
    _until(lambda: ended == ["is_interrupted"])


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < end:
        time.sleep(0.001)
    assert holds()
