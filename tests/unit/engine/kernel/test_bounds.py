"""Sub-pipelines with settings of their own: lanes, error handling, a time limit."""

from typing import Any

import pytest

from tests.unit.engine.kernel.hand import Hand, error, mapped, node, of, task
from twingraph.core import events as ev
from twingraph.core.plan import Hole, NodeKind, NodeSpec, PlanNode, ScopeSettings, Source, Template
from twingraph.core.policies import DEFAULT_RETRY
from twingraph.engine.kernel import commands


def sub(name: str = "sub", *sources: str, template: str | None = None, **bounds: Any) -> PlanNode:
    return node(NodeKind.SCOPE, name, *sources, template=template, bounds=ScopeSettings(**bounds))


def result(name: str) -> tuple[str | Hole, ...]:
    return (Hole(sources=(Source(node=name),)),)


def opened(*calls: PlanNode, settings: dict[str, Any] | None = None, **bounds: Any) -> Hand:
    """A body that has called a bounded sub-pipeline, which has made these calls."""
    hand = Hand(driven=True, **(settings or {}))
    hand.call(sub(**bounds))
    for call in calls:
        hand.call(call, "sub")
    return hand


# -- lanes


def open_lanes(hand: Hand) -> int:
    return len({known.lane for known in hand.state.nodes.values() if known.lane is not None})


def test_a_sub_pipeline_has_no_more_lanes_than_its_own_limit() -> None:
    hand = opened(task("a"), task("b"), task("c"), max_parallel=1)
    assert hand.running == ["sub/a"]
    hand.end("sub/a")
    assert open_lanes(hand) == 1


def test_what_is_outside_is_not_held_back() -> None:
    hand = opened(task("a"), task("b"), max_parallel=1)
    hand.call(task("c"))
    assert hand.running == ["sub/a", "c"]


def test_the_limit_of_the_execution_counts_too() -> None:
    hand = opened(task("a"), task("b"), max_parallel=5, settings={"max_parallel": 1})
    assert hand.running == ["sub/a"]


def test_lanes_below_count_towards_every_limit_around() -> None:
    hand = opened(sub("inner", max_parallel=5), max_parallel=1)
    hand.call(task("a"), "sub/inner")
    hand.call(task("b"), "sub/inner")
    hand.call(task("c"), "sub")
    assert hand.running == ["sub/inner/a"]
    hand.end("sub/inner/a")
    assert open_lanes(hand) == 1


def test_nodes_of_two_bounded_sub_pipelines_share_no_lane() -> None:
    hand = Hand(driven=True)
    hand.call(task("before"))
    hand.end("before", started=0.0, ended=0.0001)  # so quick that its like travel together
    hand.call(sub("one", max_parallel=1))
    hand.call(sub("two", max_parallel=1))
    hand.feed(ev.PauseRequested())
    for scope in ("one", "two"):
        hand.call(task("a"), scope)
        hand.call(task("b"), scope)
    hand.feed(ev.ResumeRequested())
    assert hand.lanes[1:] == [(("one/a", 1), ("one/b", 1)), (("two/a", 1), ("two/b", 1))]


def test_items_of_a_map_count_towards_the_limit() -> None:
    hand = opened(mapped("m"), max_parallel=2)
    hand.expand("sub/m", *"abcdefgh")
    assert open_lanes(hand) == 2


# -- failures


def test_under_its_own_continue_a_failure_that_nobody_met_does_not_matter() -> None:
    hand = opened(task("a"), error_handler="continue")
    hand.end("sub/a", "failed")
    hand.feed(ev.GraphClosed("sub"))
    assert hand.status("sub") == "completed"


def test_under_its_own_continue_what_still_runs_goes_on() -> None:
    hand = opened(task("a"), task("b"), error_handler="continue")
    hand.feed(ev.GraphClosed("sub", result=result("b")))
    hand.end("sub/a", "failed")
    assert hand.running == ["sub/b"]
    hand.end("sub/b")
    assert hand.status("sub") == "completed"


def test_under_its_own_fail_a_failure_that_nobody_met_fails_it_and_the_rest_continues() -> None:
    hand = opened(task("a"), error_handler="fail", settings={"error_handler": "continue"})
    hand.call(task("b"))
    hand.end("sub/a", "failed")
    hand.feed(ev.GraphClosed("sub"))
    assert (hand.status("sub"), hand.running) == ("failed", ["b"])
    hand.end("b")
    hand.feed(ev.GraphClosed())
    assert hand.outcome == "completed"


