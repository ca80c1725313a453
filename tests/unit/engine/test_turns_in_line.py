"""However many wait for a named limit, no turn of the loop does much; see `test_turns`."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import ClassVar

import pytest

from tests.support.by_hand import ByHand, Opens
from tests.support.conducting import echo, fresh_home, plan, task
from twingraph.core.events import PauseRequested, ResumeRequested
from twingraph.core.plan import NodeSpec
from twingraph.engine.handle import Handle
from twingraph.engine.sizes import USUAL
from twingraph.store.base import Append
from twingraph.store.sqlite.journal import SqliteJournal

MANY = 3_000
SMALL = plan(task("only"))


def over(handle: Handle) -> bool:
    return handle.wait(0)


def test_what_asks_for_a_limit_is_paused_and_goes_on_in_many_turns(opened: Opens) -> None:
    by_hand = opened(echo)
    by_hand.dispatch.hold = True
    spec = NodeSpec(component="task", entry="task", limits={"db": 1})
    large = by_hand.submit(plan(*(task(f"n{number}") for number in range(MANY)), specs=(spec,)))
    by_hand.turns_until(lambda: bool(by_hand.dispatch.waiting))
    state = by_hand.state(large)

    def asking() -> int:
        return sum(node.asked == "limit" for node in state.nodes.values())

    for event, at_last in ((PauseRequested("a while"), 0), (ResumeRequested(), MANY - 1)):
        seen = [asking()]
        by_hand.conductor.feed(large.id, event)
        by_hand.turns_until(lambda at_last=at_last: asking() == at_last, lambda seen=seen: seen.append(asking()))  # type: ignore[misc]
        assert max(abs(after - before) for before, after in itertools.pairwise(seen)) <= USUAL.at_once
    by_hand.conductor.cancel(large.id)
    by_hand.turns_until(lambda: over(large), by_hand.dispatch.let_go)
    assert large.status == "cancelled"


class Freeing(SqliteJournal):
    """Who was written to hold a named limit no more."""

    freed: ClassVar[list[str]] = []

    def _write(self, part: Append) -> bool:
        self.freed.extend(part.freed)
        return super()._write(part)


def in_line(by_hand: ByHand) -> int:
    return sum(len(waiting.queue_of) for waiting in by_hand.conductor._turns._granting._book._waiting.values())


def many_in_line(by_hand: ByHand) -> Handle:
    """All but one wait for a limit that this one holds."""
    by_hand.dispatch.hold = True
    spec = NodeSpec(component="task", entry="task", limits={"db": 1})
    large = by_hand.submit(plan(*(task(f"n{number}") for number in range(MANY)), specs=(spec,)))
    by_hand.turns_until(lambda: in_line(by_hand) == MANY - 1)
    by_hand.turns_until(lambda: bool(by_hand.dispatch.waiting))
    return large


@pytest.mark.parametrize("ends", [True, False], ids=["cancelled", "paused"])
def test_many_leave_the_line_for_a_limit_in_many_turns_and_others_go_on_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    """And of those who only stood in line nothing is written."""
    monkeypatch.setattr(Freeing, "freed", [])
    home = fresh_home(tmp_path / "home")
    by_hand = ByHand(home, echo, Freeing)
    large = many_in_line(by_hand)
    if ends:
        by_hand.conductor.cancel(large.id)
    else:
        by_hand.conductor.feed(large.id, PauseRequested("a while"))
    small = by_hand.submit(SMALL)
    left, recorded = [in_line(by_hand)], list[int]()

    def look() -> None:
        left.append(in_line(by_hand))
        if small.wait_recorded(0) and not recorded:
            recorded.append(left[-1])

    by_hand.turns_until(lambda: not in_line(by_hand), look)
    assert max(before - after for before, after in itertools.pairwise(left)) <= USUAL.at_once
    assert recorded
    assert recorded[0] > MANY / 2
    by_hand.conductor.cancel(large.id)
    by_hand.turns_until(lambda: over(large), by_hand.dispatch.let_go)
    assert large.status == "cancelled"
    assert Freeing.freed == ["n0"]
    by_hand.conductor.end()
    home.close()


def test_many_in_line_for_a_limit_whose_execution_is_lost_are_out_at_once_and_freed_by_and_by(opened: Opens) -> None:
    by_hand = opened(echo)
    large = many_in_line(by_hand)
    held = by_hand.conductor._roster.named(large.id)
    assert held is not None
    waiting = by_hand.conductor._turns._granting._book._waiting[held.number]
    (queue,) = waiting.queues.values()
    by_hand.conductor._leaving.lost(held)
    assert not in_line(by_hand)
    left = [len(queue)]
    by_hand.turns_until(lambda: not (queue or waiting.queue_of), lambda: left.append(len(queue)))
    assert max(before - after for before, after in itertools.pairwise(left)) <= 1_000
