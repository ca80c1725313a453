from __future__ import annotations

import sys
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.foreign import JUNK
from tests.unit.core.records import policies
from twingraph.core.policies import RETRY_KEYS, Backoff, RetryPolicy, parse_retry

KEYS = st.sampled_from(RETRY_KEYS) | st.text(max_size=5)

chances = st.floats(0, 1, exclude_max=True)


@given(policy=policies, failed=st.integers(1, 10_000), chance=chances)
def test_a_delay_is_never_negative_nor_over_the_most(policy: RetryPolicy, failed: int, chance: float) -> None:
    assert 0 <= policy.delay(failed, chance) <= policy.max_delay


@given(policy=policies, failed=st.integers(1, 50))
def test_without_jitter_delays_never_shrink(policy: RetryPolicy, failed: int) -> None:
    steady = RetryPolicy(backoff=policy.backoff, initial_delay=policy.initial_delay, jitter=0)
    assert steady.delay(failed, 0.3) <= steady.delay(failed + 1, 0.9)


@given(chance=chances, jitter=st.floats(0, 1))
def test_jitter_spreads_to_both_sides(chance: float, jitter: float) -> None:
    delay = RetryPolicy(backoff=Backoff.FIXED, initial_delay=10, jitter=jitter).delay(1, chance)
    assert 10 * (1 - jitter) - 1e-9 <= delay <= 10 * (1 + jitter) + 1e-9


# What a parsed policy may hold, up to its limits: nothing at all, a moment, more than a universe lasts.
delays = st.sampled_from([0, 0.0, 5e-324, 1e-9, 1, 1e18, sys.float_info.max, int(sys.float_info.max)]) | st.floats(
    0, 1e9
)
counts = st.integers(1, 100) | st.sampled_from([2**31, 2**63, 2**64, 10**308, 10**400])


@given(
    st.sampled_from([str(kind) for kind in Backoff]),
    delays,
    delays,
    st.sampled_from([0, 1]) | st.floats(0, 1),
    counts,
    chances,
)
def test_no_policy_that_is_taken_and_no_count_breaks_the_arithmetic(
    backoff: str, first: float, most: float, jitter: float, failed: int, chance: float
) -> None:
    raw = {"backoff": backoff, "initial_delay": first, "max_delay": most, "jitter": jitter, "max_attempts": failed}
    policy, problems = parse_retry(raw)
    assert policy is not None, problems
    delay = policy.delay(failed, chance)
    assert 0 <= delay <= most
    steady = min(exact(Backoff(backoff), Fraction(first), failed), Fraction(float(most)))
    assert delay <= steady * (1 + Fraction(jitter)) * (1 + Fraction(1, 10**9)) + Fraction(1, 10**300)
    if jitter == 0:
        assert delay == pytest.approx(float(steady), rel=1e-9)


def exact(backoff: Backoff, first: Fraction, failed: int) -> Fraction:
    """The delay without jitter and bound, as the guide defines it; after 2,000 doublings nothing is below a bound."""
    if backoff is Backoff.FIXED:
        return first
    return first * failed if backoff is Backoff.LINEAR else first * 2 ** min(failed - 1, 2500)


def test_a_count_beyond_all_floats_of_a_delay_that_is_next_to_nothing() -> None:
    policy = RetryPolicy(backoff=Backoff.LINEAR, initial_delay=5e-324, max_delay=1e300, jitter=0)
    assert policy.delay(10**400, 0.5) == pytest.approx(float(10**400 * Fraction(5e-324)), rel=1e-9)


@given(st.recursive(JUNK, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)))
def test_whatever_an_author_writes_it_is_a_policy_or_has_problems(raw: Any) -> None:
    policy, problems = parse_retry(raw)
    assert (policy is None) is bool(problems) or raw is None
    if policy is not None:
        assert 0 <= policy.delay(policy.max_attempts, 0.5) <= policy.max_delay


@pytest.mark.parametrize("key", ["initial_delay", "max_delay"])
def test_more_seconds_than_a_float_holds_are_refused(key: str) -> None:
    assert parse_retry({key: 10**400})[1] != []


def test_exponential_doubles_from_the_first_delay() -> None:
    policy = RetryPolicy(initial_delay=1, max_delay=60, jitter=0)
    assert [policy.delay(failed, 0.5) for failed in (1, 2, 3, 7, 8)] == [1, 2, 4, 60, 60]


@pytest.mark.parametrize("wanted", ["KeyError", "builtins.KeyError", "LookupError", "builtins.LookupError"])
def test_names_match_any_class_of_the_mro_qualified_or_not(wanted: str) -> None:
    policy = RetryPolicy(exceptions=(wanted,))
    assert policy.matches(("builtins.KeyError", "builtins.LookupError"))
    assert not policy.matches(("builtins.ValueError",))


def test_a_class_of_python_itself_may_be_named_with_its_module() -> None:
    policy, problems = parse_retry({"exceptions": ["builtins.OSError", "shop.Busy"]})
    assert policy is not None, problems
    assert policy.matches(("FileNotFoundError", "OSError", "Exception", "BaseException"))
    assert policy.matches(("shop.Busy", "Exception", "BaseException"))
    assert not policy.matches(("ValueError", "Exception", "BaseException"))


def test_without_names_everything_matches() -> None:
    assert RetryPolicy().matches(("anything",))


def test_a_policy_of_the_author_is_read() -> None:
    policy, problems = parse_retry({"max_attempts": 5, "backoff": "linear", "exceptions": [ValueError, "KeyError"]})
    assert problems == []
    assert policy == RetryPolicy(max_attempts=5, backoff=Backoff.LINEAR, exceptions=("ValueError", "KeyError"))


def test_all_problems_are_told_at_once_with_their_fields() -> None:
    raw = {"max_attempts": 0, "backoff": "exponental", "jitter": 2, "initial_delay": -1, "exceptions": [3], "max": 1}
    policy, problems = parse_retry(raw, node="a")
    assert policy is None
    assert {problem.field for problem in problems} == {
        f"retry_policy.{key}" for key in ("max_attempts", "backoff", "jitter", "initial_delay", "exceptions", "max")
    }
    assert {problem.node for problem in problems} == {"a"}


def test_an_unknown_key_names_the_nearest() -> None:
    _, problems = parse_retry({"max_atempts": 3})
    assert "did you mean 'max_attempts'" in str(problems[0])


@pytest.mark.parametrize("raw", [3, "twice", ["max_attempts"]])
def test_what_is_no_mapping_is_refused(raw: Any) -> None:
    assert parse_retry(raw)[1] != []


@pytest.mark.parametrize("value", [True, float("inf"), float("nan"), "1"])
def test_what_is_no_number_of_seconds_is_refused(value: Any) -> None:
    assert parse_retry({"initial_delay": value})[1] != []
