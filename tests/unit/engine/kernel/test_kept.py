"""Outcomes that are kept from an earlier execution come many at once, and nothing of them runs."""

from __future__ import annotations

from tests.unit.engine.kernel.hand import OUTPUT, Hand, branch, task
from twingraph.core import events as ev
from twingraph.engine.kernel import snapshot


def kept(*names: str, seq: int = 7) -> ev.OutcomesKept:
    return ev.OutcomesKept("exec-0", tuple((name, seq + n, "plain", (OUTPUT,)) for n, name in enumerate(names)))


def chain() -> Hand:
    return Hand(task("a"), task("b", "a"), task("c", "b"), task("d", "c"))


def test_all_of_them_end_before_anything_goes_on() -> None:
    hand = chain()
    todo = hand.feed(kept("a", "b", "c"))
    assert hand.statuses() == {"a": "completed", "b": "completed", "c": "completed", "d": "queued"}
    assert [run for command in todo for run in getattr(command, "runs", ())] == [("d", 1)]


def test_a_node_knows_where_its_values_stand() -> None:
    hand = chain()
    hand.feed(kept("a", "b"))
    node = hand.state.nodes["b"]
    assert (node.cached_from, node.kept_at, node.seq, node.outputs) == ("exec-0", 8, hand.state.seq, (OUTPUT,))
    again = snapshot.load(snapshot.dump(hand.state)).nodes["b"]
    assert (again.cached_from, again.kept_at, again.seq) == ("exec-0", 8, hand.state.seq)


def test_what_is_over_or_waits_for_something_else_is_passed_over() -> None:
    hand = Hand(task("a"), task("b", "a"), task("c", "a", "b"))
    hand.end("a")
    hand.feed(kept("a", "c", "unknown"))
    assert hand.statuses() == {"a": "completed", "b": "queued", "c": "pending"}
    assert hand.state.nodes["a"].cached_from is None


def test_who_follows_a_branch_learns_which_way_it_went() -> None:
    hand = Hand(branch("if"), task("yes", "if:true"), task("no", "if:false"), task("end", "yes"))
    hand.take("if", "true")
    hand.feed(kept("yes", "end"))
    assert hand.statuses() == {"if": "completed", "yes": "completed", "no": "skipped", "end": "completed"}
    assert hand.outcome == "completed"


def test_a_kept_outcome_frees_the_lane_in_which_its_node_would_have_run() -> None:
    hand = Hand(task("a"), task("b"), max_parallel=1)
    hand.feed(kept("a"))
    assert hand.statuses() == {"a": "completed", "b": "queued"}
