"""What an author may say about the cache, and what is made of it."""

import pytest

from twingraph.core.caching import (
    CachePolicy,
    CacheScope,
    KeyFunction,
    check_cache,
    function_in,
    plain_cache,
    policy_of,
    problems_of_key,
    with_entry,
    with_hash,
)
from twingraph.core.quantities import second_count


def told(value: object) -> list[str]:
    found: list[str] = []
    check_cache(value, "cache", lambda field, message: found.append(f"{field} {message}"))
    return found


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (True, True),
        (False, None),
        (None, None),
        ({}, True),
        ({"ttl": None, "scope": "home"}, True),
        ({"ttl": "1h"}, {"ttl": 3600.0}),
        ({"ttl": 90, "scope": "workflow"}, {"ttl": 90.0, "scope": "workflow"}),
        ({"key": ("rows", "day", "rows")}, {"key": ["day", "rows"]}),
    ],
)
def test_what_is_written_is_kept_in_one_way(written: object, kept: object) -> None:
    assert told(written) == []
    assert plain_cache(written) == kept
    assert plain_cache(plain_cache(written)) == kept


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("yes", "cache must be True"),
        (3600, "cache must be True"),
        ({"tll": 3}, "cache.tll is not a key of cache; did you mean 'ttl'"),
        ({"ttl": "soon"}, "cache.ttl 'soon' is not a number of seconds"),
        ({"ttl": 0}, "cache.ttl 0 is not"),
        ({"ttl": True}, "cache.ttl True is not"),
        ({"ttl": 10**400}, "cache.ttl 1000"),
        ({"key": "rows"}, "cache.key must be a list"),
        ({"key": []}, "cache.key must be a list"),
        ({"key": [3]}, "cache.key must be a list"),
        ({"scope": "workflows"}, "cache.scope 'workflows' is not a scope; did you mean 'workflow'"),
        ({"scope": ["home"]}, "cache.scope ['home'] is not a scope"),
    ],
)
def test_nonsense_is_told_by_its_place(written: object, place: str) -> None:
    assert [text[: len(place)] for text in told(written)] == [place]


def test_the_kept_setting_means_a_policy() -> None:
    assert policy_of(True) == CachePolicy(None, None, CacheScope.HOME)
    assert policy_of({"ttl": 5.0, "key": ["a"], "scope": "execution"}) == CachePolicy(5.0, ("a",), CacheScope.EXECUTION)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90),
        (1.5, 1.5),
        ("90", 90),
        ("500ms", 0.5),
        ("10m", 600),
        ("1h30m", 5400),
        ("7 d", 604_800),
        ("2W", 1209600),
    ],
)
def test_time_as_people_write_it(written: object, seconds: float) -> None:
    assert second_count(written) == seconds


@pytest.mark.parametrize(
    "written", ["", "h", "1x", "1h 30", "-1s", -1, 0, "0s", True, None, float("inf"), "1e3s", "9" * 400]
)
def test_no_time_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="seconds above 0"):
        second_count(written)


def by_day(day: str, hour: int = 0) -> str:
    return day[:10]


def by_all(**given: object) -> int:
    return len(given)


async def later(day: str) -> str:
    return day


def test_a_function_may_say_the_key() -> None:
    written = {"key": by_day, "ttl": "1h"}
    assert told(written) == []
    kept = plain_cache(written)
    assert function_in(kept) is by_day
    assert plain_cache(kept) == kept
    setting = with_hash(with_entry(kept, "key flow:by_day"), {"key flow:by_day": "c0de"}.get)
    assert setting == {"key": "key flow:by_day", "ttl": 3600.0, "takes": ["day", "hour"], "hash": "c0de"}
    assert policy_of(setting).function == KeyFunction("key flow:by_day", "c0de", ("day", "hour"))
    assert policy_of(setting).key is None


def test_one_that_takes_any_name_is_given_all() -> None:
    function = policy_of(with_entry({"key": by_all}, "key flow:by_all")).function
    assert function is not None
    assert function.takes is None


def test_what_it_takes_must_be_a_parameter() -> None:
    (problem,) = problems_of_key({"key": by_day}, ["dey", "hour"], node="step")
    assert str(problem) == "step.cache.key: 'day' is not a parameter; did you mean 'dey'?"
    assert problems_of_key({"key": by_all}, ["x"], node="step") == []


def test_it_must_return_the_key() -> None:
    assert told({"key": later}) == ["cache.key later must be a plain function, which returns the key"]
