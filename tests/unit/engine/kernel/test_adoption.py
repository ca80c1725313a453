"""Adoption: what was in flight goes again as the next attempt, at nobody's charge."""

import json

from tests.unit.engine.kernel.hand import Hand, mapped, task
from twingraph.core import events as ev
from twingraph.engine.kernel import State, apply, commands, snapshot


def test_what_was_in_flight_is_the_next_attempt() -> None:
    hand = Hand(task("a"))
    hand.adopt()
    assert (hand.dispatched("a"), hand.state.nodes["a"].spent, hand.state.nodes["a"].losses) == ([1, 2], 0, 0)


def test_the_order_of_what_goes_again_is_kept() -> None:
    hand = Hand(*[task(name) for name in "abcd"], max_parallel=1)
    hand.adopt()
    assert hand.lanes[1] == (("a", 2), ("b", 2), ("c", 2), ("d", 2))


def test_an_outcome_of_the_run_before_is_refused() -> None:
    hand = Hand(task("a"))
    hand.adopt()
    hand.end("a", attempt=1)
    assert hand.status("a") == "queued"


def test_back_off_goes_on() -> None:
    hand = Hand(task("a"), error_handler="retry")
    hand.end("a", "failed")
    hand.at += 0.25
    assert commands.SetTimer("node:a", 0.75) in hand.adopt()


def test_what_a_cancel_waited_for_is_gone_with_its_conductor() -> None:
    hand = Hand(task("a"))
    hand.feed(ev.CancelRequested())
    hand.adopt()
    assert hand.outcome == "cancelled"


def test_a_paused_execution_stays_paused() -> None:
    hand = Hand(task("a"))
    hand.feed(ev.PauseRequested("interrupted"))
    hand.adopt()
    assert (hand.running, hand.state.status) == ([], "paused")


def test_an_end_that_was_commanded_is_commanded_again() -> None:
    hand = Hand(task("a"))
    hand.end("a")
    assert hand.adopt() == [hand.finish]


def test_an_execution_that_is_over_is_left_alone() -> None:
    hand = Hand()
    hand.feed(ev.ExecutionEnded("completed"))
    assert hand.adopt() == []


def test_a_state_survives_its_snapshot_at_every_point() -> None:
    hand = Hand(mapped("m"), task("b", "m"), error_handler="retry")
    hand.expand("m", "x", "y", "z")
    hand.end("m[x]", "failed")
    hand.end("m[y]", "lost")
    whole = json.dumps(snapshot.dump(hand.state))
    state = State("exec-1")
    for seq, (event, at) in enumerate(hand.journal, 1):
        apply(state, event, at, seq)
        state = snapshot.load(json.loads(json.dumps(snapshot.dump(state))))
    assert json.dumps(snapshot.dump(state)) == whole
