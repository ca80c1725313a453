"""Named limits: who waits for them in one conductor, and whose turn it is among all conductors.

What is held stands in the store; the book has the lines of those who wait here. It chooses inside the store's
transaction, on what the store counts and on what the other conductors wish, so that all of them follow one order: the
higher priority first, then who asked first. A node gets all of its limits or waits for all. It begins only while fewer
hold a name than its own limit says.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Collection, Iterator, MutableMapping
from itertools import islice
from typing import Any, NamedTuple

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


# Those of one execution who want the same limits with the same priority, by node, in order of asking. An ordered one,
# since the first goes again and again, which leaves a plain dictionary with ever more to skip.
Queue = OrderedDict[str, Place]


class Waiting:
    """Those of one execution."""

    __slots__ = ("queue_of", "queues")

    def __init__(self) -> None:
        self.queues: dict[tuple[Limits, int], Queue] = {}  # by rank
        self.queue_of: dict[str, Queue] = {}  # where each node stands

    def going(self) -> Iterator[None]:
        """Free the memory of many by and by."""
        yield from emptied(self.queue_of)
        for queue in self.queues.values():
            yield from emptied(queue)


_FREED_AT_ONCE = 500
# A line of fewer is not looked through for those who are first no more.
_SHORT = 16


def emptied(known: MutableMapping[str, Any]) -> Iterator[None]:
    while known:
        for _ in range(min(_FREED_AT_ONCE, len(known))):
            known.popitem()
        yield


class LimitBook:
    """Those who wait in one conductor. Those that want the same limits stand in one line, so that a choice looks at the
    heads of lines alone. A line has the first of each queue that belongs to it, and some who are first no more: those
    are forgotten when their turn comes. So whoever leaves is out at once, one node or a whole execution."""

    def __init__(self, owner: str, most: int = USUAL.rows) -> None:
        """`most`: so many are granted with one transaction; the next goes on with it."""
        self.owner = owner
        self._most = most
        self._lines: dict[Limits, list[Place]] = {}
        self._room: dict[Limits, int] = {}  # a line that has grown to so many is looked through
        self._waiting: dict[int, Waiting] = {}  # by execution
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
        number, _, node, limits = wanting
        waiting = self._waiting.get(number)
        if waiting is None:
            waiting = self._waiting[number] = Waiting()
        elif (before := waiting.queue_of.get(node)) is not None:
            before.pop(node, None)
        self._count += 1
        place = Place(-priority, now, self._count, wanting)
        queue = waiting.queues.get((limits, place.rank))
        if queue is None:
            queue = waiting.queues[limits, place.rank] = OrderedDict()
        if not queue:
            self._is_first(place)
        queue[node] = place
        waiting.queue_of[node] = queue
        self.due = True

    def leave(self, number: int, node: str) -> bool:
        """It wants nothing any more, and what it may have held is free with the next transaction. Whether it stood in
        line, and holds nothing."""
        waiting = self._waiting.get(number)
        queue = waiting.queue_of.pop(node, None) if waiting is not None else None
        if waiting is not None and queue is not None:
            queue.pop(node, None)  # it is out of it already where the transaction that was to grant it failed
            if not waiting.queue_of:
                del self._waiting[number]
        self.due = bool(self._waiting or self._told)
        return queue is not None

    def freed(self) -> None:
        """With the next transaction something is free that was held."""
        self.due = bool(self._waiting or self._told)

    def drop(self, number: int) -> Iterator[None]:
        """Nothing of this execution waits here any more, or holds anything for us. Memory is freed by and by."""
        waiting = self._waiting.pop(number, None)
        self.freed()
        return waiting.going() if waiting is not None else iter(())

    def clear(self) -> None:
        """Nobody waits here any more."""
        self._waiting.clear()
        self._lines.clear()
        self._room.clear()
        self.due = bool(self._told)

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
            waiting = self._waiting[wanting.number]
            del waiting.queue_of[wanting.node]
            if not waiting.queue_of:
                del self._waiting[wanting.number]
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

    def order(self, use: LimitUse, now: float) -> Iterator[Place]:
        """Those who may go, one after another; whoever asks for the next has taken the one before out of its queue.

        Places only become fewer meanwhile, so a line that cannot go is out of it until the next turn.
        """
        held = dict(use.held)
        heads: list[tuple[int, float, str, Limits, Wish | None]] = [
            (head.rank, head.asked, self.owner, limits, None) for limits, head in self._heads()
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
                yield line[0]
                if (head := self._head(line)) is not None:
                    heapq.heappush(heads, (head.rank, head.asked, owner, limits, None))
                    ours += 1
        self._yielding = yielding

    def _heads(self) -> list[tuple[Limits, Place]]:
        """Who is first in each line."""
        heads: list[tuple[Limits, Place]] = []
        for limits, line in list(self._lines.items()):
            if (head := self._head(line)) is not None:
                heads.append((limits, head))
            else:
                del self._lines[limits]
                self._room.pop(limits, None)
        return heads

    def _head(self, line: list[Place]) -> Place | None:
        while line:
            stood = line[0]
            queue = self._queue(stood)
            if not queue:
                heapq.heappop(line)
                continue
            first = next(iter(queue.values()))
            if first is stood:
                return first
            heapq.heapreplace(line, first)
        return None

    def _queue(self, place: Place) -> Queue | None:
        """Where it stands, or stood."""
        waiting = self._waiting.get(place.wanting.number)
        return waiting.queues.get((place.wanting.limits, place.rank)) if waiting is not None else None

    def _is_first(self, place: Place) -> None:
        limits = place.wanting.limits
        line = self._lines.setdefault(limits, [])
        if len(line) >= self._room.get(limits, _SHORT):
            queues = {id(queue): queue for stood in line if (queue := self._queue(stood))}
            line[:] = [next(iter(queue.values())) for queue in queues.values()]
            heapq.heapify(line)
            self._room[limits] = max(_SHORT, 2 * len(line))
        heapq.heappush(line, place)

    @property
    def names(self) -> Collection[str]:
        return {name for limits, _ in self._heads() for name, _ in limits}

    def choose(self, taken: list[Place], use: LimitUse, now: float) -> LimitChoice:
        """Take those who may go out of their queues, instead of those who were taken before."""
        for place in reversed(taken):
            self._put_back(place)
        taken.clear()
        for place in islice(self.order(use, now), self._most):
            self._take_out(place)
            taken.append(place)
        first = {limits: (-head.rank, head.asked) for limits, head in self._heads()}
        news: dict[Limits, tuple[int, float] | None] = dict.fromkeys(self._told.keys() - first.keys())
        news.update({limits: known for limits, known in first.items() if self._told.get(limits) != known})
        return LimitChoice([place.wanting for place in taken], news, bool(first))

    def _take_out(self, place: Place) -> None:
        queue = self._queue(place)
        assert queue is not None
        del queue[place.wanting.node]

    def _put_back(self, place: Place) -> None:
        queue = self._queue(place)
        assert queue is not None
        queue[place.wanting.node] = place
        queue.move_to_end(place.wanting.node, last=False)
        self._is_first(place)


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
