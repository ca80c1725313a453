"""A clock that stands still until a test moves it."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Hashable
from datetime import UTC, datetime, timedelta

# Where it stands at first, unless the test says otherwise: any moment will do that is always the same.
BEGINNING = datetime(2030, 1, 1, tzinfo=UTC)


class Clock:
    """`advance(seconds)` moves it on, and on the way everything happens that is due."""

    def __init__(self, start: datetime = BEGINNING) -> None:
        if start.tzinfo is None:
            raise ValueError("the clock's start needs a time zone: datetime(..., tzinfo=UTC)")
        self._start = self._at = start.timestamp()
        self._heap: list[tuple[float, int, Hashable]] = []
        self._timers: dict[Hashable, tuple[int, Callable[[], None]]] = {}
        self._numbers = itertools.count()
        self.settle: Callable[[], None] = lambda: None  # lets happen what can happen now

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self._at, UTC)

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._at - self._start

    def time(self) -> float:
        return self._at

    def advance(self, seconds: float | timedelta) -> None:
        if isinstance(seconds, timedelta):
            seconds = seconds.total_seconds()
        if not seconds >= 0:
            raise ValueError(f"time does not go back: advance takes 0 seconds or more, not {seconds!r}")
        self.settle()
        until = self._at + seconds
        while (due := self.next_due()) is not None and due <= until:
            self.jump()
        self._at = max(self._at, until)

    def jump(self) -> None:
        """To the next moment at which something is due."""
        due, number, key = heapq.heappop(self._heap)
        timer = self._timers.get(key)
        if timer is not None and timer[0] == number:
            del self._timers[key]
            self._at = max(self._at, due)
            timer[1]()
            self.settle()

    # -- timers ------------------------------------------------------------------------------------

    def next_due(self) -> float | None:
        while self._heap and self._timers.get(self._heap[0][2], (None,))[0] != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def set(self, key: Hashable, delay: float, act: Callable[[], None]) -> None:
        number = next(self._numbers)
        if delay == math.inf:  # never due
            self._timers.pop(key, None)
            return
        self._timers[key] = number, act
        heapq.heappush(self._heap, (self._at + delay, number, key))

    def clear(self, key: Hashable) -> None:
        self._timers.pop(key, None)


class Timers:
    """Those of the executions of one life, on this clock: what the conductor has its loop for."""

    def __init__(self, clock: Clock, fired: Callable[[int, str], None]) -> None:
        self._clock = clock
        self._fired = fired
        self._set: set[tuple[int, str]] = set()

    def set(self, number: int, timer: str, delay: float) -> None:
        self._set.add((number, timer))
        self._clock.set((id(self), number, timer), delay, lambda: self._due(number, timer))

    def _due(self, number: int, timer: str) -> None:
        self._set.discard((number, timer))
        self._fired(number, timer)

    def clear(self, number: int, timer: str) -> None:
        self._set.discard((number, timer))
        self._clock.clear((id(self), number, timer))

    def clear_all(self, number: int | None = None) -> None:
        for held, timer in [one for one in self._set if number is None or one[0] == number]:
            self.clear(held, timer)
