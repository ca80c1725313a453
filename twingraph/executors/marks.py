"""What a worker and its parent both see at any moment: a few numbers in shared memory. Python 3.8.

Each number is one aligned 8-byte word, so that a write is whole or not there. The worker writes BEGUN and then reads
the recall range; the parent writes the range and, a moment later, reads BEGUN. Whichever comes first, both agree
about every run outside of that moment. A worker that can no longer speak is still readable here.

A process that runs one node after another uses the first block. Where runs of several lanes wait at once on one loop,
each lane has a block of its own, and the second tells which run has the loop at this moment.
"""

from __future__ import annotations

import contextlib
import mmap
from typing import Any

from twingraph.executors.context import RealClock

BLOCK = 64
LANES = 512  # that one process can have open at once
STEPS = 1  # the block that tells of the loop
FIRST = 2  # the first block of a lane
_WORDS = BLOCK * (FIRST + LANES)  # where the process's last words begin
SIZE = _WORDS + (1 << 19)
LEAST = _WORDS + (1 << 14)
BEGUN, LOW, HIGH, CUT_OFF = range(4)


class Marks:
    """Runs are numbered per worker, from 1."""

    def __init__(self, descriptor: int) -> None:
        self._map: Any = mmap.mmap(descriptor, 0)
        self._whole = memoryview(self._map)
        self._look_at(0)

    def _look_at(self, block: int) -> None:
        start = block * BLOCK
        self._numbers = self._whole[start : start + 32].cast("q")
        self._times = self._whole[start + 32 : start + BLOCK].cast("d")

    def block(self, number: int) -> Marks:
        """Another block of the same memory. To be closed before this one."""
        other = object.__new__(Marks)
        other._map, other._whole = None, self._whole
        other._look_at(number)
        return other

    def words(self) -> Any:
        """The memory for `last_words`. To be released before this is closed."""
        return self._whole[_WORDS:]

    def begin(self, number: int, at: float) -> bool:
        """The worker's side. False: the run was recalled and must not be carried out."""
        self._times[0] = at
        self._times[1] = RealClock.steady()
        self._numbers[BEGUN] = number
        return not self._numbers[LOW] <= number < self._numbers[HIGH]

    def step(self, number: int, since: float) -> None:
        """The worker's side: this run has the loop since then; 0: none has."""
        self._times[1] = since
        self._numbers[BEGUN] = number

    def tell(self, number: int) -> None:
        """The worker's side: it has itself said of this run that it keeps the loop."""
        self._numbers[CUT_OFF] = number

    @property
    def told(self) -> int:
        return self._numbers[CUT_OFF]

    def recall(self, low: int, high: int) -> None:
        """The parent's side. A later range may only lie higher; in between every mixture of both is right."""
        self._numbers[LOW] = low
        self._numbers[HIGH] = high

    def note_child(self) -> None:
        """The worker's side: user code starts a process."""
        self._times[2] = 1.0

    @property
    def has_children(self) -> bool:
        return self._times[2] != 0.0

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
        if self._map is not None:
            with contextlib.suppress(BufferError):  # a view is still looked at; it goes with its last reader
                self._whole.release()
                self._map.close()
