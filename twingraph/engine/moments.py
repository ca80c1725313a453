"""Turns on the conductor's loop: how long something may keep all executions waiting before it is the turn of others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

# So long at most. What cannot be put off in between must itself stay well below.
MOMENT_SECONDS = 0.005


class Moments:
    """The loop, and the time that passes on it. `pace` tells the seconds that were worked."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pace: Callable[[], float]) -> None:
        self.soon = loop.call_soon
        self.later = loop.call_later
        self._pace = pace

    def by_and_by(self, steps: Iterator[None], then: Callable[[], None] = lambda: None) -> None:
        """Carry this out from the next turn on, with turns of others between."""
        self.soon(self._go_on, steps, then)

    def _go_on(self, steps: Iterator[None], then: Callable[[], None]) -> None:
        end = self.end()
        for _ in steps:
            if self.over(end):
                self.soon(self._go_on, steps, then)
                return
        then()

    def end(self) -> float:
        """When a moment that begins now will be over."""
        return self._pace() + MOMENT_SECONDS

    def over(self, end: float) -> bool:
        return self._pace() > end
