"""Asking again what may be answered the next time: pauses that grow, with jitter, and an end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from twingraph.core.recordclass import recordclass

Result = TypeVar("Result")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


class Again(Exception):  # noqa: N818 - not an error yet
    """An attempt failed in a way that the next one may not."""


@recordclass(kw_only=False)
class Retries:
    """`attempts` in all; `sleep` and `chance` can be replaced by tests."""

    attempts: int
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def __call__(self, act: Callable[[], Result], failed: Callable[[Again, int], Exception]) -> Result:
        """What `act` gives; after the last attempt raises what `failed` makes of its `Again` and the attempts."""
        for attempt in range(1, self.attempts + 1):
            try:
                return act()
            except Again as again:
                if attempt == self.attempts:
                    raise failed(again, attempt) from again.__cause__
                self.sleep(self.pause(attempt))
        raise AssertionError("no attempt was allowed")

    def pause(self, attempt: int) -> float:
        """After this attempt: doubled each time; half of it is chance, so that many do not come back together."""
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**attempt)
        return longest * (0.5 + self.chance() / 2)
