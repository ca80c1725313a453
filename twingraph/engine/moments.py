"""Turns on the conductor's loop: how long something may keep all executions waiting before it is the turn of others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# So long at most. What cannot be put off in between must itself stay well below.
MOMENT_SECONDS = 0.005


class Moments:
    """The loop, and the time that passes on it. `pace` tells the seconds that were worked."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pace: Callable[[], float]) -> None:
        self.soon = loop.call_soon
        self.later = loop.call_later
        self._pace = pace

    def end(self) -> float:
        """When a moment that begins now will be over."""
        return self._pace() + MOMENT_SECONDS

    def over(self, end: float) -> bool:
        return self._pace() > end
