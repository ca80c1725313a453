"""Who goes on with what others have left, when, and how often. Time is moved by hand."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Collection

from twingraph.engine.adopting import ADOPT_AT_ONCE, ADOPT_IN_A_TURN, ADOPT_SECONDS, Adopting


class Bench:
    def __init__(self, *left: str, origins: Collection[str] = ("server",)) -> None:
        self.left = list(left)
        self.taken: list[tuple[float, str]] = []
        self.time = 0.0
        self.turns: list[int] = []
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._asked = 0
        Adopting(
            origins=origins,
            orphans=lambda _, limit: self.left[:limit],
            adopt=lambda execution: self.taken.append((self.time, execution)),
            later=self._later,
            now=lambda: self.time,
        ).begin()

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._asked += 1
        heapq.heappush(self._due, (self.time + seconds, self._asked, act))

    def until(self, time: float) -> None:
        while self._due and self._due[0][0] <= time:
            self.time, _, act = heapq.heappop(self._due)
            before = len(self.taken)
            act()
            self.turns.append(len(self.taken) - before)
        self.time = time


def test_what_is_left_is_taken_over_within_a_second() -> None:
    bench = Bench("a", "b")
    bench.until(ADOPT_SECONDS)
    assert [execution for _, execution in bench.taken] == ["a", "b"]


def test_who_was_given_no_origin_takes_nothing() -> None:
    bench = Bench("a", origins=())
    bench.until(100)
    assert bench.taken == []


def test_many_are_taken_over_a_few_in_each_turn_of_the_loop() -> None:
    bench = Bench(*(str(number) for number in range(1_000)))
    bench.until(ADOPT_SECONDS)
    assert len(bench.taken) == ADOPT_AT_ONCE
    assert max(bench.turns) == ADOPT_IN_A_TURN


def test_what_comes_back_again_and_again_is_left_alone_for_longer_and_longer() -> None:
    bench = Bench("a")
    bench.until(100)
    times = [time for time, _ in bench.taken]
    assert [round(later - earlier) for earlier, later in itertools.pairwise(times)] == [5, 10, 20, 40]
