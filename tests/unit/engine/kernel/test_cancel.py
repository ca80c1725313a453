"""Cancelling: what waits ends now, what runs is waited for, but not for long."""

from tests.unit.engine.kernel.hand import Hand, mapped, of, task
from twingraph.core import events as ev
from twingraph.engine.kernel import commands


def test_it_ends_as_soon_as_the_last_run_does() -> None:
    hand = Hand(task("a"), task("b", "a"))
    told = hand.feed(ev.CancelRequested())
    assert told == [commands.CancelRuns(("a",)), commands.SetTimer("ending", 8.0)]
    hand.end("a", "cancelled")
    assert hand.outcome == "cancelled"
    assert hand.statuses() == {"a": "cancelled", "b": "cancelled"}


def test_with_nothing_in_flight_it_ends_at_once() -> None:
    hand = Hand(task("a"), error_handler="retry")
    hand.end("a", "failed")
    told = hand.feed(ev.CancelRequested())
    assert [type(command).__name__ for command in told] == ["ClearTimer", "Finish"]


def test_a_run_that_never_answers_is_not_waited_for() -> None:
    hand = Hand(task("a"))
    hand.feed(ev.CancelRequested())
    told = hand.fire("ending", after=8)
    assert [type(command).__name__ for command in told] == ["CancelRuns", "Finish"]


def test_what_completes_while_it_ends_is_completed() -> None:
    hand = Hand(task("a"), task("b", "a"))
    hand.feed(ev.CancelRequested())
    hand.end("a")
    assert (hand.status("a"), hand.outcome) == ("completed", "cancelled")


def test_items_of_a_map_end_with_it() -> None:
    hand = Hand(mapped("m"), task("after", "m"), max_parallel=1)
    hand.expand("m", *[str(number) for number in range(9)])
    hand.feed(ev.CancelRequested())
    for name in hand.running:
        hand.end(name, "lost")
    assert set(hand.statuses().values()) == {"cancelled"}
    assert hand.outcome == "cancelled"


def test_runs_that_are_given_back_while_it_ends_are_cancelled() -> None:
    hand = Hand(task("a"))
    hand.feed(ev.CancelRequested())
    hand.feed(ev.NodesReturned((("a", 1),)))
    assert hand.outcome == "cancelled"


def test_a_cancel_twice_is_one() -> None:
    hand = Hand(task("a"))
    hand.feed(ev.CancelRequested())
    assert hand.feed(ev.CancelRequested()) == []


def test_a_cancel_of_a_paused_execution_ends_it() -> None:
    hand = Hand(task("a"))
    hand.feed(ev.PauseRequested())
    hand.feed(ev.NodesReturned((("a", 1),)))
    hand.feed(ev.CancelRequested())
    assert hand.outcome == "cancelled"


def test_a_cancel_after_the_end_was_commanded_comes_too_late() -> None:
    hand = Hand(task("a"))
    hand.end("a")
    hand.feed(ev.CancelRequested())
    hand.feed(ev.ExecutionEnded("completed"))
    assert hand.state.status == "completed"
    assert of(commands.Finish, hand.told) == [hand.finish]
