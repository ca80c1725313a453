"""Branches: dead edges, skips, and merges of exclusive sides."""

from tests.unit.engine.kernel.hand import Hand, branch, task
from twingraph.core.plan import Edge


def test_only_the_side_that_was_taken_runs() -> None:
    hand = Hand(branch("b"), task("yes", "b:true"), task("no", "b:false"))
    hand.take("b", "true")
    assert hand.running == ["yes"]
    assert (hand.status("no"), hand.reason("no")) == ("skipped", "branch")


def test_a_skip_reaches_what_depends_on_it() -> None:
    hand = Hand(branch("b"), task("no", "b:false"), task("after", "no"))
    hand.take("b", "true")
    assert hand.reason("after") == "branch"
    assert hand.outcome == "completed"


def test_exclusive_sides_meet_in_one_parameter() -> None:
    sides = (Edge(source="yes", param="x"), Edge(source="no", param="x"))
    hand = Hand(branch("b"), task("yes", "b:true"), task("no", "b:false"), task("join", *sides))
    hand.take("b", "false")
    hand.end("no")
    assert hand.running == ["join"]


def test_a_dead_required_parameter_skips_although_another_lives() -> None:
    hand = Hand(branch("b"), task("no", "b:false"), task("a"), task("join", "a", "no"))
    hand.take("b", "true")
    hand.end("a")
    assert hand.reason("join") == "branch"


def test_a_dead_optional_parameter_does_not_skip() -> None:
    edges = (Edge(source="a", param="x"), Edge(source="no", param="y", optional=True))
    hand = Hand(branch("b"), task("no", "b:false"), task("a"), task("join", *edges))
    hand.take("b", "true")
    hand.end("a")
    assert hand.running == ["join"]


def test_a_branch_may_fail_and_try_no_more() -> None:
    hand = Hand(branch("b"), task("yes", "b:true"))
    hand.end("b", "failed")
    assert hand.outcome == "failed"


def test_a_branch_that_was_taken_twice_is_taken_once() -> None:
    hand = Hand(branch("b"), task("yes", "b:true"), task("no", "b:false"))
    hand.take("b", "true")
    hand.take("b", "false")
    assert hand.state.nodes["b"].branch == "true"
