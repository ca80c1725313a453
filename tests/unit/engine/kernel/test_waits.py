"""What waits for the world: sleeps, signals, side effects, detached executions."""

import pytest

from tests.unit.engine.kernel.hand import OUTPUT, Hand, error, node, of, task
from twingraph.core import events as ev
from twingraph.core.plan import Hole, NodeKind, PlanNode, Source
from twingraph.engine.kernel import commands

SIGNAL = node(NodeKind.SIGNAL, "s", signal="go")


def test_a_sleep_completes_when_its_time_has_come() -> None:
    hand = Hand(node(NodeKind.SLEEP, "z", wait=30.0), task("a", "z"))
    assert hand.told[:1] == [commands.SetTimer("node:z", 30.0)]
    hand.fire("node:z", after=30)
    assert hand.running == ["a"]


def test_a_sleep_that_is_called_too_early_sleeps_on() -> None:
    hand = Hand(node(NodeKind.SLEEP, "z", wait=30.0))
    assert hand.fire("node:z", after=10) == [commands.SetTimer("node:z", 20.0)]


def test_a_sleep_goes_on_after_an_adoption() -> None:
    hand = Hand(node(NodeKind.SLEEP, "z", wait=30.0))
    hand.at += 40
    assert hand.adopt() == [commands.SetTimer("node:z", 0.0)]


def test_a_clock_that_was_set_back_makes_no_wait_longer_than_it_was_to_be() -> None:
    """The conductor before had a clock of its own, which may have been a day ahead."""
    hand = Hand(node(NodeKind.SLEEP, "z", wait=30.0), task("a", "z"))
    hand.at -= 86_400
    assert hand.adopt() == [commands.SetTimer("node:z", 30.0)]
    hand.fire("node:z", after=30)
    assert hand.running == ["a"]


def test_a_signal_completes_its_wait() -> None:
    hand = Hand(SIGNAL, task("a", "s"))
    hand.feed(ev.SignalReceived("go", OUTPUT))
    assert (hand.status("s"), hand.state.nodes["s"].seq, hand.running) == ("completed", 4, ["a"])


def test_signals_are_kept_before_the_wait_and_taken_in_order() -> None:
    hand = Hand(task("a"), node(NodeKind.SIGNAL, "s", "a", signal="go"), node(NodeKind.SIGNAL, "t", "s", signal="go"))
    first, second = (hand.feed(ev.SignalReceived("go", OUTPUT)) or len(hand.journal) for _ in range(2))
    hand.end("a")
    assert [hand.state.nodes[name].seq for name in "st"] == [first, second]


def test_each_signal_wakes_one_wait() -> None:
    hand = Hand(SIGNAL, node(NodeKind.SIGNAL, "t", signal="go"), node(NodeKind.SIGNAL, "u", signal="other"))
    hand.feed(ev.SignalReceived("go", OUTPUT))
    assert list(hand.statuses().values()) == ["completed", "running", "running"]


def test_a_signal_that_does_not_come_in_time_fails_its_wait() -> None:
    hand = Hand(node(NodeKind.SIGNAL, "s", signal="go", wait=5.0))
    hand.fire("node:s", after=5)
    assert hand.finish is not None
    assert hand.finish.error is not None
    assert hand.finish.error.code == "timeout"


def test_a_signal_in_time_clears_the_limit() -> None:
    hand = Hand(node(NodeKind.SIGNAL, "s", signal="go", wait=5.0))
    assert commands.ClearTimer("node:s") in hand.feed(ev.SignalReceived("go", OUTPUT))


def test_a_wait_that_is_over_takes_no_signal() -> None:
    hand = Hand(node(NodeKind.SIGNAL, "s", signal="go", wait=5.0), SIGNAL_T, error_handler="continue")
    hand.fire("node:s", after=5)
    hand.feed(ev.SignalReceived("go", OUTPUT))
    assert hand.status("t") == "completed"


SIGNAL_T = node(NodeKind.SIGNAL, "t", signal="go")


def test_a_detached_execution_is_waited_for() -> None:
    hand = Hand(node(NodeKind.DETACHED, "d"), task("a", "d"))
    assert hand.told == [commands.StartDetached("d")]
    hand.feed(ev.DetachedStarted("d", "exec-2"))
    assert hand.reason("d") == "exec-2"
    hand.end("d")
    assert hand.running == ["a"]


def test_a_detached_execution_that_was_cancelled_counts_as_failed() -> None:
    hand = Hand(node(NodeKind.DETACHED, "d"))
    hand.end("d", "cancelled")
    assert hand.finish is not None
    assert hand.finish.error is not None
    assert hand.finish.error.code == "cancelled"


def test_a_detached_execution_is_never_tried_again() -> None:
    hand = Hand(node(NodeKind.DETACHED, "d"), error_handler="retry")
    hand.end("d", "failed")
    assert hand.outcome == "failed"


def test_a_detached_execution_is_asked_for_again_after_an_adoption() -> None:
    hand = Hand(node(NodeKind.DETACHED, "d"))
    assert hand.adopt() == [commands.StartDetached("d")]


def test_a_side_effect_is_carried_out_by_the_body() -> None:
    hand = Hand(driven=True)
    told = hand.call(node(NodeKind.SIDE_EFFECT, "e"))
    assert of(commands.Dispatch, told) == []
    assert commands.WakeDriver("", "e") in hand.end("e")


