"""Sub-workflows: a scope of their own, a chain inside, and how far a failure reaches."""

from tests.unit.engine.kernel.hand import Hand, mapped, node, of, task
from twingraph.core.plan import NodeKind, Template
from twingraph.engine.kernel import commands

PAIR = {"pair": Template(nodes=(task("a"), task("b", "a")), last_nodes=("b",))}
OUTER = {"outer": Template(nodes=(node(NodeKind.SCOPE, "in", template="pair"), task("c")), last_nodes=("in", "c"))}


def test_nodes_inside_wait_for_their_sources() -> None:
    hand = Hand(node(NodeKind.SCOPE, "s", template="pair"), task("after", "s"), templates=PAIR)
    assert hand.running == ["s/a"]
    hand.end("s/a")
    hand.end("s/b")
    assert hand.running == ["after"]


def test_a_failure_inside_fails_the_execution_at_once() -> None:
    hand = Hand(node(NodeKind.SCOPE, "s", template="pair"), templates=PAIR)
    hand.end("s/a", "failed")
    assert hand.outcome == "failed"
    assert hand.status("s/b") == "cancelled"


def test_under_continue_a_failure_inside_fails_the_sub_workflow_at_its_end() -> None:
    hand = Hand(
        node(NodeKind.SCOPE, "s", template="outer"),
        task("other"),
        templates=PAIR | OUTER,
        error_handler="continue",
    )
    hand.end("s/in/a", "failed")
    assert (hand.status("s/in"), hand.status("s/c")) == ("failed", "queued")
    hand.end("s/c")
    assert hand.status("s") == "failed"
    hand.end("other")
    assert hand.outcome == "failed"


def test_a_kept_item_ends_with_everything_that_is_nested_in_it() -> None:
    hand = Hand(mapped("m", template="outer", keep=True), templates=PAIR | OUTER)
    hand.expand("m", "x")
    told = hand.end("m[x]/in/a", "failed")
    assert of(commands.CancelRuns, told) == [commands.CancelRuns(("m[x]/c",))]
    hand.end("m[x]/c", "cancelled")
    assert (hand.status("m[x]/in"), hand.status("m"), hand.outcome) == ("failed", "completed", "completed")


def test_a_sub_workflow_without_nodes_completes() -> None:
    hand = Hand(node(NodeKind.SCOPE, "s", template="none"), templates={"none": Template(nodes=())})
    assert hand.outcome == "completed"
