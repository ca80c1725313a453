"""Lost workers: not the user's attempts, not for ever, and laid at the right door."""

import pytest

from tests.unit.engine.kernel.hand import Hand, task
from twingraph.core import events as ev
from twingraph.core.errors import UNREACHABLE, ErrorCode
from twingraph.core.plan import NodeSpec
from twingraph.core.policies import RetryPolicy
from twingraph.core.records import ErrorRecord

RETRY = [NodeSpec(component="a", retry=RetryPolicy(max_attempts=3))]


def test_three_losses_in_a_row_end_a_node() -> None:
    hand = Hand(task("a"))
    for _ in range(3):
        hand.end("a", "lost")
    assert hand.dispatched("a") == [1, 2, 3]
    assert hand.finish is not None
    assert hand.finish.error is not None
    assert hand.finish.error.code == "worker_lost"


def test_a_loss_spends_no_attempt() -> None:
    hand = Hand(task("a"), specs=RETRY)
    hand.end("a", "lost")
    assert (hand.state.nodes["a"].spent, hand.running) == (0, ["a"])


def test_a_failure_between_makes_losses_count_anew() -> None:
    hand = Hand(task("a"), specs=RETRY)
    for status in ("lost", "lost", "failed"):
        hand.end("a", status)
    hand.fire("node:a", after=10)
    hand.end("a", "lost")
    hand.end("a", "lost")
    assert hand.running == ["a"]


def test_a_run_that_had_not_begun_is_not_charged() -> None:
    hand = Hand(task("a"))
    for _ in range(5):
        hand.end("a", "lost", begun=False)
    assert hand.running == ["a"]


def test_after_a_loss_a_node_runs_alone() -> None:
    hand = Hand(task("a"), task("b"), max_parallel=1)
    assert hand.lanes == [(("a", 1), ("b", 1))]
    hand.end("a", "lost")
    hand.end("b", "lost", begun=False)
    assert hand.lanes[1:] == [(("b", 2),)]
    hand.end("b")
    assert hand.lanes[2:] == [(("a", 2),)]


def test_when_several_had_begun_in_one_process_nobody_is_charged() -> None:
    hand = Hand(task("a"), task("b"), max_parallel=1)
    hand.end("a", "lost")
    hand.end("b", "lost")
    assert [hand.state.nodes[name].losses for name in "ab"] == [0, 0]
    assert [len(lane) for lane in hand.lanes[1:]] == [1]


def test_a_loss_said_twice_is_charged_once() -> None:
    hand = Hand(task("a"))
    hand.feed(ev.PauseRequested())
    hand.end("a", "lost")
    hand.end("a", "lost")
    assert hand.state.nodes["a"].losses == 1


def test_an_outcome_that_came_late_after_all_is_taken_before_the_next_attempt() -> None:
    hand = Hand(task("a"))
    hand.feed(ev.PauseRequested())
    hand.end("a", "lost")
    hand.end("a", attempt=1)
    hand.feed(ev.ResumeRequested())
    assert (hand.dispatched("a"), hand.outcome) == ([1], "completed")


AWAY = ErrorRecord(
    code=ErrorCode.WORKER_LOST, error_type=UNREACHABLE, message="the engine at X does not answer: refused"
)


def test_what_cannot_be_reached_is_tried_again_after_a_pause_and_three_times_in_all() -> None:
    hand = Hand(task("a"), specs=RETRY)
    for pause in (1.0, 2.0):
        hand.end("a", "lost", begun=False, error=AWAY)
        assert hand.running == []
        assert hand.state.nodes["a"].due == pytest.approx(hand.state.now + pause)
        hand.fire("node:a", after=pause)
        assert hand.running == ["a"]
    hand.end("a", "lost", begun=False, error=AWAY)
    assert hand.finish is not None
    error = hand.finish.error
    assert error is not None
    assert (error.code, error.error_type) == ("worker_lost", UNREACHABLE)
    assert error.message == "the engine at X does not answer: refused; it was tried 3 times in a row"
    assert hand.state.nodes["a"].spent == 0


def test_the_pause_after_a_loss_is_not_cut_short_by_a_firing_that_came_early() -> None:
    hand = Hand(task("a"))
    hand.end("a", "lost", begun=False, error=AWAY)
    hand.fire("node:a", after=0.2)
    assert hand.running == []
    assert hand.state.nodes["a"].due == pytest.approx(hand.state.now + 0.8)
