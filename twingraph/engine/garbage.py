"""The search for garbage while large executions are held.

Python looks through everything that it has, every time that a quarter has come to it: half a second for an execution
of 100,000 nodes, in which nothing else of the process goes on. But all of that is in use as long as the execution is
here, and so is nearly all that there was before. So what is there when an execution turns out to be large is left out
at once (`gc.freeze`), but for what came last, which is looked through in a moment; and from then on whatever has been
looked through, and is in use. When no large execution is held any more, it all is as it was.

What a script drops meanwhile is found as ever, but for what had been left out before it was dropped: that is found at
the end, or once twice as much is left out as there was at first, or was in use when all was looked through last, or
has come since with the nodes of large executions, for then all is looked through again. So one that grows does not
lead to that, and what stays is still bounded by what is needed: Python itself lets garbage come to a quarter of all.
How much is left out Python counts one by one (20 to 100 ns each), so at first it is guessed, and then summed up from
what Python knows to be new at each search. As that sum does not go down with what is freed, it is counted anew before
all is looked through.

Who has frozen objects before, or switched the search off, is left alone. Thresholds that a script sets meanwhile stay;
but what it freezes meanwhile is unfrozen with ours, since Python keeps all of it in one place.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from twingraph.engine.sizes import USUAL

# From so many nodes on to look through an execution takes some milliseconds.
LARGE = USUAL.large_nodes
# While one is held, all that is new is looked through when it is about so many objects: it takes 6 ms.
_NEW = 30_000

# So many objects, about, that Python would look through are a node's: 8 to 12, with the arguments and handles of a body
# in this process up to 20, which may also be ahead of what is known here.
_PER_NODE = 20

# So many blocks of memory, about, are one object that Python would look through and what it refers to: 2 to 5. How many
# blocks there are Python knows; to count a million objects took 60 ms, in which nobody else had a turn.
BLOCKS_OF_AN_OBJECT = 4

# Python 3.12 leaves out some hundred objects by itself.
_OF_PYTHON = 1_000


def grow_old() -> None:
    """What there is now counts as looked through: it was just made, with the search switched off, and is in use. The
    first two searches after would each go through all of it. Whoever has frozen objects is left alone."""
    if gc.get_freeze_count() <= _OF_PYTHON:
        gc.freeze()
        gc.unfreeze()  # with the oldest


class Collector(Protocol):
    """What is asked of the module `gc`."""

    callbacks: list[Any]

    def isenabled(self) -> bool: ...
    def collect(self, generation: int = ..., /) -> int: ...
    def freeze(self) -> None: ...
    def unfreeze(self) -> None: ...
    def get_freeze_count(self) -> int: ...
    def get_count(self) -> tuple[int, int, int]: ...
    def get_threshold(self) -> tuple[Any, Any, Any]: ...
    def set_threshold(self, threshold0: int, threshold1: int = ..., threshold2: int = ..., /) -> None: ...


class Garbage:
    """Belongs to one conductor's loop."""

    def __init__(self, collector: Collector = gc, blocks: Callable[[], int] = sys.getallocatedblocks) -> None:
        self._gc = collector
        self._blocks = blocks
        self._large: dict[int, int] = {}  # how many nodes each has
        self._usual: tuple[int, int, int] | None = None  # thresholds, while ours are in force
        self._ours = (0, 0, 0)
        self._others = 0  # objects at first, or in use when all was looked through last, beside those of nodes
        self._left_out = 0  # objects at most, as summed up
        self._counted = 0  # objects, when they were counted last; none: it is to be counted anew
        self._new = 0  # objects at most, which are not left out yet
        self._looks_at_all = False

    @property
    def in_force(self) -> bool:
        """Whether circles that are dropped now may stay for long."""
        return self._usual is not None

    def holds(self, number: int, nodes: int) -> None:
        """An execution has come to have so many nodes."""
        if nodes > LARGE:
            known = number in self._large
            self._large[number] = nodes
            if not known and self._usual is None and self._gc.isenabled() and self._gc.get_freeze_count() <= _OF_PYTHON:
                first, second, third = self._gc.get_threshold()
                # A search of one kind comes when there were more of the kind before than its threshold.
                self._ours = first, second, min(third, max(1, _NEW // ((first + 1) * (second + 2))) - 1)
                self._usual = first, second, third
                self._looks_at_all = False
                self._gc.set_threshold(*self._ours)
                self._gc.collect(1)
                self._gc.freeze()
                self._gc.collect()  # of next to nothing, else Python would wait for a quarter of what there was
                self._left_out = self._counted = self._blocks() // BLOCKS_OF_AN_OBJECT
                self._others = max(0, self._left_out - self._of_nodes())
                self._new = 0
                self._gc.callbacks.append(self._looked)

    def makes(self, number: int, nodes: int) -> None:
        """One is being begun or read back, and has so many nodes by now. What is new is in use, and is left out unseen;
        whatever a script drops in this moment waits until all is looked through."""
        self.holds(number, nodes)
        if self._usual is not None:
            self._new += self._gc.get_count()[0]
            self._leave_out()

    def drops(self, number: int) -> None:
        """It is not held any more."""
        if self._large.pop(number, None) is not None:
            self._counted = 0  # much of that is no longer needed
        if not self._large:
            self._restore()

    def end(self) -> None:
        """Nothing is held any more. Also in a forked child, whatever its parent was about to do here."""
        self._large.clear()
        self._restore()

    def _restore(self) -> None:
        if self._usual is None:
            return
        with suppress(ValueError):  # a script may have emptied the list
            self._gc.callbacks.remove(self._looked)
        if self._gc.get_threshold() == self._ours:
            self._gc.set_threshold(*self._usual)
        self._gc.unfreeze()
        self._usual = None

    def _looked(self, phase: str, told: dict[str, int]) -> None:
        """On whichever thread."""
        if phase == "start":
            self._new += self._gc.get_count()[0]  # since the last search
            if told["generation"] == 2:
                self._looks_at_all = self._is_twice()
                if self._looks_at_all:
                    self._gc.unfreeze()
            return
        self._new = max(0, self._new - told["collected"])
        if told["generation"] == 2:
            self._leave_out()  # everything that is left was found to be in use
            if self._looks_at_all:
                self._others = self._left_out_beside_nodes()
                self._looks_at_all = False
            if not self._large:  # the last one was dropped on its thread meanwhile
                self._gc.unfreeze()

    def _leave_out(self) -> None:
        self._gc.freeze()
        self._left_out, self._new = self._left_out + self._new, 0

    def _is_twice(self) -> bool:
        """It is counted only when it may be, and half more than when it was counted last."""
        most = 2 * (self._others + self._of_nodes())
        return self._left_out > max(most, 1.5 * self._counted) and self._count() > most

    def _count(self) -> int:
        self._left_out = self._counted = self._gc.get_freeze_count()
        return self._counted

    def _left_out_beside_nodes(self) -> int:
        return max(0, self._count() - self._of_nodes())

    def _of_nodes(self) -> int:
        return _PER_NODE * sum(self._large.values())
