"""One time for all: what will happen is kept in order, and happens one at a time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

Act = Callable[[], object]


class Killed(BaseException):
    """The process that was doing something is dead; nothing in it may catch this."""


class Halt(BaseException):
    """A promise does not hold: nothing that is simulated may catch this."""


class Agenda:
    """What will happen, in order of time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._count = 0
        self._heap: list[tuple[float, int, Act]] = []

    def after(self, delay: float, act: Act) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self.now + max(0.0, delay), self._count, act))

    def step(self, until: float = float("inf")) -> bool:
        """Let the next thing happen; False when nothing does before `until`."""
        if not self._heap or self._heap[0][0] > until:
            return False
        when, _, act = heapq.heappop(self._heap)
        self.now = max(self.now, when)
        act()
        return True

    def pass_until(self, when: float) -> None:
        """Others go on while somebody waits."""
        while self.step(when):
            pass
        self.now = max(self.now, when)


class Alarm:
    """A call that was put off."""

    def __init__(self, act: Act) -> None:
        self.act: Act | None = act

    def cancel(self) -> None:
        self.act = None


class ProcessLoop:
    """As much of an event loop as a conductor uses. Its callbacks run one after another, each takes a moment."""

    def __init__(self, agenda: Agenda, lag: Callable[[], float], ended: Callable[[BaseException | None], None]) -> None:
        self._agenda = agenda
        self._lag = lag  # how long a callback takes
        self._ended = ended  # called once it has stopped or was killed
        self._ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._planned = False
        self._handler: Callable[[Any, dict[str, Any]], object] | None = None
        self._stopping = False
        self.inside = False
        self.dead = False
        self.asleep_until = 0.0

    def time(self) -> float:
        return self._agenda.now

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        if not self.dead:
            self._ready.append((callback, args))
            self._plan()

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Alarm:
        alarm = Alarm(lambda: callback(*args))

        def due() -> None:
            if alarm.act is not None:
                self.call_soon(lambda: alarm.act() if alarm.act is not None else None)

        self._agenda.after(delay, due)
        return alarm

    def run_until_complete(self, future: Coroutine[Any, Any, Any]) -> Any:
        try:
            future.send(None)
        except StopIteration as over:
            return over.value
        raise AssertionError("what is simulated never waits for a future")

    def set_exception_handler(self, handler: Callable[[Any, dict[str, Any]], object] | None) -> None:
        self._handler = handler

    def stop(self) -> None:
        self._stopping = True
        self._plan()

    def close(self) -> None:
        self.dead = True
        self._ready.clear()

    def wake(self) -> None:
        """It may go on: it is not asleep, or inside a call, any more."""
        self._plan()

    def _plan(self) -> None:
        if not (self._planned or self.dead or self.inside) and (self._ready or self._stopping):
            self._planned = True
            self._agenda.after(self.asleep_until - self._agenda.now, self._turn)

    def _turn(self) -> None:
        self._planned = False
        if self.dead or self.inside:
            return
        if self.asleep_until > self._agenda.now:
            self._plan()
            return
        fault: BaseException | None = None
        self.inside = True
        try:
            self._do_one()
        except Killed as killed:
            fault = killed
            self.dead = True
        finally:
            self.inside = False
        if fault is not None or self._stopping:
            self._stopping = False
            self._ended(fault)
        if self._ready and not self.dead:
            self._planned = True
            self._agenda.after(self._lag(), self._turn)

    def _do_one(self) -> None:
        if self._stopping or not self._ready:
            return
        callback, args = self._ready.popleft()
        try:
            callback(*args)
        except Exception as error:
            assert self._handler is not None
            self._handler(self, {"exception": error})
