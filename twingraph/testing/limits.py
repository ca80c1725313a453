"""Named limits in a test: the conductor's own book, over a memory of what is held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twingraph.core.events import LimitGranted
from twingraph.engine.held import Held
from twingraph.engine.kernel import commands
from twingraph.engine.limits import LimitBook
from twingraph.store.base import Limits, LimitUse, Wanting
from twingraph.testing.clock import Clock


class NamedLimits:
    """Those of one life: whoever dies holds nothing any more."""

    def __init__(self, clock: Clock, find: Callable[[int], Held | None]) -> None:
        self._clock = clock
        self._find = find
        self._book = LimitBook("inline")
        self._holders: dict[tuple[int, str], Limits] = {}  # by execution and node

    def take(self, held: Held, wish: commands.AskLimit | commands.ReleaseLimit) -> None:
        if type(wish) is commands.AskLimit:
            self._book.ask(Wanting(held.number, held.epoch, wish.node, wish.limits), wish.priority, self._clock.time())
        else:
            self._holders.pop((held.number, wish.node), None)
            self._book.leave(held.number, wish.node)

    def drop(self, number: int) -> None:
        """The execution is over."""
        self._holders = {holder: limits for holder, limits in self._holders.items() if holder[0] != number}
        self._book.drop(number)

    def grant(self, apply: Callable[[Held, LimitGranted, None], None]) -> bool:
        """Let go on who may, once every wish that there is has been taken. False: nobody may."""
        turn = self._book.turn(self._clock.time())
        if turn is None:
            return False
        held = Counter(name for limits in self._holders.values() for name, _ in limits)
        granted = turn.choose(LimitUse((), held)).granted
        self._book.settle(turn)
        for wanting in granted:
            self._holders[wanting.number, wanting.node] = wanting.limits
            execution = self._find(wanting.number)
            assert execution is not None
            apply(execution, LimitGranted(wanting.node), None)
        return bool(granted)