def test_what_it_does_not_say_is_said_by_the_scope_around() -> None:
    hand = opened(sub("inner", max_parallel=1), error_handler="continue")
    hand.call(task("a"), "sub/inner")
    hand.end("sub/inner/a", "failed")
    hand.feed(ev.GraphClosed("sub/inner"))
    assert hand.status("sub/inner") == "completed"


def test_a_drawn_workflow_with_its_own_fail_ends_alone() -> None:
    drawn = {"two": Template(nodes=(task("a"), task("b")), last_nodes=("a", "b"))}
    hand = Hand(sub(template="two", error_handler="fail"), task("c"), templates=drawn, error_handler="continue")
    told = hand.end("sub/a", "failed")
    assert of(commands.CancelRuns, told) == [commands.CancelRuns(("sub/b",))]
    hand.end("sub/b", "cancelled")
    assert (hand.status("sub"), hand.running, hand.outcome) == ("failed", ["c"], None)


def test_a_drawn_workflow_with_its_own_continue_goes_on() -> None:
    drawn = {"two": Template(nodes=(task("a"), task("b"), task("c", "b")), last_nodes=("c",))}
    hand = Hand(sub(template="two", error_handler="continue"), templates=drawn)
    hand.end("sub/a", "failed")
    assert (hand.running, hand.outcome) == (["sub/b"], None)


@pytest.mark.parametrize(("own", "tried_again"), [("retry", True), ("fail", False), (None, True)])
def test_its_own_word_decides_whether_failed_attempts_are_tried_again(own: str | None, tried_again: bool) -> None:
    hand = opened(task("a"), error_handler=own, settings={"error_handler": "retry" if own != "retry" else "fail"})
    hand.end("sub/a", "failed")
    assert (hand.status("sub/a") == "retrying") is tried_again
    assert (commands.SetTimer("node:sub/a", DEFAULT_RETRY.initial_delay) in hand.told) is tried_again


SPECS = (NodeSpec(component="work"), NodeSpec(component="inner handler"), NodeSpec(component="outer handler"))
OUTER = {"error_handler": "custom", "handler_component": 2, "specs": SPECS}


def handlers(told: list[Any]) -> list[tuple[str, int]]:
    return [
        (name, command.spec)
        for command in of(commands.Dispatch, told)
        for name, _ in command.runs
        if name.endswith("!handler")
    ]


def test_its_own_handler_is_called_for_what_fails_in_it() -> None:
    hand = opened(task("a"), error_handler="custom", handler_component=1, settings=OUTER)
    assert handlers(hand.end("sub/a", "failed")) == [("sub/a!handler", 1)]


def test_without_its_own_handler_that_of_the_execution_is_called() -> None:
    hand = opened(task("a"), max_parallel=1, settings=OUTER)
    assert handlers(hand.end("sub/a", "failed")) == [("sub/a!handler", 2)]


def test_with_its_own_fail_no_handler_is_called_for_what_fails_in_it() -> None:
    hand = opened(task("a"), error_handler="fail", settings=OUTER)
    assert handlers(hand.end("sub/a", "failed")) == []


def test_its_own_custom_handler_may_let_the_rest_go_on() -> None:
    own = {"error_handler": "custom", "handler_component": 1, "continue_on_error": True}
    hand = opened(task("a"), task("b"), settings=OUTER, **own)
    hand.feed(ev.GraphClosed("sub"))
    hand.end("sub/a", "failed")
    assert "sub/b" in hand.running


# -- time


def test_a_sub_pipeline_that_takes_too_long_fails_and_nothing_else_does() -> None:
    hand = opened(task("a"), timeout=5)
    hand.call(task("b"))
    assert commands.SetTimer("scope:sub", 5) in hand.told
    told = hand.fire("scope:sub", after=5)
    assert of(commands.CancelRuns, told) == [commands.CancelRuns(("sub/a",))]
    assert commands.StopDriver("sub") in told
    assert commands.WakeDriver("", "sub") in hand.end("sub/a", "cancelled")
    failure = hand.state.nodes["sub"].error
    assert failure is not None
    assert (failure.code, failure.error_type, failure.node_id) == ("timeout", "TimeoutError", "sub")
    assert failure.message == "the pipeline sub took longer than its timeout of 5 s"
    assert (hand.status("sub"), hand.running, hand.outcome) == ("failed", ["b"], None)


