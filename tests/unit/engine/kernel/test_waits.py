"""What waits for the world: sleeps, signals, side effects, detached executions."""

from tests.unit.engine.kernel.hand import OUTPUT, Hand, node, of, task
from twingraph.core import events as ev
from twingraph.core.plan import NodeKind
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
