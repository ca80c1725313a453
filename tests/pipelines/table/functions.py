"""Helpers, closures, generators, classes, and pipelines in pipelines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial, reduce
from random import random
from typing import Any, NamedTuple

from tests.pipelines.case import Case
from tests.pipelines.effects import effect
from twingraph import component, pipeline

FACTOR = 3


@component
def scale(x: int, by: int = 2) -> int:
    effect("scale", x, by)
    return x * by


@component
def join(texts: list[str], sep: str = "-", **more: int) -> str:
    effect("join", *texts)
    return sep.join([*texts, *(f"{name}{number}" for name, number in more.items())])


@component
def count_to(n: int) -> Iterator[int]:
    for x in range(n):
        effect("count_to", x)
        yield x


@component
def readings(n: int) -> Iterator[float]:
    for number in range(n):
        effect("readings", number)
        yield random()


@component
def count_and_fail(n: int) -> Iterator[int]:
    for x in range(n):
        effect("count_and_fail", x)
        yield x
    raise ValueError(f"after {n}")


@component
def boom(text: str) -> str:
    effect("boom", text)
    raise RuntimeError(text)


@pipeline
def default_arguments(x: int, by: int = 5) -> list[int]:
    return [scale(x), scale(x, by), scale(x, by=FACTOR)]


@pipeline
def named_arguments(first: int, **more: int) -> dict[str, int]:
    return {name: scale(n, first) for name, n in more.items()}


@pipeline
def keyword_only(x: int, *, by: int) -> int:
    return scale(x, by=by)


def _helper(*xs: int, by: int = 2, **more: int) -> list[int]:
    return [scale(x, by) for x in (*xs, *more.values())]


@pipeline
def helper_with_stars() -> list[int]:
    return _helper(1, 2, by=3, last=4)


@pipeline
def component_with_open_keywords() -> str:
    return join(["a", str(scale(2))], sep="+", n=scale(1))


@pipeline
def closure(x: int) -> int:
    factor = scale(x)

    def times(y: int) -> int:
        return scale(y, factor)

    return times(2) + times(3)


@pipeline
def nonlocal_state() -> list[int]:
    count = 0

    def step(x: int) -> None:
        nonlocal count
        count += scale(x)

    for x in range(3):
        step(x)
    return [count]


@pipeline
def late_binding() -> list[int]:
    makers: list[Callable[[], int]] = []
    for x in range(3):
        makers.append(lambda x=x: scale(x))  # type: ignore[misc]
    return [make() for make in makers]


@pipeline
def partials_and_reduce() -> int:
    threefold = partial(scale, by=3)
    return reduce(lambda left, right: scale(left, right), [threefold(1), 2, 3])


def _passed(function: Callable[[int], int], x: int) -> int:
    return function(function(x))


@pipeline
def a_component_handed_over() -> int:
    return _passed(scale, 5)


def _fibonacci(n: int) -> int:
    return n if n < 2 else _fibonacci(n - 1) + scale(_fibonacci(n - 2), 1)


@pipeline
def recursive_helper() -> int:
    return _fibonacci(5)


@pipeline
def generator_component(n: int) -> list[int]:
    return [scale(x) for x in count_to(n)]


@pipeline
def generator_component_as_a_value(n: int) -> list[Any]:
    items = list(count_to(n))
    return [items, sum(items)]


@pipeline
def generator_component_that_gives_no_item_twice() -> list[Any]:
    handle: Any = readings(3)
    items = [x for x in handle]  # noqa: C416 - one by one, as they come
    return [items == list(handle), len(handle)]


@pipeline
def generator_component_that_fails() -> list[Any]:
    seen: list[Any] = []
    try:
        for x in count_and_fail(2):
            seen.append(x)
    except ValueError as error:
        seen.append(error.args[0])
    return seen


@pipeline
def generator_component_whose_failure_leaves() -> int:
    return sum(scale(x) for x in count_and_fail(3))


@pipeline
def generator_in_the_body() -> list[int]:
    def evens(n: int) -> Iterator[int]:
        for x in range(n):
            if scale(x, 1) % 2 == 0:
                yield scale(x, 10)

    return list(evens(5))


def _source() -> Iterator[str]:
    yield join(["a", "b"])
    yield from (join([x]) for x in "cd")
    yield boom("dry")


@pipeline
def generator_that_fails_midway() -> list[str]:
    seen = []
    try:
        for text in _source():
            seen.append(text + "!")
    except RuntimeError as error:
        seen.append(f"stopped: {error.args[0]}")
    return seen


class Basket:
    """State of the body itself, with methods that call components."""

    def __init__(self, by: int) -> None:
        self.by = by
        self.items: list[int] = []

    def put(self, x: int) -> Basket:
        self.items.append(scale(x, self.by))
        return self

    @property
    def weight(self) -> int:
        return sum(self.items)


@pipeline
def an_object_of_the_body() -> int:
    return Basket(4).put(1).put(2).weight


class Summary(NamedTuple):
    low: int
    high: int


@pipeline
def bounds(x: int) -> Summary:
    return Summary(low=scale(x, 1), high=scale(x, 9))


@pipeline
def described(x: int) -> dict[str, Any]:
    return {"x": scale(x), "name": join(["n", str(x)])}


@pipeline
def pipeline_with_named_outputs() -> list[Any]:
    low, high = bounds(2)
    found = described(3)
    return [low, high, found["x"], found["name"]]


@pipeline
def pipelines_in_a_fan() -> list[int]:
    return [described(x)["x"] for x in range(3)]


@pipeline
def pipeline_fed_by_a_component() -> Any:
    return scale(described(scale(2))["x"])


@pipeline
def inner(x: int) -> int:
    return scale(scale(x))


@pipeline
def middle(x: int) -> int:
    return inner(x) + inner(x=x + 1)


@pipeline
def pipelines_three_deep() -> int:
    return scale(middle(1))


@pipeline
def collatz(n: int, steps: int = 0) -> int:
    if n == 1:
        return steps
    return collatz(scale(n, 3) + 1 if n % 2 else n // 2, steps + 1)


@pipeline
def no_calls_inside(x: int) -> int:
    return x + 1


@pipeline
def pipeline_without_calls() -> int:
    return no_calls_inside(scale(1)) + 1


@pipeline
def even(n: int) -> bool:
    return True if n == 0 else odd(scale(n, 1) - 1)


@pipeline
def odd(n: int) -> bool:
    return False if n == 0 else even(n - 1)


CASES = (
    Case(default_arguments, {"x": 1}),
    Case(named_arguments, {"first": 3, "a": 3, "b": 4}),
    Case(keyword_only, {"x": 2, "by": 7}),
    Case(helper_with_stars),
    Case(component_with_open_keywords),
    Case(closure, {"x": 2}),
    Case(nonlocal_state),
    Case(late_binding),
    Case(partials_and_reduce),
    Case(a_component_handed_over),
    Case(recursive_helper),
    Case(generator_component, {"n": 3}),
    Case(generator_component_as_a_value, {"n": 3}),
    Case(generator_component_that_gives_no_item_twice, twin=lambda: [True, 3]),
    Case(generator_component_that_fails),
    Case(generator_component_whose_failure_leaves),
    Case(generator_in_the_body),
    Case(generator_that_fails_midway),
    Case(an_object_of_the_body),
    Case(pipeline_with_named_outputs),
    Case(pipelines_in_a_fan),
    Case(pipeline_fed_by_a_component),
    Case(pipelines_three_deep),
    Case(collatz, {"n": 6}),
    Case(pipeline_without_calls),
    Case(even, {"n": 3}),
)
