"""An event loop whose time a test moves: nothing happens by itself."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Any


class HandLoop:
    """As much of a loop as things need that only put calls off."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._count = 0
        self._later: list[tuple[float, int, Callable[[], object]]] = []
        self._soon: deque[Callable[[], object]] = deque()

    def time(self) -> float:
        return self._now

    def call_soon(self, act: Callable[..., object], *args: Any) -> None:
        self._soon.append(lambda: act(*args))

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, act: Callable[..., object], *args: Any) -> None:
        self._count += 1
        heapq.heappush(self._later, (self._now + delay, self._count, lambda: act(*args)))

    def settle(self) -> None:
        """Whatever happens now, with what comes of it."""
        while self._soon:
            self._soon.popleft()()

    def advance(self, seconds: float) -> None:
        self.settle()
        until = self._now + seconds
        while self._later and self._later[0][0] <= until:
            self._now, _, act = heapq.heappop(self._later)
            act()
            self.settle()
        self._now = until
