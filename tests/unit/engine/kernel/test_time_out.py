"""The execution's time-out clock: when it runs, when it stands, and what happens when it is used up."""

from tests.unit.engine.kernel.hand import Hand, node, of, task
from twingraph.core import events as ev
from twingraph.core.plan import NodeKind, NodeSpec
from twingraph.core.policies import DEFAULT_RETRY
from twingraph.engine.kernel import commands


def test_an_execution_that_takes_too_long_fails() -> None:
    hand = Hand(task("a"), timeout=10)
    hand.fire("timeout", after=10)
    hand.end("a", "cancelled")
    assert hand.finish is not None
    assert hand.finish.error is not None
    assert (hand.outcome, hand.finish.error.code) == ("failed", "timeout")
    assert hand.finish.error.error_type == "TimeoutError"


def test_the_clock_stands_while_paused() -> None:
    hand = Hand(task("a"), timeout=10)
    hand.feed(ev.PauseRequested(), after=4)
    hand.fire("timeout", after=100)
    told = hand.feed(ev.ResumeRequested())
    assert hand.state.used == 4
    assert of(commands.SetTimer, told) == [commands.SetTimer("timeout", 6)]


def test_the_clock_stands_while_only_a_wait_is_open() -> None:
    hand = Hand(node(NodeKind.SIGNAL, "s", signal="go"), node(NodeKind.SLEEP, "z", wait=5), timeout=10)
    hand.fire("node:z", after=5)
    assert hand.state.used == 0
    assert commands.SetTimer("timeout", 10) not in hand.told


def test_the_clock_runs_in_back_off() -> None:
    hand = Hand(task("a"), timeout=10, error_handler="retry")
    hand.end("a", "failed")
    hand.fire("node:a", after=DEFAULT_RETRY.initial_delay)
    assert hand.state.used == DEFAULT_RETRY.initial_delay


def test_the_clock_runs_while_a_node_stands_in_line_for_a_limit() -> None:
    hand = Hand(task("a"), specs=[NodeSpec(component="work", limits={"database": 1})], timeout=10)
    hand.fire("timeout", after=10)
    assert (hand.outcome, hand.state.used) == ("failed", 10)


def test_the_clock_stands_while_nobody_holds_the_execution() -> None:
    hand = Hand(task("a"), timeout=10)
    hand.at += 1000
    told = hand.adopt()
    assert hand.state.used == 0
    assert commands.SetTimer("timeout", 10) in told


def test_what_was_used_before_a_take_over_counts() -> None:
    hand = Hand(task("a"), task("b", "a"), timeout=10)
    hand.at += 4
    hand.end("a")
    hand.at += 1000
    told = hand.adopt()
    assert hand.state.used == 4
    assert of(commands.SetTimer, told) == [commands.SetTimer("timeout", 6)]


def test_a_clock_that_is_set_back_takes_no_time_away() -> None:
    hand = Hand(task("a"), task("b", "a"), timeout=10)
    hand.begun("a")
    hand.at -= 500
    hand.end("a")
    assert hand.state.used == 0


def test_an_ending_execution_is_not_timed_any_more() -> None:
    hand = Hand(task("a"), timeout=10)
    hand.feed(ev.CancelRequested())
    assert hand.fire("timeout", after=20) == []


def test_a_time_out_after_the_end_was_commanded_changes_nothing() -> None:
    hand = Hand(task("a"), timeout=10)
    hand.end("a")
    hand.fire("timeout", after=20)
    assert hand.adopt() == [hand.finish]
    assert hand.outcome == "completed"


def test_the_clock_runs_while_a_body_computes() -> None:
    hand = Hand(driven=True, timeout=10)
    hand.fire("timeout", after=10)
    assert (hand.outcome, hand.state.used) == ("failed", 10)


def test_the_clock_stands_while_a_body_waits_for_a_sleep() -> None:
    hand = Hand(driven=True, timeout=10)
    hand.call(node(NodeKind.SLEEP, "z", wait=50.0))
    hand.fire("node:z", after=50)
    assert hand.state.used == 0
    hand.feed(ev.GraphClosed(), after=3)
    assert hand.state.used == 3


def test_the_clock_runs_while_the_body_of_a_sub_pipeline_computes() -> None:
    hand = Hand(driven=True, timeout=10)
    hand.call(node(NodeKind.SCOPE, "sub"))
    hand.call(node(NodeKind.SLEEP, "z", wait=50.0), "sub")
    hand.fire("node:sub/z", after=50)
    assert hand.state.used == 0
    hand.feed(ev.GraphClosed("sub"), after=4)
    assert hand.state.used == 4


def test_the_clock_stands_when_a_body_has_returned_and_a_wait_is_open() -> None:
    hand = Hand(driven=True, timeout=10)
    hand.call(node(NodeKind.DETACHED, "d"))
    hand.feed(ev.GraphClosed())
    hand.feed(ev.DetachedStarted("d", "exec-2"), after=7)
    assert (hand.outcome, hand.state.used) == ("completed", 0)


def test_the_clock_stands_in_a_pause_though_the_body_computes() -> None:
    hand = Hand(driven=True, timeout=10)
    hand.feed(ev.PauseRequested())
    hand.fire("timeout", after=20)
    assert (hand.outcome, hand.state.used) == (None, 0)
