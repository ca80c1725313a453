"""Whether a helper's call stands inside a `try` is read from its code."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from twingraph.sdk.body.frames import in_try, in_try_of_helper

Call = Callable[[], bool]


def call() -> bool:
    return in_try(sys._getframe(1))


def plain() -> list[bool]:
    return [call()]


def in_body() -> list[bool]:
    found = []
    try:
        for _ in [1, 2]:
            held = call()
            found.append(held)
    except ValueError:
        pass
    return found


def around() -> list[bool]:
    found = [call()]
    try:
        found.append(not call())
    except ValueError:
        pass
    else:
        found.append(call())
    found.append(call())
    return found


def in_handler() -> list[bool]:
    try:
        raise ValueError(1)
    except ValueError as error:
        return [call() and bool(error.args)]


def in_handler_before_finally() -> list[bool]:
    try:
        raise ValueError
    except ValueError:
        found = [call()]
    finally:
        pass
    return found


def in_finally() -> list[bool]:
    found = []
    try:
        found.append(not call())
    finally:
        found.append(call())
    return found


def in_with() -> list[bool]:
    with contextlib.nullcontext():
        return [call()]


def in_with_in_try() -> list[bool]:
    try:
        with contextlib.nullcontext():
            return [call()]
    finally:
        pass


def in_comprehension() -> list[bool]:
    return [call() for _ in [1]]


def in_generator() -> list[bool]:
    def values() -> Iterator[bool]:
        yield call()

    return list(values())


def in_coroutine() -> list[bool]:
    async def value() -> bool:
        await asyncio.sleep(0)
        async with contextlib.nullcontext():
            return call()

    return [asyncio.run(value())]


@pytest.mark.parametrize("function", [in_body, in_handler_before_finally, in_with_in_try])
def test_inside(function: Callable[[], list[Any]]) -> None:
    assert all(function())


@pytest.mark.parametrize(
    "function",
    [plain, around, in_handler, in_finally, in_with, in_comprehension, in_generator, in_coroutine],
)
def test_outside(function: Callable[[], list[Any]]) -> None:
    assert not any(function())


@pytest.mark.only_where(sys.version_info >= (3, 12), "comprehensions have a frame of their own before 3.12")
def test_a_comprehension_inside_a_try() -> None:
    try:
        found = [call() for _ in [1]]
    except ValueError:
        found = []
    assert found == [True]


# -- a call in a helper --------------------------------------------------------------------------------


def waits() -> bool:
    return in_try_of_helper(sys._getframe(1), BODY)


def under_try(function: Callable[[], bool]) -> bool:
    try:
        return function()
    except ValueError:
        return False


def body(helper: Callable[..., Any]) -> Any:
    return helper(waits)


BODY = frozenset({body.__code__})


def test_the_try_of_a_helper_around_a_function_of_the_body() -> None:
    assert body(under_try)


def test_a_coroutine_learns_of_a_failure_where_it_awaits_the_call() -> None:
    async def done() -> bool:
        return True

    async def helper() -> list[bool]:
        try:
            now = waits()
            return [now, await in_place()]
        except ValueError:
            return []

    def in_place() -> Any:
        found.append(in_try_of_helper(sys._getframe(1), frozenset()))
        return done()

    found: list[bool] = []
    assert asyncio.run(helper()) == [True, True]
    assert found == [False]
