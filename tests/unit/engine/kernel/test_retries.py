"""Retries: when another attempt follows, when it starts, and what it costs."""

import json

import pytest

from tests.unit.engine.kernel.hand import Hand, error, of, task
from twingraph.core.plan import NodeSpec
from twingraph.core.policies import Backoff, RetryPolicy
from twingraph.engine.kernel import commands, snapshot


def flaky(**policy: object) -> list[NodeSpec]:
    return [NodeSpec(component="flaky", retry=RetryPolicy(**policy))]  # type: ignore[arg-type]


def delays(hand: Hand) -> list[float]:
    return [command.delay for command in of(commands.SetTimer, hand.told) if command.timer == "node:a"]


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [(Backoff.FIXED, [2, 2, 2]), (Backoff.LINEAR, [2, 4, 6]), (Backoff.EXPONENTIAL, [2, 4, 8])],
)
def test_each_backoff_has_its_delays(backoff: Backoff, expected: list[float]) -> None:
    hand = Hand(task("a"), specs=flaky(max_attempts=4, backoff=backoff, initial_delay=2, jitter=0))
    for _ in range(3):
        hand.end("a", "failed")
        hand.fire("node:a", after=10)
    assert delays(hand) == expected
    hand.end("a", "failed")
    assert (hand.dispatched("a"), hand.outcome) == ([1, 2, 3, 4], "failed")


def test_chance_spreads_the_delay() -> None:
    hand = Hand(task("a"), specs=flaky(initial_delay=10, jitter=0.5))
    hand.end("a", "failed", chance=0.0)
    assert delays(hand) == [5.0]


def test_the_attempt_after_a_failure_may_complete() -> None:
    hand = Hand(task("a"), specs=flaky())
    hand.end("a", "failed")
    assert hand.status("a") == "retrying"
    hand.fire("node:a", after=2)
    hand.end("a")
    assert (hand.outcome, hand.state.nodes["a"].error) == ("completed", None)


def test_another_exception_than_the_policy_names_ends_the_node() -> None:
    hand = Hand(task("a"), specs=flaky(exceptions=("KeyError",)))
    hand.end("a", "failed")
    assert hand.status("a") == "failed"


def test_exceptions_match_the_whole_mro() -> None:
    hand = Hand(task("a"), specs=flaky(exceptions=("OSError",)))
    hand.end("a", "failed", error=error("Gone", types=("shop.Gone", "builtins.OSError")))
    assert hand.status("a") == "retrying"


def test_a_permanent_error_is_never_tried_again() -> None:
    hand = Hand(task("a"), specs=flaky())
    hand.end("a", "failed", error=error(permanent=True))
    assert hand.status("a") == "failed"


def test_without_a_policy_the_first_failure_is_the_last() -> None:
    hand = Hand(task("a"))
    hand.end("a", "timeout", error=error("TimeoutError", code="timeout"))
    assert hand.finish == commands.Finish(hand.state.finishing, error("TimeoutError", code="timeout"))  # type: ignore[arg-type]


def test_a_failure_said_twice_costs_one_attempt() -> None:
    hand = Hand(task("a"), specs=flaky())
    hand.end("a", "failed")
    hand.end("a", "failed")
    assert hand.state.nodes["a"].spent == 1


def test_a_timer_that_fires_twice_starts_one_attempt() -> None:
    hand = Hand(task("a"), specs=flaky())
    hand.end("a", "failed")
    hand.fire("node:a", after=2)
    hand.end("a", "failed")
    told = hand.fire("node:a")
    assert of(commands.Dispatch, told) == []
    assert of(commands.SetTimer, told) != []


def test_an_outcome_of_an_older_attempt_is_refused() -> None:
    hand = Hand(task("a"), specs=flaky())
    hand.end("a", "failed")
    hand.end("a")
    assert hand.status("a") == "retrying"
    hand.fire("node:a", after=2)
    hand.end("a", attempt=1)
    assert hand.status("a") == "queued"


def test_word_of_a_start_after_the_end_changes_nothing() -> None:
    hand = Hand(task("a"), task("b"), specs=flaky())
    hand.end("a")
    hand.begun("a")
    assert hand.status("a") == "completed"


def test_a_failure_that_does_not_say_why_gets_an_error() -> None:
    hand = Hand(task("a"))
    hand.end("a", "oom", error=None)
    assert hand.state.nodes["a"].error is not None
    assert hand.state.nodes["a"].error.code == "oom"


def hungry(**on_oom: str) -> list[NodeSpec]:
    policy = RetryPolicy(max_attempts=4, initial_delay=1, jitter=0, exceptions=("OSError",), on_oom=on_oom)
    return [NodeSpec(component="hungry", retry=policy, resources={"memory": "100M"})]


def memories(hand: Hand) -> list[int | None]:
    return [command.memory for command in of(commands.Dispatch, hand.told)]


def test_what_ran_out_of_memory_gets_more_up_to_the_most() -> None:
    hand = Hand(task("a"), specs=hungry(memory="x2", max_memory="300M"))
    for _ in range(2):
        hand.end("a", "oom")
        hand.fire("node:a", after=2)
    assert memories(hand) == [None, 200_000_000, 300_000_000]
    hand.end("a", "oom")  # there is no more, so another attempt would end alike
    assert (hand.status("a"), hand.outcome) == ("failed", "failed")


def test_what_may_use_more_shares_no_lane_with_others() -> None:
    hand = Hand(task("a"), task("b"), task("c"), specs=hungry(memory="x2"), max_parallel=1)
    hand.end("a", "oom")
    hand.fire("node:a", after=2)
    for name in ("b", "c"):
        hand.end(name)
    assert (hand.lanes[-1], memories(hand)[-1]) == ((("a", 2),), 200_000_000)


def test_more_memory_outlives_a_conductor_and_other_failures() -> None:
    hand = Hand(task("a"), specs=hungry(memory="x2"))
    hand.end("a", "oom")
    hand.fire("node:a", after=2)
    hand.end("a", "failed", error=error("OSError"))
    hand.state = snapshot.load(json.loads(json.dumps(snapshot.dump(hand.state))))
    hand.fire("node:a", after=5)
    assert memories(hand)[-1] == 200_000_000


def test_without_on_oom_it_is_an_error_like_any_other() -> None:
    hand = Hand(task("a"), specs=flaky(max_attempts=2))
    hand.end("a", "oom", error=error("MemoryError", code="oom"))
    hand.fire("node:a", after=5)
    assert memories(hand) == [None, None]
