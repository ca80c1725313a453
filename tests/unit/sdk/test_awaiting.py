"""Waiting for an execution in somebody else's loop: whoever is cancelled, and however often, it is stopped once."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

import pytest

from twingraph import wiring
from twingraph.core.statuses import ExecutionStatus
from twingraph.engine.handle import Handle
from twingraph.sdk import inprocess
from twingraph.sdk.awaiting import until_over
from twingraph.sdk.inprocess import Begun


class Slow:
    """An execution that begins and stops when it may."""

    def __init__(self) -> None:
        self.may_begin, self.begun = threading.Event(), threading.Event()
        self.may_stop, self.stopping = threading.Event(), threading.Event()
        self.stops: list[int] = []
        self.over = threading.Event()

    def begin(self) -> Slow:
        self.begun.set()
        assert self.may_begin.wait(20)
        return self

    def wait(self) -> None:
        assert self.over.wait(20)

    def stop(self, presses: int) -> None:
        self.stopping.set()
        assert self.may_stop.wait(20)
        self.stops.append(presses)
        self.over.set()


async def heard(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 20)


async def cancelled(task: asyncio.Task[object]) -> None:
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_it_gives_what_was_begun_once_that_is_over() -> None:
    slow = Slow()
    slow.may_begin.set()
    slow.over.set()
    assert await until_over(slow.begin) is slow


async def test_who_is_cancelled_before_it_has_begun_stops_it_once_it_has() -> None:
    slow = Slow()
    task = asyncio.create_task(until_over(slow.begin))
    await heard(slow.begun)
    task.cancel()
    await asyncio.sleep(0)
    slow.may_begin.set()
    slow.may_stop.set()
    await cancelled(task)
    assert slow.stops == [0]


@pytest.mark.parametrize("is_begun", [False, True])
async def test_who_is_cancelled_again_leaves_nothing_running(is_begun: bool) -> None:
    slow = Slow()
    task = asyncio.create_task(until_over(slow.begin))
    await heard(slow.begun)
    if is_begun:
        slow.may_begin.set()
    task.cancel()
    if is_begun:
        await heard(slow.stopping)
    else:
        await asyncio.sleep(0)
    task.cancel()
    await cancelled(task)
    slow.may_begin.set()
    slow.may_stop.set()
    await heard(slow.over)
    assert slow.stops == [0]


class Nobody:
    """Whom the handle of this test asks for nothing."""

    def interrupt(self, execution_id: str, *, kill: bool) -> None: ...

    def cancel(self, execution_id: str) -> object: ...


class Alone:
    """Of a runtime as much as somebody asks who waits."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def interrupt(self, execution: str, *, kill: bool) -> None:
        self._handle.end(ExecutionStatus.PAUSED)

    def cancel(self, execution: str) -> None:
        self._handle.end(ExecutionStatus.CANCELLED)


@pytest.mark.parametrize("presses", [0, 1])
def test_who_stops_it_waits_until_its_last_line_is_drawn(presses: int) -> None:
    """Else a program would exit while another thread still writes to its terminal."""
    drawing, may_draw = threading.Event(), threading.Event()
    drawn: list[str] = []

    @contextmanager
    def shown() -> Iterator[None]:
        yield
        drawing.set()
        assert may_draw.wait(20)
        drawn.append("the last line")

    handle = Handle("exec-a", Nobody())
    begun = Begun(cast("wiring.Runtime", Alone(handle)), handle, shown())
    waits = threading.Thread(target=begun.wait)
    stops = threading.Thread(target=begun.stop, args=(presses,))
    waits.start()
    stops.start()
    assert drawing.wait(20)
    stops.join(0.05)
    assert stops.is_alive()
    may_draw.set()
    for thread in (waits, stops):
        thread.join(20)
        assert not thread.is_alive()
    assert drawn == ["the last line"]


class Pressed:
    """A runtime on whose terminal Ctrl-C is pressed again while it still answers the press before."""

    def __init__(self, handle: Handle, presses: int) -> None:
        self._handle, self._left = handle, presses
        self.kills: list[bool] = []

    def interrupt(self, execution: str, *, kill: bool) -> None:
        self.kills.append(kill)
        self._left -= 1
        if self._left:
            signal.raise_signal(signal.SIGINT)
        else:
            self._handle.end(ExecutionStatus.PAUSED)


class WaitedFor(Handle):
    """One at which somebody presses as soon as they wait."""

    pressed = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self.pressed:
            self.pressed = True
            signal.raise_signal(signal.SIGINT)
        return super().wait(timeout)


@pytest.mark.parametrize("presses", [1, 2, 3])
def test_a_press_that_comes_while_the_last_is_answered_counts(presses: int) -> None:
    """It would end the script, which then waits for what it should kill."""
    handle = WaitedFor("exec-a", Nobody())
    runtime = Pressed(handle, presses)
    with pytest.raises(KeyboardInterrupt):
        inprocess._wait(cast("wiring.Runtime", runtime), handle)
    assert runtime.kills == [False, True, True][:presses]
    assert handle.status is ExecutionStatus.PAUSED
