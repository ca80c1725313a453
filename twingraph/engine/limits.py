"""Named limits: who waits for them in one conductor, and whose turn it is among all conductors.

What is held stands in the store; the book has the lines of those who wait here. It chooses inside the store's
transaction, on what the store counts and on what the other conductors wish, so that all of them follow one order: the
higher priority first, then who asked first. A node gets all of its limits or waits for all. It begins only while fewer
hold a name than its own limit says.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from twingraph.engine.sizes import USUAL
from twingraph.store.base import LimitChoice, Limits, LimitUse, Wanting, Wish

# Whoever waits looks this often without being called: a conductor that dies tells nobody.
LOOK_SECONDS = 1.0
# A wish of another conductor keeps a free place for so long. It may stand still and never take it.
PATIENCE = 1.0


class Place(NamedTuple):
    """Where somebody stands in line; the least goes first."""

    rank: int  # the priority, negative
    asked: float
    asked_as: int  # in order of asking
    wanting: Wanting


class LimitBook:
    """Those who wait in one conductor. Those that want the same limits stand in one line, so that a choice looks at the
    heads of lines alone."""

    def __init__(self, owner: str, most: int = USUAL.rows) -> None:
        """`most`: so many are granted with one transaction; the next goes on with it."""
        self.owner = owner
        self._most = most
        self._lines: dict[Limits, list[Place]] = {}
        self._left: dict[Limits, int] = {}  # who left is still in the line
        self._waiting: dict[int, dict[str, Place]] = {}  # by execution and node
        self._count = 0
        self._told: dict[Limits, tuple[int, float]] = {}  # what the others see of our lines
        self._yielding: dict[Wish, float] = {}  # since when a free place is left to them
        self.due = False
        self._looked = float("-inf")
        self._buried = float("-inf")

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def ask(self, wanting: Wanting, priority: int, now: float) -> None:
        """Stand in line; what was asked before for the same node counts no more."""
        self._count += 1
        place = Place(-priority, now, self._count, wanting)
        nodes = self._waiting.setdefault(wanting.number, {})
        if (before := nodes.get(wanting.node)) is not None:
            self._leaves(before)
        nodes[wanting.node] = place
        heapq.heappush(self._lines.setdefault(wanting.limits, []), place)
        self.due = True

    def release(self, number: int, nodes: Iterable[str]) -> None:
        """These want nothing any more, and what they may have held is free with the next transaction."""
        waiting = self._waiting.get(number)
        if waiting is not None:
            for node in nodes:
                if (place := waiting.pop(node, None)) is not None:
                    self._leaves(place)
            if not waiting:
                del self._waiting[number]
        self.due = bool(self._waiting or self._told)

    def drop(self, number: int) -> None:
        """Nothing of this execution waits here any more, or holds anything for us."""
        for place in self._waiting.pop(number, {}).values():
            self._leaves(place)
        self.due = bool(self._waiting or self._told)

    def clear(self) -> None:
        """Nobody waits here any more."""
        self._waiting.clear()
        self._lines.clear()
        self._left.clear()
        self.due = bool(self._told)

    def _leaves(self, place: Place) -> None:
        limits = place.wanting.limits
        self._left[limits] = self._left.get(limits, 0) + 1

    # -- turns -----------------------------------------------------------------------------------

    def turn(self, now: float) -> Turn | None:
        """What is to be done in the next transaction, if anything is."""
        if not self.due:
            return None
        return Turn(self, now, buries=_is_long_ago(self._buried, now))

    def is_overdue(self, now: float) -> bool:
        """Whether somebody waits, and nobody has looked for long."""
        return bool(self._waiting) and _is_long_ago(self._looked, now)

    def look(self, now: float) -> Turn:
        """Only to see how things stand."""
        return Turn(self, now, buries=False)

    def insist(self) -> None:
        """Take a turn with the next transaction."""
        self.due = True

    def could_go(self, use: LimitUse, now: float) -> bool:
        """Whether somebody would be granted as things stand."""
        return next(self.order(use, now), None) is not None

    def settle(self, turn: Turn) -> None:
        """The transaction of this turn is durable. Who was chosen and not granted is not ours any more."""
        choice = turn.choice
        assert choice is not None
        for wanting in choice.granted:  # they are out of their lines already
            nodes = self._waiting.get(wanting.number, {})
            nodes.pop(wanting.node, None)
            if not nodes:
                self._waiting.pop(wanting.number, None)
        for limits, first in choice.wishes.items():
            if first is None:
                self._told.pop(limits, None)
            else:
                self._told[limits] = first
        self.due = len(choice.granted) >= self._most
        self._looked = turn.now
        if turn.buries and choice.short:
            self._buried = turn.now

    # -- whose turn it is ------------------------------------------------------------------------

    def order(self, use: LimitUse, now: float) -> Iterator[list[Place]]:
        """Lines whose head may go, one after another; whoever asks for the next has taken the head away.

        Places only become fewer meanwhile, so a line that cannot go is out of it until the next turn.
        """
        held = dict(use.held)
        heads: list[tuple[int, float, str, Limits, Wish | None]] = [
            (line[0].rank, line[0].asked, self.owner, limits, None) for limits, line in self._open_lines().items()
        ]
        heads += [(-wish.priority, wish.asked, wish.owner, wish.limits, wish) for wish in use.wishes]
        heapq.heapify(heads)
        ours = len(heads) - len(use.wishes)
        yielding: dict[Wish, float] = {}
        while ours and heads:
            _, _, owner, limits, wish = heapq.heappop(heads)
            ours -= wish is None
            if not all(held.get(name, 0) < most for name, most in limits):
                continue
            if wish is not None:
                since = yielding[wish] = self._yielding.get(wish, now)
                if not 0 <= now - since <= PATIENCE:
                    continue
            for name, _ in limits:
                held[name] = held.get(name, 0) + 1
            if wish is None:
                line = self._lines[limits]
                yield line
                if (head := self._head(line)) is not None:
                    heapq.heappush(heads, (head.rank, head.asked, owner, limits, None))
                    ours += 1
        self._yielding = yielding

    def _open_lines(self) -> dict[Limits, list[Place]]:
        """The lines that have somebody at their head."""
        for limits, line in list(self._lines.items()):
            if self._left.get(limits, 0) > len(line) // 2:  # to take them out one by one would take far longer
                line[:] = [place for place in line if self._stands(place)]
                heapq.heapify(line)
                self._left[limits] = 0
            if self._head(line) is None:
                del self._lines[limits]
                self._left.pop(limits, None)
        return self._lines

    def _head(self, line: list[Place]) -> Place | None:
        """Who left is forgotten here."""
        while line and not self._stands(line[0]):
            limits = heapq.heappop(line).wanting.limits
            self._left[limits] = self._left.get(limits, 1) - 1
        return line[0] if line else None

    def _stands(self, place: Place) -> bool:
        nodes = self._waiting.get(place.wanting.number)
        return nodes is not None and nodes.get(place.wanting.node) is place

    @property
    def names(self) -> Collection[str]:
        return {name for limits in self._open_lines() for name, _ in limits}

    def choose(self, taken: list[Place], use: LimitUse, now: float) -> LimitChoice:
        """Take those who may go out of their lines, instead of those who were taken before."""
        for place in taken:
            heapq.heappush(self._lines.setdefault(place.wanting.limits, []), place)
        taken.clear()
        taken.extend(heapq.heappop(line) for line in islice(self.order(use, now), self._most))
        first = {limits: (-line[0].rank, line[0].asked) for limits, line in self._open_lines().items()}
        news: dict[Limits, tuple[int, float] | None] = dict.fromkeys(self._told.keys() - first.keys())
        news.update({limits: known for limits, known in first.items() if self._told.get(limits) != known})
        return LimitChoice([place.wanting for place in taken], news, bool(first))


def _is_long_ago(then: float, now: float) -> bool:
    """Also when the clock was set back meanwhile, as it may be while nobody waits."""
    return not 0 <= now - then < LOOK_SECONDS


class Turn:
    """See `store.base.LimitTurn`."""

    def __init__(self, book: LimitBook, now: float, *, buries: bool) -> None:
        self._book = book
        self._taken: list[Place] = []
        self.names = book.names
        self.now = now
        self.buries = buries
        self.choice: LimitChoice | None = None

    @property
    def owner(self) -> str:
        return self._book.owner

    def choose(self, use: LimitUse) -> LimitChoice:
        self.choice = self._book.choose(self._taken, use, self.now)
        return self.choice
