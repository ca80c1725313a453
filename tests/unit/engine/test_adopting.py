"""Who goes on with what others have left, when, and how often. Time is moved by hand."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Collection

import pytest

from twingraph.core.errors import ConflictError, LeaseLost, TwinGraphError
from twingraph.engine.adopting import ADOPT_AT_ONCE, ADOPT_IN_A_TURN, ADOPT_SECONDS, Adopting
from twingraph.engine.handle import Handle


class Nobody:
    """Controls that nobody uses."""

    def interrupt(self, execution_id: str, *, kill: bool) -> None: ...

    def cancel(self, execution_id: str) -> object: ...


class Bench:
    def __init__(self, *left: str, origins: Collection[str] = ("server",), fault: TwinGraphError | None = None) -> None:
        self.left = list(left)
        self.fault = fault  # why none could be gone on with
        self.taken: list[tuple[float, str]] = []
        self.handles: list[Handle] = []
        self.time = 0.0
        self.turns: list[int] = []
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._asked = 0
        Adopting(
            origins=origins,
            orphans=lambda _, limit: self.left[:limit],
            adopt=self._adopt,
            later=self._later,
            now=lambda: self.time,
        ).begin()

    def _adopt(self, execution: str) -> Handle:
        self.taken.append((self.time, execution))
        handle = Handle(execution, Nobody())
        self.handles.append(handle)
        if self.fault is not None:
            handle.fail(self.fault)
        return handle

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


@pytest.mark.parametrize("fault", [None, ConflictError("held"), LeaseLost("taken over")])
def test_what_was_lost_to_others_is_taken_at_once_when_they_leave_it_too(fault: TwinGraphError | None) -> None:
    bench = Bench("a", fault=fault)
    bench.until(5 * ADOPT_SECONDS)
    assert len(bench.taken) == 5


def test_what_nobody_can_go_on_with_is_left_alone_for_longer_and_longer() -> None:
    bench = Bench("a", fault=TwinGraphError("its code is gone"))
    bench.until(100)
    times = [time for time, _ in bench.taken]
    assert [round(later - earlier) for earlier, later in itertools.pairwise(times)] == [6, 11, 21, 41]


def test_what_is_given_up_some_time_after_it_was_taken_is_left_alone_for_longer_too() -> None:
    """While it is read back nobody else has left anything."""
    bench = Bench("a")
    for _ in range(4):
        taken = len(bench.taken)
        while len(bench.taken) == taken:
            bench.until(bench.time + ADOPT_SECONDS)
        bench.left.clear()
        bench.until(bench.time + 3 * ADOPT_SECONDS)
        bench.handles[-1].fail(TwinGraphError("its code is gone"))
        bench.until(bench.time + 2 * ADOPT_SECONDS)
        bench.left.append("a")
    times = [time for time, _ in bench.taken]
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert waits[0] < waits[1] < waits[2]