def test_a_side_effect_whose_body_is_over_is_cancelled() -> None:
    hand = Hand(driven=True)
    hand.call(node(NodeKind.SIDE_EFFECT, "e"))
    hand.feed(ev.GraphClosed())
    assert (hand.status("e"), hand.outcome) == ("cancelled", "completed")


# -- waits that a body gives up

SLEEP = node(NodeKind.SLEEP, "w", wait=30.0)
SIGNAL_W = node(NodeKind.SIGNAL, "w", signal="go", wait=30.0)
DETACHED = node(NodeKind.DETACHED, "w")


def calling(*calls: PlanNode) -> Hand:
    hand = Hand(driven=True)
    for call in calls:
        hand.call(call)
    return hand


@pytest.mark.parametrize("wait", [SLEEP, SIGNAL_W, DETACHED], ids=lambda plan: str(plan.kind))
def test_a_wait_that_its_body_gives_up_is_cancelled_and_fails_nothing(wait: PlanNode) -> None:
    hand = calling(wait)
    assert commands.WakeDriver("", "w") in hand.end("w", "cancelled")
    hand.feed(ev.GraphClosed())
    assert (hand.status("w"), hand.outcome) == ("cancelled", "completed")


@pytest.mark.parametrize("wait", [SLEEP, SIGNAL_W], ids=lambda plan: str(plan.kind))
def test_the_timer_of_a_wait_that_was_given_up_is_cleared(wait: PlanNode) -> None:
    assert commands.ClearTimer("node:w") in calling(wait).end("w", "cancelled")


def test_a_signal_wait_that_was_given_up_takes_no_signal() -> None:
    hand = calling(SIGNAL_W)
    hand.end("w", "cancelled")
    assert hand.state.waiting_signals == {}
    hand.feed(ev.SignalReceived("go", OUTPUT))
    hand.call(SIGNAL)
    assert hand.status("s") == "completed"


def test_a_wait_may_be_given_up_before_it_begins() -> None:
    hand = calling(task("a"), node(NodeKind.SLEEP, "w", "a", wait=30.0))
    hand.end("w", "cancelled", attempt=1)
    assert hand.status("w") == "cancelled"
    hand.end("a")


def test_a_detached_execution_that_somebody_cancelled_has_failed_for_its_body() -> None:
    hand = calling(DETACHED)
    hand.end("w", "cancelled", error=error(code="cancelled"))
    assert hand.status("w") == "failed"


def test_what_depends_on_a_wait_that_was_given_up_is_skipped() -> None:
    hand = calling(SLEEP, task("a", "w"))
    hand.end("w", "cancelled")
    assert (hand.status("a"), hand.reason("a")) == ("skipped", "upstream")


# -- waits when the body has returned


@pytest.mark.parametrize("wait", [SLEEP, SIGNAL_W], ids=lambda plan: str(plan.kind))
def test_nobody_waits_when_the_body_has_returned(wait: PlanNode) -> None:
    hand = calling(wait)
    assert commands.ClearTimer("node:w") in hand.feed(ev.GraphClosed())
    assert (hand.status("w"), hand.outcome) == ("cancelled", "completed")


def test_waits_one_after_another_are_all_cancelled_with_the_body() -> None:
    hand = calling(SLEEP, node(NodeKind.SLEEP, "x", "w", wait=30.0))
    hand.feed(ev.GraphClosed())
    assert (hand.statuses(), hand.outcome) == ({"w": "cancelled", "x": "cancelled"}, "completed")


def test_a_wait_that_a_call_depends_on_goes_on_without_the_body() -> None:
    hand = calling(SIGNAL_W, task("a", "w"))
    hand.feed(ev.GraphClosed())
    hand.feed(ev.SignalReceived("go", OUTPUT))
    assert hand.running == ["a"]


def test_a_signal_that_the_body_returned_is_waited_for() -> None:
    hand = calling(SIGNAL_W)
    hand.feed(ev.GraphClosed(result=(Hole(sources=(Source(node="w"),)),)))
    assert hand.outcome is None
    hand.feed(ev.SignalReceived("go", OUTPUT))
    assert hand.outcome == "completed"


def test_a_sub_pipeline_does_not_hold_on_to_its_sleeps() -> None:
    hand = calling(node(NodeKind.SCOPE, "sub"))
    hand.call(SLEEP, "sub")
    hand.feed(ev.GraphClosed("sub"))
    assert (hand.status("sub/w"), hand.status("sub")) == ("cancelled", "completed")


def test_a_detached_execution_outlives_the_body_that_started_it() -> None:
    hand = calling(DETACHED)
    hand.feed(ev.DetachedStarted("w", "exec-2"))
    hand.feed(ev.GraphClosed())
    assert (hand.status("w"), hand.reason("w"), hand.outcome) == ("completed", "exec-2", "completed")


def test_a_detached_execution_must_have_started_before_the_body_is_over() -> None:
    hand = calling(task("a"), node(NodeKind.DETACHED, "w", "a"))
    hand.feed(ev.GraphClosed())
    assert commands.StartDetached("w") in hand.end("a")
    assert hand.outcome is None
    hand.feed(ev.DetachedStarted("w", "exec-2"))
    assert hand.outcome == "completed"


def test_a_detached_execution_that_the_body_returned_is_waited_for() -> None:
    hand = calling(DETACHED)
    hand.feed(ev.DetachedStarted("w", "exec-2"))
    hand.feed(ev.GraphClosed(result=(Hole(sources=(Source(node="w"),)),)))
    assert hand.outcome is None
    hand.end("w")
    assert hand.outcome == "completed"
