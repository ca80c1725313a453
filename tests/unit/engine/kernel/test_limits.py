"""Named limits: asked for, granted, given back."""

from tests.unit.engine.kernel.hand import Hand, of, task
from twingraph.core import events as ev
from twingraph.core.plan import NodeSpec
from twingraph.core.records import Settings
from twingraph.engine.kernel import commands

LIMITED = [NodeSpec(component="limited", limits={"z": 1, "db": 2}, priority=3)]
ASK = commands.AskLimit("a", (("db", 2), ("z", 1)), 3)


def test_a_node_waits_for_its_limits_and_gives_them_back() -> None:
    hand = Hand(task("a"), specs=LIMITED)
    assert of(commands.AskLimit, hand.told) == [ASK]
    hand.feed(ev.LimitGranted("a"))
    assert hand.running == ["a"]
    assert commands.ReleaseLimit("a") in hand.end("a")


def test_in_back_off_a_limit_is_free_for_others() -> None:
    hand = Hand(task("a"), specs=LIMITED, error_handler="retry")
    hand.feed(ev.LimitGranted("a"))
    assert commands.ReleaseLimit("a") in hand.end("a", "failed")
    assert hand.fire("node:a", after=10)[:1] == [ASK]


def test_a_lost_run_keeps_its_limits() -> None:
    hand = Hand(task("a"), specs=LIMITED)
    hand.feed(ev.LimitGranted("a"))
    told = hand.end("a", "lost")
    assert of(commands.ReleaseLimit, told) == []
    assert hand.running == ["a"]


def test_an_ask_is_withdrawn_when_the_node_ends() -> None:
    hand = Hand(task("a"), specs=LIMITED)
    assert commands.ReleaseLimit("a") in hand.feed(ev.CancelRequested())


def test_a_grant_for_a_node_that_is_over_is_given_back() -> None:
    hand = Hand(task("a"), specs=LIMITED)
    hand.feed(ev.CancelRequested())
    assert hand.feed(ev.LimitGranted("a")) == [commands.ReleaseLimit("a")]


def test_a_grant_that_comes_twice_is_one() -> None:
    hand = Hand(task("a"), specs=LIMITED)
    hand.feed(ev.LimitGranted("a"))
    assert hand.feed(ev.LimitGranted("a")) == []


def test_after_an_adoption_everybody_asks_anew() -> None:
    hand = Hand(task("a"), task("b"), specs=LIMITED)
    hand.feed(ev.LimitGranted("a"))
    assert [command.node for command in of(commands.AskLimit, hand.adopt())] == ["b", "a"]
    hand.feed(ev.LimitGranted("a"))
    assert hand.dispatched("a") == [1, 2]


def test_what_was_granted_and_stood_in_line_asks_anew_too() -> None:
    hand = Hand(task("a"), specs=LIMITED)
    for state in hand.states:
        state.settings = Settings(max_parallel=0)
    hand.feed(ev.LimitGranted("a"))
    assert of(commands.AskLimit, hand.adopt()) == [ASK]
