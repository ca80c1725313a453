"""Driven scopes: calls one by one, wakes, failures met or not, bodies in bodies."""

import pytest

from tests.unit.engine.kernel.hand import Hand, error, mapped, node, of, task
from twingraph.core import events as ev
from twingraph.core.plan import Hole, NodeKind, PlanNode, Source, Template
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


def test_a_call_that_was_given_up_may_fail_after_the_body_has_ended() -> None:
    hand = Hand(driven=True)
    hand.call(task("a"))
    hand.feed(ev.GraphClosed(met=("a",)))
    hand.end("a", "failed")
    assert hand.outcome == "completed"


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


def test_a_result_that_is_skipped_says_what_failed() -> None:
    hand = Hand(driven=True, error_handler="continue")
    for call in (task("a"), task("b", "a"), task("c", "b")):
        hand.call(call)
    hand.feed(ev.GraphClosed(result=result("c")))
    hand.end("a", "failed", error=error(node_id="a", types=("ValueError",)))
    assert hand.finish is not None
    assert hand.finish.error is not None
    assert hand.finish.error.message == "the result needs c, which is skipped, since a failed: ValueError: no"
    assert hand.finish.error.types == ("ValueError",)


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


def test_the_body_of_an_execution_begins_when_it_is_created() -> None:
    hand = Hand(body="flow:main", driven=True)
    assert hand.told == [commands.StartDriver(""), *of(commands.SetTimer, hand.told)]
    assert (hand.state.body, hand.state.root.driven) == ("flow:main", True)


def test_bodies_begin_again_after_an_adoption_from_the_outside_in() -> None:
    hand = Hand(body="flow:main", driven=True)
    hand.call(SUB)
    assert of(commands.StartDriver, hand.adopt()) == [commands.StartDriver(""), commands.StartDriver("sub")]


def test_bodies_that_are_over_do_not_begin_again() -> None:
    hand = Hand(body="flow:main", driven=True)
    hand.call(SUB)
    hand.call(task("a"))
    hand.feed(ev.GraphClosed("sub"))
    hand.feed(ev.GraphClosed())
    assert of(commands.StartDriver, hand.adopt()) == []


def test_no_body_begins_again_while_the_execution_ends() -> None:
    hand = Hand(body="flow:main", driven=True)
    hand.call(task("a"))
    hand.feed(ev.CancelRequested())
    assert of(commands.StartDriver, hand.adopt()) == []


def test_endings_are_numbered_over_the_whole_execution() -> None:
    hand = Hand(driven=True)
    hand.call(SUB)
    for name in "abc":
        hand.call(task(name), "sub")
    hand.call(task("d", "sub"))
    hand.end("sub/b")
    hand.end("sub/a", "failed")
    hand.feed(ev.CancelRequested())
    orders = {name: known.order for name, known in hand.state.nodes.items()}
    assert orders == {"sub/b": 1, "sub/a": 2, "sub": 3, "d": 4, "sub/c": 0}
    hand.end("sub/c", "cancelled")
    assert (hand.state.nodes["sub/c"].order, hand.state.ended_count) == (5, 5)


def test_decisions_are_kept_between_the_calls_where_they_came() -> None:
    hand = Hand(driven=True)
    early, late = ev.DecisionMade("", "now", 1.5), ev.DecisionMade("", "wait_any", "a", caller="1")
    hand.feed(early)
    hand.call(task("a"))
    hand.call(task("b"))
    hand.feed(late)
    assert hand.state.root.decisions == [(0, early), (2, late)]


def test_a_decision_of_a_body_that_is_over_is_not_kept() -> None:
    hand = Hand(driven=True)
    hand.call(task("a"))
    hand.feed(ev.GraphClosed())
    hand.feed(ev.DecisionMade("", "now", 1.5))
    assert hand.state.root.decisions == []


def test_named_outputs_are_kept_and_must_exist() -> None:
    hand = Hand(driven=True, error_handler="continue")
    hand.call(task("a"))
    hand.end("a", "failed")
    hand.feed(ev.GraphClosed(shape="dict", outputs=(("x", ("1",)), ("y", result("a")))))
    assert (hand.state.root.shape, [name for name, _ in hand.state.root.outputs]) == ("dict", ["x", "y"])
    assert hand.outcome == "failed"


@pytest.mark.parametrize("kind", ["task", "sleep", "signal", "side_effect", "detached", "scope"])
def test_a_body_is_woken_for_every_kind_of_call_when_all_of_it_is_cancelled(kind: str) -> None:
    hand = Hand(driven=True)
    hand.call(node(NodeKind(kind), "x", spec=0 if kind == "task" else None, wait=9.0 if kind == "sleep" else None,
                   signal="go" if kind == "signal" else None))  # fmt: skip
    told = hand.feed(ev.CancelRequested())
    if kind == "task":
        told += hand.end("x", "cancelled")
    assert commands.WakeDriver("", "x") in told
    assert (hand.status("x"), hand.outcome) == ("cancelled", "cancelled")


