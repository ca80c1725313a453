"""What one commit commands goes to dispatch by priority, however many executions it is of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.by_hand import ByHand
from tests.support.conducting import echo, fresh_home, plan, task
from twingraph.core.errors import TwinGraphError
from twingraph.core.plan import NodeSpec
from twingraph.dispatch.base import CodeRef, Lane, NodeRun, Report, RunSettings
from twingraph.engine.handing import Handing

LOW, HIGH = NodeSpec(component="low", entry="low"), NodeSpec(component="high", entry="high", priority=5)
CODE = CodeRef(version="1", bundle_path="", interpreter="", working_dir="")


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[ByHand]:
    home = fresh_home(tmp_path / "home")
    made = ByHand(home, echo, pace=lambda: 0.0)
    made.dispatch.hold = True
    yield made
    made.conductor.end()
    home.close()


def waiting(by_hand: ByHand) -> list[str]:
    """In the order in which they were handed over."""
    return [run.node for _, run in by_hand.dispatch.waiting]


def test_of_what_two_events_command_the_more_important_goes_first(by_hand: ByHand) -> None:
    nodes = (task("a"), task("b"), task("low", "a"), task("high", "b", spec=1))
    by_hand.submit(plan(*nodes, last=("low", "high"), specs=(LOW, HIGH)))
    by_hand.turns_until(lambda: waiting(by_hand) == ["a", "b"])
    by_hand.dispatch.let_go()
    by_hand.dispatch.hold = True
    by_hand.turns_until(lambda: sorted(waiting(by_hand)) == ["high", "low"])
    assert waiting(by_hand) == ["high", "low"]


def test_so_it_does_of_executions_that_begin_together(by_hand: ByHand) -> None:
    for name, spec in (("first", 0), ("urgent", 1), ("second", 0)):
        by_hand.submit(plan(task(name, spec=spec), specs=(LOW, HIGH)))
    by_hand.turns_until(lambda: len(waiting(by_hand)) == 3)
    assert waiting(by_hand) == ["urgent", "first", "second"]


class Told:
    """Dispatch that writes down what it is told. Lanes of these executions meet a defect."""

    def __init__(self, *broken: str) -> None:
        self.words: list[str] = []
        self.broken = broken

    async def start(self, report: Callable[[Report], None]) -> None:
        self.words.append("start")

    async def stop(self) -> None:
        self.words.append("stop")

    def submit(self, lane: Lane) -> None:
        self.words.append(f"submit {lane.number}")
        if lane.execution in self.broken:
            raise TwinGraphError("a defect")

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        self.words.append("recall")

    def cancel(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        self.words.append("cancel")


def lane(number: int, priority: int = 0, execution: str = "e") -> Lane:
    settings = RunSettings(component="c", entry="c", priority=priority)
    return Lane(number, execution, CODE, settings, [NodeRun(f"n{number}", 1, [])])


def refuse(execution: str, error: Exception) -> None:
    raise error


def test_one_that_comes_alone_goes_at_once() -> None:
    told = Told()
    handing = Handing(told, refuse)
    handing.submit(lane(1))
    assert told.words == ["submit 1"]


def test_they_go_when_the_outermost_has_ended_and_equals_keep_their_order() -> None:
    told = Told()
    handing = Handing(told, refuse)
    with handing:
        with handing:
            for number, priority in ((1, 0), (2, 5), (3, 0), (4, 5), (5, -1)):
                handing.submit(lane(number, priority))
        assert told.words == []
    assert told.words == [f"submit {number}" for number in (2, 4, 1, 3, 5)]


@pytest.mark.parametrize("wish", ["recall", "cancel"])
def test_nothing_is_taken_back_before_it_was_handed_over(wish: str) -> None:
    told = Told()
    handing = Handing(told, refuse)
    with handing:
        handing.submit(lane(1))
        getattr(handing, wish)("e")
        handing.submit(lane(2))
    assert told.words == ["submit 1", wish, "submit 2"]


def test_a_defect_with_one_lane_gives_its_execution_up_and_harms_no_other() -> None:
    told = Told("bad")
    failed: list[str] = []
    handing = Handing(told, lambda execution, error: failed.append(f"{execution}: {error}"))
    with handing:
        for number, execution in enumerate(("bad", "good", "bad")):
            handing.submit(lane(number, execution=execution))
    assert (told.words, failed) == (["submit 0", "submit 1"], ["bad: a defect"])
