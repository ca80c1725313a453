"""The cache: asked first; a hit needs no run; equal work in flight is waited for."""

from tests.unit.engine.kernel.hand import OUTPUT, Hand, mapped, of, task
from twingraph.core import events as ev
from twingraph.core.plan import NodeSpec
from twingraph.core.records import Settings
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


# -- work that is ours: others wait for it ----------------------------------------------------------

SETTLED = commands.SettleCache


def owner(error_handler: str = "fail") -> Hand:
    hand = Hand(task("a"), specs=CACHED, error_handler=error_handler)
    hand.feed(ev.CacheAnswered("a", "miss"))
    return hand


def test_what_its_own_run_gave_is_kept() -> None:
    assert of(SETTLED, owner().end("a")) == [SETTLED("a", True)]


def test_what_a_hit_gave_is_not_kept_again() -> None:
    hand = Hand(task("a"), specs=CACHED)
    told = hand.feed(ev.NodeEnded("a", 0, "completed", outputs=(OUTPUT,), cached_from="exec-0", cached_node="n"))
    assert of(SETTLED, told) == []
    assert hand.state.nodes["a"].cached_node == "n"


def test_a_failure_leaves_the_work_to_others() -> None:
    assert of(SETTLED, owner().end("a", "failed")) == [SETTLED("a", False)]


def test_the_work_stays_its_own_while_it_is_tried_again() -> None:
    hand = owner(error_handler="retry")
    assert of(SETTLED, hand.end("a", "failed")) == []
    hand.fire("node:a", after=10)
    assert of(SETTLED, hand.end("a")) == [SETTLED("a", True)]


def test_a_lost_run_keeps_the_work() -> None:
    hand = owner()
    assert of(SETTLED, hand.end("a", "lost")) == []
    assert hand.running == ["a"]


def test_a_cancel_leaves_the_work_to_others() -> None:
    hand = owner()
    hand.feed(ev.CancelRequested())
    assert of(SETTLED, hand.end("a", "cancelled")) == [SETTLED("a", False)]


def test_who_only_waited_says_that_it_does_no_longer() -> None:
    hand = Hand(task("a"), specs=CACHED)
    hand.feed(ev.CacheAnswered("a", "wait"))
    assert of(SETTLED, hand.feed(ev.CancelRequested())) == [SETTLED("a", False)]


def test_a_pause_gives_the_work_up_and_a_resume_asks_again() -> None:
    hand = Hand(task("a"), specs=CACHED)
    for state in hand.states:
        state.settings = Settings(max_parallel=0)  # it stands in line
    hand.feed(ev.CacheAnswered("a", "miss"))
    assert of(SETTLED, hand.feed(ev.PauseRequested())) == [SETTLED("a", False)]
    assert of(commands.AskCache, hand.feed(ev.ResumeRequested())) == [commands.AskCache("a")]


def test_what_runs_when_a_pause_comes_is_kept_when_it_ends() -> None:
    hand = owner()
    hand.begun("a")
    hand.feed(ev.PauseRequested())
    assert of(SETTLED, hand.end("a")) == [SETTLED("a", True)]


def test_an_answer_during_a_pause_is_given_back() -> None:
    hand = Hand(task("a"), specs=CACHED)
    hand.feed(ev.PauseRequested())
    assert of(SETTLED, hand.feed(ev.CacheAnswered("a", "miss"))) == [SETTLED("a", False)]
    assert of(commands.AskCache, hand.feed(ev.ResumeRequested())) == [commands.AskCache("a")]


def test_after_an_adoption_what_was_in_flight_asks_again() -> None:
    hand = owner()
    told = hand.adopt()
    assert (of(SETTLED, told), of(commands.AskCache, told)) == ([SETTLED("a", False)], [commands.AskCache("a")])
    hand.feed(ev.NodeEnded("a", 1, "completed", outputs=(OUTPUT,), cached_from="exec-0", cached_node="n"))
    assert (hand.outcome, hand.dispatched("a")) == ("completed", [1])


def test_an_outcome_that_came_after_all_is_kept() -> None:
    hand = owner()
    hand.adopt()
    assert of(SETTLED, hand.feed(ev.NodeEnded("a", 1, "completed", outputs=(OUTPUT,)))) == [SETTLED("a", True)]


def test_only_tasks_are_shared() -> None:
    hand = Hand(mapped("m", spec=0), specs=CACHED)
    assert (of(commands.AskCache, hand.told), hand.running) == ([], ["m"])


def test_the_cache_is_asked_before_the_limits() -> None:
    hand = Hand(task("a"), specs=[NodeSpec(component="both", cache=True, limits={"db": 1})])
    assert of(commands.AskLimit, hand.told) == []
    hand.feed(ev.CacheAnswered("a", "miss"))
    assert len(of(commands.AskLimit, hand.told)) == 1
