"""Pause, resume, interrupt."""

from tests.unit.engine.kernel.hand import Hand, node, of, task
from twingraph.core import events as ev
from twingraph.core.plan import NodeKind, NodeSpec
from twingraph.engine.kernel import commands

LIMITED = [NodeSpec(component="limited", limits={"db": 1})]


def test_a_pause_recalls_and_starts_nothing_new() -> None:
    hand = Hand(task("a"), task("b", "a"))
    assert hand.feed(ev.PauseRequested()) == [commands.Recall()]
    hand.end("a")
    assert (hand.status("b"), hand.running) == ("pending", [])
    hand.feed(ev.ResumeRequested())
    assert hand.running == ["b"]


def test_what_was_recalled_goes_again_with_the_same_number() -> None:
    hand = Hand(task("a"))
    hand.feed(ev.PauseRequested())
    hand.feed(ev.NodesReturned((("a", 1),)))
    hand.feed(ev.ResumeRequested())
    assert hand.dispatched("a") == [1, 1]


def test_runs_that_an_interrupt_ended_go_again_on_resume() -> None:
    hand = Hand(task("a"))
    hand.feed(ev.PauseRequested("interrupted"))
    hand.end("a", "cancelled")
    assert (hand.state.reason, hand.status("a")) == ("interrupted", "pending")
    hand.feed(ev.ResumeRequested())
    assert (hand.dispatched("a"), hand.state.nodes["a"].spent) == ([1, 2], 0)


def test_an_interrupt_while_paused_is_remembered_as_one() -> None:
    hand = Hand(task("a"))
    hand.feed(ev.PauseRequested())
    hand.feed(ev.PauseRequested("interrupted"))
    assert hand.state.reason == "interrupted"


def test_a_retry_that_is_due_while_paused_waits() -> None:
    hand = Hand(task("a"), error_handler="retry")
    hand.end("a", "failed")
    hand.feed(ev.PauseRequested())
    hand.fire("node:a", after=10)
    assert hand.dispatched("a") == [1]
    hand.feed(ev.ResumeRequested())
    assert hand.dispatched("a") == [1, 2]


def test_the_last_outcome_may_come_while_paused() -> None:
    hand = Hand(task("a"))
    hand.feed(ev.PauseRequested())
    hand.end("a")
    hand.feed(ev.ExecutionEnded("completed"))
    assert hand.state.status == "completed"


def test_a_failure_while_paused_ends_the_execution() -> None:
    hand = Hand(task("a"), task("b"))
    hand.feed(ev.PauseRequested())
    hand.end("a", "failed")
    hand.feed(ev.ResumeRequested())
    hand.end("b", "cancelled")
    assert hand.outcome == "failed"


def test_a_paused_execution_holds_no_limit() -> None:
    hand = Hand(task("a"), specs=LIMITED)
    hand.feed(ev.LimitGranted("a"))
    hand.feed(ev.PauseRequested())
    told = hand.feed(ev.NodesReturned((("a", 1),)))
    assert told == [commands.ReleaseLimit("a")]
    assert of(commands.AskLimit, hand.feed(ev.ResumeRequested())) != []


def test_a_paused_execution_stands_in_no_line() -> None:
    hand = Hand(task("a"), specs=LIMITED)
    assert hand.feed(ev.PauseRequested()) == [commands.ReleaseLimit("a")]
    assert hand.feed(ev.LimitGranted("a")) == [commands.ReleaseLimit("a")]
    assert of(commands.AskLimit, hand.feed(ev.ResumeRequested())) != []
    hand.feed(ev.LimitGranted("a"))
    assert hand.running == ["a"]


def test_what_stood_ready_with_its_limits_gives_them_back_and_asks_anew() -> None:
    hand = Hand(task("a"), task("b"), specs=LIMITED, max_parallel=1)
    for name in "ab":
        hand.feed(ev.LimitGranted(name))
    assert hand.feed(ev.PauseRequested()) == [commands.ReleaseLimit("b"), commands.Recall()]
    assert [ask.node for ask in of(commands.AskLimit, hand.feed(ev.ResumeRequested()))] == ["b"]


def test_a_retry_that_is_due_while_paused_asks_for_no_limit() -> None:
    hand = Hand(task("a"), specs=LIMITED, error_handler="retry")
    hand.feed(ev.LimitGranted("a"))
    hand.end("a", "failed")
    hand.feed(ev.PauseRequested())
    assert hand.fire("node:a", after=10) == []
    assert of(commands.AskLimit, hand.feed(ev.ResumeRequested())) != []


def test_what_waits_for_the_end_of_a_pause_ends_with_a_cancel() -> None:
    hand = Hand(task("a"), specs=LIMITED)
    hand.feed(ev.PauseRequested())
    assert of(commands.AskLimit, hand.feed(ev.CancelRequested())) == []
    assert hand.outcome == "cancelled"


def test_nothing_outside_is_started_while_paused() -> None:
    cached = [NodeSpec(component="cached", cache=True)]
    hand = Hand(driven=True, specs=cached)
    hand.feed(ev.PauseRequested())
    assert hand.call(node(NodeKind.DETACHED, "d")) + hand.call(task("c")) == []
    told = hand.feed(ev.ResumeRequested())
    assert {type(command).__name__ for command in told[:2]} == {"StartDetached", "AskCache"}
