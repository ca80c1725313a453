"""The time that a conductor writes into the journal, and by which it measures how long something takes.

It begins as the time of the day and is carried on by a clock that nobody can set: when the machine's time jumps, in
either direction, no time limit is used up and no wait grows. The time of the day is taken anew while nothing runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """`wall` may jump, `steady` may not. Used on one thread."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._steady = steady
        self.adjust()

    def adjust(self) -> None:
        """Take the time of the day over. Only while nobody measures anything."""
        self._offset = self._wall() - self._steady()

    def now(self) -> float:
        return self._steady() + self._offset
