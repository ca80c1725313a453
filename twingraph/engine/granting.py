"""Named limits, done: what a conductor's nodes ask for and give back goes with its commits.

What is given back is so at once; where tens of thousands of nodes ask, some stand in line with each commit, of each
execution a share.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice

from twingraph.core.events import Event, LimitGranted
from twingraph.engine.ground import Ground
from twingraph.engine.held import Held, LimitWishes
from twingraph.engine.kernel import commands
from twingraph.engine.limits import LimitBook, emptied
from twingraph.store.base import Append, Wanting

# So many who were granted are told in the same turn as the commit was.
_FEW = 100


class Granting:
    """`soon` is called when something is to be written for who waits."""

    def __init__(
        self,
        ground: Ground,
        about: Callable[[Held, Callable[[], None]], None],
        apply: Callable[[Held, Event], None],
        soon: Callable[[], None],
    ) -> None:
        self._roster = ground.roster
        self._journal = ground.journal
        self._clock = ground.clock
        self._about = about
        self._apply = apply
        self._soon = soon
        self._most = ground.sizes.rows
        self._book = LimitBook(ground.name, self._most)
        self._asking: dict[int, tuple[Held, dict[str, commands.AskLimit]]] = {}  # what does not stand in line yet
        self._moments = ground.moments
        self._granted: OrderedDict[tuple[int, str], Wanting] = OrderedDict()  # by the last turn, and not told yet
        self._telling = False

    @property
    def due(self) -> bool:
        """Whether the next transaction has something to do for those who wait. Those of the last are told first."""
        return not self._granted and (self._book.due or bool(self._asking))

    def give_back(self, held: Held, node: str) -> None:
        """It wants nothing any more, from now on: what that follows from need not be written, since whoever takes the
        execution over asks anew. Who asked, and was not granted, holds nothing; what is held is free once that is
        written."""
        self._granted.pop((held.number, node), None)
        asking = self._asking_of(held.number)
        if held.limits.asked.pop(node, None) or held.limits_due.asked.pop(node, None):
            return
        if asking.pop(node, None):
            if not asking:
                del self._asking[held.number]
        elif not self._book.leave(held.number, node):
            held.limits.freed[node] = None

    def take(self, held: Held) -> None:
        """What these wishes follow from is written with the next transaction, or was before."""
        wishes, held.limits_due = held.limits_due, LimitWishes()
        if wishes.freed:
            self._book.freed()
        if wishes.asked:
            if asking := self._asking_of(held.number):
                asking.update(wishes.asked)
            else:
                self._asking[held.number] = held, wishes.asked

    def _asking_of(self, number: int) -> dict[str, commands.AskLimit]:
        return self._asking[number][1] if number in self._asking else {}

    def _stand_in_line(self) -> None:
        """So many of all executions together as a transaction has rows; who had its share goes behind the others."""
        now, room = self._clock.now(), self._most
        while room and self._asking:
            share = max(1, room // len(self._asking))
            for number in list(islice(self._asking, room)):
                held, asking = self._asking.pop(number)
                for node in list(islice(asking, share)):
                    wish = asking.pop(node)
                    self._book.ask(Wanting(number, held.epoch, node, wish.limits), wish.priority, now)
                    room -= 1
                if asking:
                    self._asking[number] = held, asking

    def drop(self, number: int) -> Iterator[None]:
        """The execution is not ours any more. What is left of it is freed by and by."""
        asking = self._asking_of(number)
        self._asking.pop(number, None)
        waiting = self._book.drop(number)
        if self._book.due:
            self._soon()
        return chain(waiting, emptied(asking))

    def append(self, batch: Sequence[Append]) -> set[int]:
        """Write it, and with it whatever is due; those that were refused."""
        self._stand_in_line()
        turn = self._book.turn(self._clock.now()) if not self._granted else None
        if turn is None:
            return self._journal.append(batch)
        refused, granted = self._journal.append_and_ask(batch, turn)
        self._granted.update(((wanting.number, wanting.node), wanting) for wanting in granted)
        self._book.settle(turn)
        return refused

    def tell(self) -> None:
        """Let those go on who were granted by the last turn. Many are told in moments of their own."""
        if len(self._granted) > _FEW:
            self._tell_soon()
        elif not self._telling:
            self._tell_some()

    def _tell_soon(self) -> None:
        if not self._telling:
            self._telling = True
            self._moments.soon(self._tell_on)

    def _tell_some(self) -> None:
        end = self._moments.end()
        while self._granted:
            _, wanting = self._granted.popitem(last=False)
            held = self._roster.at(wanting.number)
            if held is not None and held.epoch == wanting.epoch:
                self._about(held, partial(self._go_on, held, wanting.node))
            if self._granted and self._moments.over(end):
                self._tell_soon()
                return

    def _tell_on(self) -> None:
        self._telling = False
        self._tell_some()
        if self.due:
            self._soon()

    def _go_on(self, held: Held, node: str) -> None:
        """Unless it has been given back meanwhile, which is only not written yet."""
        if node not in held.limits.freed and node not in held.limits_due.freed:
            self._apply(held, LimitGranted(node))

    def look(self, *, changed: bool) -> None:
        """See whether somebody who waits may go: when others have written, and now and then."""
        if not self._book:
            return
        now = self._clock.now()
        if self._book.is_overdue(now) or (changed and self._may_go(now)):
            self._book.insist()
            self._soon()

    def _may_go(self, now: float) -> bool:
        return self._book.could_go(self._journal.limit_use(self._book.look(now)), now)

    def close(self) -> None:
        """Nobody waits here any more: the others need not leave a place free."""
        self._asking.clear()
        self._granted.clear()
        self._book.clear()
        if self._book.due:
            self.append([])
