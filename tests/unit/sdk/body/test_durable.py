"""Durable functions: plain outside of a body, the caller's inside."""

from __future__ import annotations

import random as stdlib_random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from twingraph.core.errors import ValidationError
from twingraph.sdk.body import durable
from twingraph.sdk.body.active import active


class Recorder:
    """A caller that notes what it was asked."""

    in_loop = False
    in_side_effect = False

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.numbers = stdlib_random.Random(7)

    def __getattr__(self, name: str) -> Any:
        def ask(*given: Any) -> Any:
            self.asked.append((name, *given))
            return f"the caller's {name}"

        return ask

    def random(self) -> stdlib_random.Random:
        return self.numbers


@pytest.fixture
def caller(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(active, "caller", recorder)
    return recorder


class TouchMeNot:
    """What a handle is like: whatever is asked of the value would wait."""

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("waited")

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise AssertionError("waited")


def test_outside_of_a_body_they_are_the_plain_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    durable.sleep(2)
    durable.sleep(timedelta(minutes=1))
    assert slept == [2.0, 60.0]
    assert (datetime.now(UTC) - durable.now()).total_seconds() < 60
    assert durable.now().tzinfo is UTC
    assert isinstance(durable.uuid4(), uuid.UUID)
    assert durable.side_effect(divmod, 7, 3) == (2, 1)
    assert durable.side_effect(dict, a=1) == {"a": 1}


def test_outside_of_a_body_chance_is_that_of_the_standard_library() -> None:
    stdlib_random.seed(3)
    expected = [stdlib_random.random(), stdlib_random.randint(1, 6), stdlib_random.choice("abc")]
    durable.random.seed(3)
    assert [durable.random(), durable.random.randint(1, 6), durable.random.choice("abc")] == expected


def test_inside_a_body_chance_is_the_callers(caller: Recorder) -> None:
    same = stdlib_random.Random(7)
    assert [durable.random(), durable.random.gauss(), durable.random.sample(range(9), 3), durable.random.gauss()] == [
        same.random(),
        same.gauss(),
        same.sample(range(9), 3),
        same.gauss(),
    ]


@pytest.mark.parametrize(
    "given", [(1, 2, 3), ([1, 2, 3],), ((1, 2, 3),), (iter([1, 2, 3]),), ({1: 0, 2: 0, 3: 0}.keys(),)]
)
def test_values_pass_through_where_nothing_waits(given: tuple[Any, ...]) -> None:
    assert durable.gather(*given) == [1, 2, 3]


def test_the_first_and_the_order_of_plain_values() -> None:
    assert durable.wait_any([1, 2]) == 1
    assert list(durable.as_completed(1, 2)) == [1, 2]
    assert durable.gather() == []
    with pytest.raises(ValueError, match="something to wait for"):
        durable.wait_any([])


def test_inside_a_body_all_of_it_goes_to_the_caller(caller: Recorder) -> None:
    first, second = TouchMeNot(), TouchMeNot()
    assert durable.gather(first) == "the caller's gather"
    durable.gather([first, second])
    durable.wait_any(first, second)
    durable.as_completed(one for one in (first, second))
    durable.sleep(timedelta(days=3))
    durable.now()
    durable.uuid4()
    durable.side_effect(print, 1, end="")
    durable.wait_for_signal("approved", timeout=timedelta(hours=1))
    durable.wait_for_signal("approved")
    assert [name for name, *_ in caller.asked] == [
        *("gather", "gather", "wait_any", "as_completed", "sleep", "now", "uuid4"),
        *("side_effect", "wait_for_signal", "wait_for_signal"),
    ]
    assert caller.asked[0][1][0] is first
    assert [len(handles) for _, handles in caller.asked[:4]] == [1, 2, 2, 2]
    assert caller.asked[4:] == [
        ("sleep", 259200.0),
        ("now",),
        ("uuid4",),
        ("side_effect", print, (1,), {"end": ""}),
        ("wait_for_signal", "approved", 3600.0),
        ("wait_for_signal", "approved", None),
    ]


@pytest.mark.parametrize(
    ("length", "error"), [(-1, ValueError), (float("nan"), ValueError), ("1", TypeError), (True, TypeError)]
)
def test_a_length_must_be_one(length: Any, error: type[Exception], caller: Recorder) -> None:
    with pytest.raises(error, match="sleep takes"):
        durable.sleep(length)
    with pytest.raises(error, match="wait_for_signal"):
        durable.wait_for_signal("go", timeout=length)
    assert caller.asked == []


def test_a_signal_needs_a_name_and_a_pipeline() -> None:
    with pytest.raises(ValidationError, match="must be a text"):
        durable.wait_for_signal("")
    with pytest.raises(ValidationError, match="inside a running pipeline"):
        durable.wait_for_signal("go")


def test_a_side_effect_is_a_function() -> None:
    with pytest.raises(TypeError, match="takes a function"):
        durable.side_effect(3)  # type: ignore[arg-type]
