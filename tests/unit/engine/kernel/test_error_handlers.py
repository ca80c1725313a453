"""The four error handlers: fail, continue, retry, custom."""

import pytest

from tests.unit.engine.kernel.hand import Hand, of, task
from twingraph.core import events as ev
from twingraph.core.plan import Edge, Hole, NodeSpec, PlanNode, Source
from twingraph.engine.kernel import commands

SPECS = [NodeSpec(component="work"), NodeSpec(component="tell")]


def custom(*plans: PlanNode, goes_on: bool = False) -> Hand:
    return Hand(*plans, specs=SPECS, error_handler="custom", handler_component=1, continue_on_error=goes_on)


def test_fail_cancels_the_rest_at_the_first_failure() -> None:
    hand = Hand(task("a"), task("b"), task("c", "b"))
    told = hand.end("a", "failed")
    assert of(commands.CancelRuns, told) == [commands.CancelRuns(("b",))]
    hand.end("b", "cancelled")
    assert hand.outcome == "failed"
    assert hand.finish is not None
    assert hand.finish.error == hand.state.nodes["a"].error


def test_continue_skips_what_depends_and_goes_on_with_the_rest() -> None:
    hand = Hand(task("a"), task("b", "a"), task("c"), task("d", "c"), error_handler="continue")
    hand.end("a", "failed")
    assert (hand.status("b"), hand.reason("b")) == ("skipped", "upstream")
    hand.end("c")
    hand.end("d")
    assert hand.outcome == "failed"  # b is a last node and was skipped for its source


def listed(*sources: str) -> PlanNode:
    """A node with one argument: the list of what these give."""
    parts: list[str | Hole] = ["["]
    for source in sources:
        parts += [Hole((Source(source),)), ","]
    edges = tuple(Edge(source, "of") for source in sources)
    return PlanNode("all", spec=0, edges=edges, args={"of": (*parts[:-1], "]")})


@pytest.mark.parametrize("fails", ["a", "b"])
def test_continue_skips_what_needs_a_list_of_which_one_part_did_not_come(fails: str) -> None:
    hand = Hand(task("a"), task("b"), listed("a", "b"), error_handler="continue")
    for name in ("a", "b"):
        hand.end(name, "failed" if name == fails else "completed")
    assert (hand.status("all"), hand.reason("all")) == ("skipped", "upstream")


def test_continue_completes_when_every_last_node_did() -> None:
    hand = Hand(task("a"), task("c"), error_handler="continue")
    for state in hand.states:
        state.root.last_nodes = ("c",)
    hand.end("a", "failed")
    hand.end("c")
    assert hand.outcome == "completed"


def test_retry_gives_three_attempts_to_nodes_without_a_policy() -> None:
    hand = Hand(task("a"), error_handler="retry")
    for _ in range(2):
        hand.end("a", "failed")
        hand.fire("node:a", after=10)
    hand.end("a", "failed")
    assert (hand.dispatched("a"), hand.outcome) == ([1, 2, 3], "failed")


def test_retry_ends_everything_when_no_attempt_is_left() -> None:
    hand = Hand(task("a"), task("b"), error_handler="retry")
    for _ in range(2):
        hand.end("a", "failed")
        hand.fire("node:a", after=10)
    told = hand.end("a", "failed")
    assert of(commands.CancelRuns, told) == [commands.CancelRuns(("b",))]


def test_custom_calls_the_handler_once_for_a_node_that_failed_for_good() -> None:
    hand = custom(task("a"))
    hand.end("a", "failed")
    assert hand.running == ["a!handler"]
    assert hand.outcome is None
    hand.end("a!handler")
    assert hand.outcome == "failed"


def test_custom_may_go_on() -> None:
    hand = custom(task("a"), task("b"), goes_on=True)
    hand.end("a", "failed")
    hand.end("b")
    hand.end("a!handler")
    assert hand.status("b") == "completed"


def test_a_handler_that_fails_changes_nothing_more() -> None:
    hand = custom(task("a"))
    hand.end("a", "failed")
    hand.end("a!handler", "failed")
    assert hand.dispatched("a!handler") == [1]
    assert hand.outcome == "failed"


def test_a_handler_is_not_cut_off_while_the_failure_ends_everything() -> None:
    hand = custom(task("a"), task("b"))
    hand.end("a", "failed")
    hand.fire("ending", after=8)
    assert (hand.status("b"), hand.running, hand.outcome) == ("cancelled", ["a!handler"], None)
    hand.end("a!handler")
    assert hand.outcome == "failed"


def test_a_handler_that_was_lost_runs_again_though_everything_ends() -> None:
    hand = custom(task("a"))
    hand.end("a", "failed")
    hand.end("a!handler", "lost")
    assert hand.dispatched("a!handler") == [1, 2]
    hand.end("a!handler")
    assert hand.outcome == "failed"


def test_a_handler_that_was_recalled_is_handed_over_at_the_latest_when_all_ends() -> None:
    hand = custom(task("a"), task("b"), goes_on=True)
    hand.end("a", "failed")
    hand.feed(ev.PauseRequested())
    hand.feed(ev.NodesReturned((("a!handler", 1),)))
    assert hand.running == ["b"]
    hand.feed(ev.CancelRequested())
    assert hand.running == ["b", "a!handler"]


def test_whoever_cancels_does_not_wait_for_handlers() -> None:
    hand = custom(task("a"))
    hand.end("a", "failed")
    hand.feed(ev.CancelRequested())
    hand.fire("ending", after=8)
    assert hand.outcome == "cancelled"


def test_a_handler_for_an_adopted_execution_runs_again() -> None:
    hand = custom(task("a"))
    hand.end("a", "failed")
    told = hand.adopt()
    assert commands.SetTimer("ending", 8.0) in told
    assert hand.dispatched("a!handler") == [1, 2]


def test_a_handler_that_was_lost_in_a_pause_goes_beside_all_lanes_when_it_is_over() -> None:
    """It asks for no limit and takes nobody's lane, as it did before."""
    specs = [NodeSpec(component="work", limits={"database": 1})]
    hand = Hand(task("a"), task("b"), specs=specs, error_handler="custom", handler_component=0, continue_on_error=True)
    for name in ("a", "b"):
        hand.feed(ev.LimitGranted(name))
    hand.end("a", "failed")
    hand.feed(ev.PauseRequested())
    hand.adopt()
    assert hand.running == []
    told = hand.feed(ev.ResumeRequested())
    assert hand.running == ["a!handler"]
    assert [command.node for command in told if isinstance(command, commands.AskLimit)] == ["b"]
    assert hand.dispatched("a!handler") == [1, 2]
