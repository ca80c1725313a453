"""Statuses change by the table alone, and a move outside it tells the story."""

import pytest

from tests.unit.engine.kernel.hand import Hand, task
from twingraph.core.statuses import ExecutionStatus, NodeStatus
from twingraph.engine.kernel import IllegalMove


def test_a_move_outside_the_table_tells_the_story_so_far() -> None:
    hand = Hand(task("a"))
    hand.end("a")
    with pytest.raises(IllegalMove, match=r"a cannot go from completed to running.*from queued to completed"):
        hand.state.move(hand.state.nodes["a"], NodeStatus.RUNNING)


def test_an_execution_that_is_over_cannot_run_again() -> None:
    hand = Hand()
    hand.state.move_execution(ExecutionStatus.COMPLETED)
    with pytest.raises(IllegalMove, match="cannot go from completed to running"):
        hand.state.move_execution(ExecutionStatus.RUNNING)
