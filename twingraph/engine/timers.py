"""Timers of executions on the conductor's loop. Nothing is persisted: what is due stands in the state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# The longest wait that is handed to the loop at once; longer ones are set again when it is over.
LONGEST = 86_400.0


class Timers:
    def __init__(
        self, loop: asyncio.AbstractEventLoop, fired: Callable[[int, str], None], longest: float = LONGEST
    ) -> None:
        self._longest = longest
        self._loop = loop
        self._fired = fired
        self._handles: dict[int, dict[str, asyncio.TimerHandle]] = {}

    def set(self, number: int, timer: str, delay: float) -> None:
        self.clear(number, timer)
        part = min(delay, self._longest)
        handle = self._loop.call_later(part, self._due, number, timer, delay - part)
        self._handles.setdefault(number, {})[timer] = handle

    def clear(self, number: int, timer: str) -> None:
        handle = self._handles.get(number, {}).pop(timer, None)
        if handle is not None:
            handle.cancel()

    def clear_all(self, number: int) -> None:
        for handle in self._handles.pop(number, {}).values():
            handle.cancel()

    def _due(self, number: int, timer: str, rest: float) -> None:
        self._handles.get(number, {}).pop(timer, None)
        if rest > 0:
            self.set(number, timer, rest)
        else:
            self._fired(number, timer)
