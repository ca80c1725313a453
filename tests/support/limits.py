"""The store's side of named limits as a double: who holds what, and who wishes for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from twingraph.store.base import Limits, LimitTurn, LimitUse, Wanting, Wish


class LimitTable:
    def __init__(self) -> None:
        self.held: dict[tuple[int, str], Limits] = {}
        self.wishes: dict[tuple[str, Limits], tuple[int, float]] = {}

    def used(self, name: str) -> int:
        return sum(name == held for limits in self.held.values() for held, _ in limits)

    def use(self, turn: LimitTurn) -> LimitUse:
        here = set(turn.names)
        wishes = [
            Wish(owner, limits, *first)
            for (owner, limits), first in self.wishes.items()
            if owner != turn.owner and any(name in here for name, _ in limits)
        ]
        names = here.union(name for wish in wishes for name, _ in wish.limits)
        counted = Counter(name for limits in self.held.values() for name, _ in limits)
        return LimitUse(wishes, {name: counted[name] for name in names if name in counted})

    def give_out(
        self,
        turn: LimitTurn,
        is_current: Callable[[Wanting], bool] = lambda wanting: True,
        bury: Callable[[], bool] = lambda: False,
    ) -> tuple[set[int], Sequence[Wanting]]:
        choice = turn.choose(self.use(turn))
        if choice.short and turn.buries and bury():
            choice = turn.choose(self.use(turn))
        for limits, first in choice.wishes.items():
            if first is None:
                self.wishes.pop((turn.owner, limits), None)
            else:
                self.wishes[turn.owner, limits] = first
        granted = [wanting for wanting in choice.granted if is_current(wanting)]
        for wanting in granted:
            holder = wanting.number, wanting.node
            assert holder not in self.held, f"{holder} holds its limits already"
            for name, most in wanting.limits:
                assert self.used(name) < most, f"{name} is held more than {most} times"
            self.held[holder] = wanting.limits
        return {wanting.number for wanting in choice.granted} - {wanting.number for wanting in granted}, granted

    def free(self, number: int, node: str) -> None:
        self.held.pop((number, node), None)

    def free_all(self, number: int) -> None:
        for holder in [holder for holder in self.held if holder[0] == number]:
            del self.held[holder]

    def forget_wishes(self, owner: str) -> None:
        for key in [key for key in self.wishes if key[0] == owner]:
            del self.wishes[key]
