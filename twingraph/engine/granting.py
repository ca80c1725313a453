"""Named limits, done: what a conductor's nodes ask for and give back goes with its commits.

What is given back is so at once; where tens of thousands of nodes ask, some stand in line with each commit, of each
execution a share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, islice

from twingraph.core.events import Event, LimitGranted
from twingraph.engine.ground import Ground
from twingraph.engine.held import Held
from twingraph.engine.kernel import commands
from twingraph.engine.limits import LimitBook
from twingraph.store.base import Append, Wanting


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
        self._granted: Sequence[Wanting] = ()

    @property
    def due(self) -> bool:
        """Whether the next transaction has something to do for those who wait."""
        return self._book.due or bool(self._asking)

    def take(self, held: Held) -> None:
        """What these wishes follow from is written with the next transaction, or was before."""
        wishes, held.limits_due = held.limits_due, []
        _, asking = self._asking.get(held.number, (held, {}))
        released: list[str] = []
        for wish in wishes:
            if asking:
                asking.pop(wish.node, None)  # what was asked before for the same node counts no more
            if type(wish) is commands.AskLimit:
                asking[wish.node] = wish
            else:
                released.append(wish.node)
        if released:
            self._book.release(held.number, released)
        if asking:
            self._asking[held.number] = held, asking
        else:
            self._asking.pop(held.number, None)

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

    def drop(self, number: int) -> None:
        """The execution is not ours any more."""
        self._asking.pop(number, None)
        self._book.drop(number)
        if self._book.due:
            self._soon()

    def append(self, batch: Sequence[Append]) -> set[int]:
        """Write it, and with it whatever is due; those that were refused."""
        self._stand_in_line()
        turn = self._book.turn(self._clock.now())
        if turn is None:
            return self._journal.append(batch)
        refused, self._granted = self._journal.append_and_ask(batch, turn)
        self._book.settle(turn)
        return refused

    def tell(self) -> None:
        """Let those go on who were granted by the last transaction."""
        granted, self._granted = self._granted, ()
        given_back: dict[int, set[str]] = {}
        for wanting in granted:
            held = self._roster.at(wanting.number)
            if held is not None and held.epoch == wanting.epoch:
                self._about(held, partial(self._go_on, held, wanting.node, given_back))

    def _go_on(self, held: Held, node: str, given_back: dict[int, set[str]]) -> None:
        """Unless it has been given back meanwhile, which is only not written yet. That is known when the first of those
        that were granted together goes on, and none of them changes it for another."""
        known = given_back.get(held.number)
        if known is None:
            wishes = chain(held.limits_due, held.limits)
            known = given_back[held.number] = {w.node for w in wishes if type(w) is commands.ReleaseLimit}
        if node not in known:
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
        self._book.clear()
        if self._book.due:
            self.append([])