def test_a_body_is_woken_for_what_is_cancelled_when_patience_is_lost() -> None:
    hand = Hand(driven=True)
    hand.call(task("a"))
    hand.feed(ev.CancelRequested())
    assert commands.WakeDriver("", "a") in hand.fire("ending", after=8)


# -- bodies in bodies


def nested(*calls: PlanNode, **settings: object) -> Hand:
    hand = Hand(driven=True, **settings)  # type: ignore[arg-type]
    hand.call(SUB)
    for call in calls:
        hand.call(call, "sub")
    return hand


def test_in_a_sub_pipeline_too_nothing_is_cancelled_before_the_body_has_ended() -> None:
    hand = nested(task("a"), task("b"), task("c", "a"))
    told = hand.end("sub/a", "failed")
    assert {commands.WakeDriver("sub", "sub/a"), commands.WakeDriver("sub", "sub/c")} <= set(told)
    assert (hand.running, hand.status("sub/c"), hand.reason("sub/c")) == (["sub/b"], "skipped", "upstream")


def test_a_sub_pipeline_that_met_its_failure_completes() -> None:
    hand = nested(task("a"))
    hand.end("sub/a", "failed")
    hand.feed(ev.GraphClosed("sub", met=("a",)))
    assert hand.status("sub") == "completed"


def test_who_met_a_skipped_call_met_the_failure_behind_it() -> None:
    hand = nested(task("a"), task("b", "a"), task("c", "b"))
    hand.end("sub/a", "failed")
    hand.feed(ev.GraphClosed("sub", met=("c",)))
    assert hand.status("sub") == "completed"


def test_a_failure_that_a_sub_pipeline_did_not_meet_fails_it_and_cancels_what_it_called() -> None:
    hand = nested(task("a"), task("b"))
    hand.call(task("outside"))
    hand.end("sub/a", "failed")
    told = hand.feed(ev.GraphClosed("sub"))
    assert of(commands.CancelRuns, told) == [commands.CancelRuns(("sub/b",))]
    hand.end("sub/b", "cancelled")
    assert (hand.status("sub"), hand.running, hand.outcome) == ("failed", ["outside"], None)


def test_under_continue_a_sub_pipeline_is_as_good_as_its_result() -> None:
    hand = nested(task("a"), task("b"), error_handler="continue")
    hand.feed(ev.GraphClosed("sub", result=result("b")))
    hand.end("sub/a", "failed")
    assert hand.running == ["sub/b"]
    hand.end("sub/b")
    assert hand.status("sub") == "completed"


@pytest.mark.parametrize("bad", ["a", "b"])
def test_under_continue_a_sub_pipeline_fails_with_a_failed_or_skipped_result(bad: str) -> None:
    hand = nested(task("a"), task("b", "a"), error_handler="continue")
    hand.end("sub/a", "failed")
    hand.feed(ev.GraphClosed("sub", result=result(bad)))
    assert hand.status("sub") == "failed"
    hand.feed(ev.GraphClosed())
    assert hand.outcome == "completed"


def test_a_sub_pipeline_in_a_failed_one_is_given_up_with_its_body() -> None:
    hand = nested(node(NodeKind.SCOPE, "inner"))
    told = hand.feed(ev.GraphClosed("sub", error=error()))
    assert commands.StopDriver("sub/inner") in told
    assert (hand.status("sub/inner"), hand.status("sub")) == ("cancelled", "failed")
    assert hand.call(task("late"), "sub/inner") == []


def test_a_drawn_workflow_that_a_body_called_ends_with_its_first_failure() -> None:
    hand = Hand(driven=True, templates={"two": Template(nodes=(task("a"), task("b")), last_nodes=("a", "b"))})
    hand.call(node(NodeKind.SCOPE, "w", template="two"))
    hand.call(task("c"))
    hand.end("w/a", "failed")
    hand.end("w/b", "cancelled")
    assert (hand.status("w"), hand.running) == ("failed", ["c"])


def test_the_error_handler_is_called_once_even_when_the_body_catches_the_failure() -> None:
    hand = Hand(driven=True, error_handler="custom", handler_component=0)
    hand.call(task("a"))
    assert len(of(commands.Dispatch, hand.end("a", "failed"))) == 1
    assert of(commands.Dispatch, hand.feed(ev.GraphClosed(met=("a",)))) == []
    hand.end("a!handler")
    assert (hand.dispatched("a!handler"), hand.outcome) == ([1], "completed")


def test_a_body_may_go_on_calling_in_a_pause_and_nothing_starts() -> None:
    hand = Hand(driven=True)
    hand.feed(ev.PauseRequested())
    hand.call(task("a"))
    told = hand.call(SUB)
    hand.call(task("b"), "sub")
    assert (hand.running, told) == ([], [commands.StartDriver("sub")])
    hand.feed(ev.ResumeRequested())
    assert hand.running == ["a", "sub/b"]
