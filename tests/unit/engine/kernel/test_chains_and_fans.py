"""Dependencies: what may begin when."""

from tests.unit.engine.kernel.hand import Hand, node, task
from twingraph.core.plan import Edge, NodeKind


def test_a_chain_goes_one_after_another_and_completes() -> None:
    hand = Hand(task("a"), task("b", "a"), task("c", "b"))
    for name in ("a", "b", "c"):
        assert hand.running == [name]
        hand.end(name)
    assert hand.outcome == "completed"


def test_a_diamond_joins_when_both_sides_are_over() -> None:
    hand = Hand(task("a"), task("b", "a"), task("c", "a"), task("d", "b", "c"))
    hand.end("a")
    assert hand.running == ["b", "c"]
    hand.end("b")
    assert hand.status("d") == "pending"
    hand.end("c")
    assert hand.running == ["d"]


def test_two_edges_from_one_source_count_once_each() -> None:
    hand = Hand(task("a"), task("b", "a", "a"))
    hand.end("a")
    assert hand.running == ["b"]


def test_nodes_may_stand_before_their_sources_in_the_plan() -> None:
    hand = Hand(task("b", "a"), task("a"))
    hand.end("a")
    assert hand.running == ["b"]


def test_an_input_needs_no_work() -> None:
    hand = Hand(node(NodeKind.INPUT, "i"), task("a", "i"))
    assert hand.status("i") == "completed"
    assert hand.running == ["a"]


def test_an_order_only_edge_waits_too() -> None:
    hand = Hand(task("a"), task("b", Edge(source="a")))
    assert hand.running == ["a"]


def test_a_workflow_without_nodes_completes() -> None:
    assert Hand().outcome == "completed"
