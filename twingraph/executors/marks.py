"""What a worker and its parent both see at any moment: a few numbers in shared memory. Python 3.8.

Each number is one aligned 8-byte word, so that a write is whole or not there. The worker writes BEGUN and then reads
the recall range; the parent writes the range and, a moment later, reads BEGUN. Whichever comes first, both agree
about every run outside of that moment. A worker that can no longer speak is still readable here.
"""

from __future__ import annotations

import contextlib
import mmap
import time

SIZE = 64
BEGUN, LOW, HIGH, CUT_OFF = range(4)


class Marks:
    """Runs are numbered per worker, from 1."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, SIZE)
        view = memoryview(self._map)
        self._numbers = view[:32].cast("q")
        self._times = view[32:].cast("d")

    def begin(self, number: int, at: float) -> bool:
        """The worker's side. False: the run was recalled and must not be carried out."""
        self._times[0] = at
        self._times[1] = time.monotonic()
        self._numbers[BEGUN] = number
        return not self._numbers[LOW] <= number < self._numbers[HIGH]

    def recall(self, low: int, high: int) -> None:
        """The parent's side. A later range may only lie higher; in between every mixture of both is right."""
        self._numbers[LOW] = low
        self._numbers[HIGH] = high

    def cut_off(self) -> None:
        """The worker's last word, when its pipes are gone: user code closed them."""
        self._numbers[CUT_OFF] = 1

    @property
    def is_cut_off(self) -> bool:
        return self._numbers[CUT_OFF] == 1

    @property
    def begun(self) -> int:
        return self._numbers[BEGUN]

    @property
    def at(self) -> float:
        """When the last run began, in seconds since the epoch."""
        return self._times[0]

    @property
    def since(self) -> float:
        """The same by the monotonic clock, which all processes share: what a limit is measured by."""
        return self._times[1]

    def close(self) -> None:
        self._numbers.release()
        self._times.release()
        with contextlib.suppress(BufferError):  # a view is still looked at; it goes with its last reader
            self._map.close()