def test_a_body_that_computes_too_long_is_not_waited_for() -> None:
    hand = opened(timeout=5)
    hand.fire("scope:sub", after=5)
    assert hand.status("sub") == "failed"
    hand.feed(ev.GraphClosed("sub"))
    assert hand.status("sub") == "failed"


def test_everything_below_is_cancelled_when_time_is_up() -> None:
    hand = opened(sub("inner"), node(NodeKind.SLEEP, "z", wait=50.0), timeout=5)
    hand.call(task("a"), "sub/inner")
    told = hand.fire("scope:sub", after=1) + hand.fire("scope:sub", after=4)
    assert commands.StopDriver("sub/inner") in told
    hand.end("sub/inner/a", "cancelled")
    assert [hand.status(name) for name in ("sub", "sub/inner", "sub/z")] == ["failed", "cancelled", "cancelled"]


def test_the_clock_of_a_scope_stands_while_only_a_sleep_is_open_in_it() -> None:
    hand = opened(node(NodeKind.SLEEP, "z", wait=100.0), timeout=5)
    hand.call(task("b"))
    hand.fire("scope:sub", after=50)
    assert hand.status("sub") == "running"
    told = hand.fire("node:sub/z", after=50)
    assert of(commands.SetTimer, told) == [commands.SetTimer("scope:sub", 5)]


def test_the_clock_of_a_scope_goes_on_where_it_stood() -> None:
    hand = opened(timeout=5)
    hand.call(node(NodeKind.SLEEP, "z", wait=100.0), "sub")
    hand.fire("node:sub/z", after=100)
    hand.feed(ev.GraphExtended((node(NodeKind.SLEEP, "y", wait=100.0),), scope="sub"), after=2)
    hand.fire("scope:sub", after=50)
    told = hand.fire("node:sub/y", after=50)
    assert of(commands.SetTimer, told) == [commands.SetTimer("scope:sub", 3)]
    hand.fire("scope:sub", after=3)
    assert hand.status("sub") == "failed"


def test_a_scope_that_was_cancelled_does_not_time_out_any_more() -> None:
    hand = opened(sub("inner", timeout=5))
    hand.call(task("a"), "sub/inner")
    hand.feed(ev.GraphClosed("sub", error=error()))
    hand.fire("scope:sub/inner", after=5)
    hand.end("sub/inner/a", "cancelled")
    assert hand.status("sub/inner") == "cancelled"


def test_the_clock_of_a_scope_stands_in_a_pause() -> None:
    hand = opened(task("a"), timeout=5)
    hand.feed(ev.PauseRequested(), after=2)
    hand.fire("scope:sub", after=100)
    assert hand.status("sub") == "running"
    assert commands.SetTimer("scope:sub", 3) in hand.feed(ev.ResumeRequested())


def test_the_clock_of_a_scope_stands_while_nobody_holds_the_execution() -> None:
    hand = opened(task("a"), timeout=5)
    hand.at += 100
    assert commands.SetTimer("scope:sub", 5) in hand.adopt()


def test_the_timer_of_a_scope_is_cleared_with_its_end() -> None:
    hand = opened(timeout=5)
    told = hand.feed(ev.GraphClosed("sub"))
    assert commands.ClearTimer("scope:sub") in told
    assert hand.fire("scope:sub", after=5) == []


def test_a_scope_that_timed_out_calls_the_error_handler_of_the_scope_around() -> None:
    hand = opened(timeout=5, settings=OUTER)
    assert handlers(hand.fire("scope:sub", after=5)) == [("sub!handler", 2)]


def test_a_failure_that_leaves_a_body_was_told_to_the_handler_before() -> None:
    hand = opened(task("a"), settings=OUTER)
    hand.end("sub/a", "failed")
    hand.end("sub/a!handler")
    told = hand.feed(ev.GraphClosed("sub", error=error(node_id="sub/a")))
    assert (hand.status("sub"), handlers(told)) == ("failed", [])


def test_an_error_of_the_body_itself_is_told_to_the_handler() -> None:
    hand = opened(settings=OUTER)
    assert handlers(hand.feed(ev.GraphClosed("sub", error=error()))) == [("sub!handler", 2)]
