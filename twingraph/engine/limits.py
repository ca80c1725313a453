"""Named limits: how many nodes may hold the same name at once, in one conductor."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

Holder = tuple[int, str]  # (execution number, node)
Limits = tuple[tuple[str, int], ...]  # (name, how many at once)


class LimitBook:
    """Grants limits by priority, then by order of asking. A node gets all of its limits or waits for all.

    Those that want the same limits stand in one line, so that an answer looks at the heads of lines alone.
    """

    def __init__(self) -> None:
        self._used: dict[str, int] = {}
        self._held: dict[Holder, Limits] = {}
        self._lines: dict[Limits, list[tuple[int, int, Holder]]] = {}
        self._waiting: dict[Holder, int] = {}  # the number under which each stands in its line
        self._asked = 0

    def ask(self, holder: Holder, limits: Limits, priority: int) -> list[Holder]:
        """Stand in line; who is granted now."""
        self._asked += 1
        self._waiting[holder] = self._asked
        heapq.heappush(self._lines.setdefault(limits, []), (-priority, self._asked, holder))
        return self._grant()

    def release(self, holders: Iterable[Holder]) -> list[Holder]:
        """These no longer hold or want anything; who is granted now."""
        for holder in holders:
            self._waiting.pop(holder, None)
            for name, _ in self._held.pop(holder, ()):
                self._used[name] -= 1
                if not self._used[name]:
                    del self._used[name]
        return self._grant()

    def holders(self, number: int) -> list[Holder]:
        """Everything that one execution holds or wants."""
        return [holder for holder in (*self._waiting, *self._held) if holder[0] == number]

    def _grant(self) -> list[Holder]:
        granted: list[Holder] = []
        while True:
            heads = [(line[0], limits) for limits, line in self._open_lines() if self._is_free(limits)]
            if not heads:
                return granted
            (_, _, holder), limits = min(heads)
            heapq.heappop(self._lines[limits])
            del self._waiting[holder]
            for name, _ in limits:
                self._used[name] = self._used.get(name, 0) + 1
            self._held[holder] = limits
            granted.append(holder)

    def _open_lines(self) -> list[tuple[Limits, list[tuple[int, int, Holder]]]]:
        """The lines that have somebody at their head; who left is forgotten here."""
        for limits, line in list(self._lines.items()):
            while line and self._waiting.get(line[0][2]) != line[0][1]:
                heapq.heappop(line)
            if not line:
                del self._lines[limits]
        return list(self._lines.items())

    def _is_free(self, limits: Limits) -> bool:
        return all(self._used.get(name, 0) < most for name, most in limits)
