"""Named limits: how many nodes may hold the same name at once, in one conductor."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

Holder = tuple[int, str]  # (execution number, node)


class LimitBook:
    """Grants limits by priority, then by order of asking. A node gets all of its limits or waits for all."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}
        self._held: dict[Holder, tuple[tuple[str, int], ...]] = {}
        self._queue: list[tuple[int, int, Holder, tuple[tuple[str, int], ...]]] = []
        self._asked = 0

    def ask(self, holder: Holder, limits: tuple[tuple[str, int], ...], priority: int) -> list[Holder]:
        """Stand in line; who is granted now."""
        self._asked += 1
        heapq.heappush(self._queue, (-priority, self._asked, holder, limits))
        return self._grant()

    def release(self, holders: Iterable[Holder]) -> list[Holder]:
        """These no longer hold or want anything; who is granted now."""
        gone = set(holders)
        for holder in gone:
            for name, _ in self._held.pop(holder, ()):
                self._used[name] -= 1
        if any(entry[2] in gone for entry in self._queue):
            self._queue = [entry for entry in self._queue if entry[2] not in gone]
            heapq.heapify(self._queue)
        return self._grant()

    def holders(self, number: int) -> list[Holder]:
        """Everything that one execution holds or wants."""
        waiting = [entry[2] for entry in self._queue if entry[2][0] == number]
        return waiting + [holder for holder in self._held if holder[0] == number]

    def _grant(self) -> list[Holder]:
        granted, left = [], []
        while self._queue:
            entry = heapq.heappop(self._queue)
            _, _, holder, limits = entry
            if all(self._used.get(name, 0) < most for name, most in limits):
                for name, _ in limits:
                    self._used[name] = self._used.get(name, 0) + 1
                self._held[holder] = limits
                granted.append(holder)
            else:
                left.append(entry)
        self._queue = left
        heapq.heapify(self._queue)
        return granted
