"""The cache: asked first; a hit needs no run; equal work in flight is waited for."""

from tests.unit.engine.kernel.hand import OUTPUT, Hand, of, task
from twingraph.core import events as ev
from twingraph.core.plan import NodeSpec
from twingraph.engine.kernel import commands

CACHED = [NodeSpec(component="cached", cache=True)]


def test_a_miss_runs_the_node() -> None:
    hand = Hand(task("a"), specs=CACHED)
    assert of(commands.AskCache, hand.told) == [commands.AskCache("a")]
    hand.feed(ev.CacheAnswered("a", "miss"))
    assert hand.running == ["a"]


def test_a_hit_completes_the_node_without_a_run() -> None:
    hand = Hand(task("a"), specs=CACHED)
    hand.feed(ev.NodeEnded("a", 0, "completed", outputs=(OUTPUT,), cached_from="exec-0"))
    assert (hand.outcome, hand.state.nodes["a"].cached_from, hand.lanes) == ("completed", "exec-0", [])


def test_a_waiter_takes_over_when_the_owner_is_lost() -> None:
    hand = Hand(task("a"), specs=CACHED)
    hand.feed(ev.CacheAnswered("a", "wait"))
    assert (hand.running, hand.reason("a")) == ([], "waits for equal work")
    hand.feed(ev.CacheOwnerLost("a"))
    assert (hand.running, hand.reason("a")) == (["a"], None)


def test_a_waiter_may_be_served() -> None:
    hand = Hand(task("a"), specs=CACHED)
    hand.feed(ev.CacheAnswered("a", "wait"))
    hand.feed(ev.NodeEnded("a", 1, "completed", outputs=(OUTPUT,), cached_from="exec-0"))
    assert (hand.outcome, hand.reason("a")) == ("completed", None)


def test_an_answer_that_comes_twice_starts_one_run() -> None:
    hand = Hand(task("a"), specs=CACHED)
    hand.feed(ev.CacheAnswered("a", "miss"))
    hand.feed(ev.CacheAnswered("a", "miss"))
    assert hand.dispatched("a") == [1]


def test_a_retry_does_not_ask_again() -> None:
    hand = Hand(task("a"), specs=CACHED, error_handler="retry")
    hand.feed(ev.CacheAnswered("a", "miss"))
    hand.end("a", "failed")
    assert of(commands.AskCache, hand.fire("node:a", after=10)) == []


def test_after_an_adoption_the_cache_is_asked_again() -> None:
    hand = Hand(task("a"), specs=CACHED)
    assert hand.adopt()[:1] == [commands.AskCache("a")]
