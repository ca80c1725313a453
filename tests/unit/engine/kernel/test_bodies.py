"""Driven scopes: calls one by one, wakes, failures met or not, bodies in bodies."""

from tests.unit.engine.kernel.hand import Hand, error, mapped, node, of, task
from twingraph.core import events as ev
from twingraph.core.plan import Hole, NodeKind, Source
from twingraph.engine.kernel import commands

SUB = node(NodeKind.SCOPE, "sub")


def result(name: str) -> tuple[str | Hole, ...]:
    return (Hole(sources=(Source(node=name),)),)


def test_each_call_starts_when_it_is_made_and_wakes_its_body_when_it_is_over() -> None:
    hand = Hand(driven=True)
    hand.call(task("a"))
    assert hand.running == ["a"]
    assert commands.WakeDriver("", "a") in hand.end("a")
    hand.call(task("b", "a"))
    assert hand.running == ["b"]
    assert hand.outcome is None


def test_the_execution_is_over_when_the_body_and_its_calls_are() -> None:
    hand = Hand(driven=True)
    hand.call(task("a"))
    hand.feed(ev.GraphClosed(result=result("a")))
    hand.end("a")
    assert hand.outcome == "completed"


def test_a_call_that_was_sent_twice_is_one() -> None:
    hand = Hand(driven=True)
    hand.call(task("a"))
    assert hand.call(task("a")) == []


def test_a_failure_cancels_nothing_while_the_body_may_still_meet_it() -> None:
    hand = Hand(driven=True)
    hand.call(task("a"))
    hand.call(task("b"))
    hand.end("a", "failed")
    assert hand.running == ["b"]


def test_a_failure_that_the_body_met_does_not_fail_the_execution() -> None:
    hand = Hand(driven=True)
    hand.call(task("a"))
    hand.end("a", "failed")
    hand.feed(ev.GraphClosed(met=("a",)))
    assert hand.outcome == "completed"


def test_a_failed_call_that_nobody_used_fails_the_execution() -> None:
    hand = Hand(driven=True)
    hand.call(task("a"))
    hand.end("a", "failed")
    hand.feed(ev.GraphClosed())
    assert hand.outcome == "failed"


def test_a_failure_after_the_body_has_ended_is_unhandled() -> None:
    hand = Hand(driven=True)
    hand.call(task("a"))
    hand.call(task("b"))
    hand.feed(ev.GraphClosed())
    told = hand.end("a", "failed")
    assert of(commands.CancelRuns, told) == [commands.CancelRuns(("b",))]


def test_a_failed_call_that_nobody_used_does_not_matter_under_continue() -> None:
    hand = Hand(driven=True, error_handler="continue")
    hand.call(task("a"))
    hand.feed(ev.GraphClosed())
    hand.end("a", "failed")
    assert hand.outcome == "completed"


def test_a_result_that_failed_fails_the_execution_under_continue_too() -> None:
    hand = Hand(driven=True, error_handler="continue")
    hand.call(task("a"))
    hand.call(task("b", "a"))
    hand.feed(ev.GraphClosed(result=result("b")))
    hand.end("a", "failed")
    assert hand.outcome == "failed"
    assert hand.finish is not None
    assert hand.finish.error is not None
    assert hand.finish.error.code == "upstream"


def test_an_error_that_leaves_the_body_cancels_what_it_called() -> None:
    hand = Hand(driven=True)
    hand.call(task("a"))
    hand.feed(ev.GraphClosed(error=error()))
    hand.end("a", "cancelled")
    assert (hand.outcome, hand.status("a")) == ("failed", "cancelled")


def test_a_body_that_raises_before_its_first_call_fails() -> None:
    hand = Hand(driven=True)
    hand.feed(ev.GraphClosed(error=error()))
    assert hand.outcome == "failed"


def test_a_sub_pipeline_is_a_scope_with_a_body_of_its_own() -> None:
    hand = Hand(driven=True)
    assert hand.call(SUB) == [commands.StartDriver("sub")]
    hand.call(task("a"), "sub")
    assert hand.running == ["sub/a"]
    hand.end("sub/a")
    told = hand.feed(ev.GraphClosed("sub", result=result("a")))
    assert commands.WakeDriver("", "sub") in told


def test_a_failed_sub_pipeline_is_met_by_the_body_that_called_it() -> None:
    hand = Hand(driven=True)
    hand.call(SUB)
    hand.call(task("a"), "sub")
    hand.feed(ev.GraphClosed("sub", error=error()))
    hand.end("sub/a", "cancelled")
    assert hand.status("sub") == "failed"
    hand.feed(ev.GraphClosed(met=("sub",)))
    assert hand.outcome == "completed"


def test_a_map_that_a_body_called_ends_with_its_first_failed_item() -> None:
    hand = Hand(driven=True)
    hand.call(mapped("m"))
    hand.call(task("b"))
    hand.expand("m", "x", "y")
    told = hand.end("m[x]", "failed")
    assert of(commands.CancelRuns, told) == [commands.CancelRuns(("m[y]",))]
    hand.end("m[y]", "cancelled")
    assert (hand.status("m"), hand.running) == ("failed", ["b"])


def test_bodies_of_open_scopes_begin_again_after_an_adoption() -> None:
    hand = Hand(driven=True)
    hand.call(SUB)
    assert commands.StartDriver("sub") in hand.adopt()


def test_cancelling_wakes_every_waiting_body() -> None:
    hand = Hand(driven=True)
    hand.call(node(NodeKind.SIGNAL, "s", signal="go"))
    assert commands.WakeDriver("", "s") in hand.feed(ev.CancelRequested())


def test_calls_after_the_end_are_refused() -> None:
    hand = Hand(driven=True)
    hand.feed(ev.CancelRequested())
    assert hand.call(task("a")) == []
    assert hand.statuses() == {}


def test_a_call_may_depend_on_what_is_over() -> None:
    hand = Hand(driven=True)
    hand.call(task("a"))
    hand.end("a", "failed")
    hand.call(task("b", "a"))
    assert (hand.status("b"), hand.reason("b")) == ("skipped", "upstream")
