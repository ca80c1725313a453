"""Calls that fail or not, made at once as in plain Python, or later as in a body; and hooks that wait for them."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Iterator
from typing import Any

from twingraph.sdk.body.rewriting import rewritten

Outcome = tuple[str, Any, list[Any]]


class Failure(Exception):  # noqa: N818
    """What a failed call raises."""


class Other(Failure):
    """A failure that some handlers do not take."""


class Handle:
    """What a later call gives: its value is asked for when it is used."""

    def __init__(self, world: World, value: Any) -> None:
        self.world, self.behind, self.over = world, value, False

    def value(self) -> Any:
        self.over = True
        if isinstance(self.behind, BaseException):
            raise self.behind
        return self.behind

    def __bool__(self) -> bool:
        return bool(self.value())

    def __eq__(self, other: object) -> bool:
        return bool(self.value() == other)

    def __lt__(self, other: Any) -> bool:
        return bool(self.value() < other)

    def __add__(self, other: Any) -> Any:
        return self.value() + other

    def __radd__(self, other: Any) -> Any:
        return other + self.value()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.value())

    __hash__ = None  # type: ignore[assignment]


class World:
    """Belongs to one run of one body. `later`: calls give handles."""

    def __init__(self, later: bool) -> None:
        self.later = later
        self.notes: list[Any] = []
        self.calls: list[Handle] = []

    def call(self, value: Any = 0) -> Any:
        handle = Handle(self, value)
        self.calls.append(handle)
        return handle if self.later else handle.value()

    def fail(self, value: Any = 0) -> Any:
        return self.call(Failure(value))

    def other(self, value: Any = 0) -> Any:
        return self.call(Other(value))

    async def acall(self, value: Any = 0) -> Any:
        return self.plain(self.call(value))

    def note(self, what: Any) -> None:
        self.notes.append(what)

    # -- hooks -------------------------------------------------------------------------------------

    def mark(self) -> list[int]:
        return [len(self.calls)]

    def settle(self, mark: list[int]) -> None:
        since, mark[0] = [handle for handle in self.calls[mark[0] :] if not handle.over], len(self.calls)
        for handle in since:
            handle.over = True
        for handle in since:
            handle.value()

    def plain(self, value: Any) -> Any:
        return value.value() if isinstance(value, Handle) else value

    looked_at = plain

    def settled(self, mark: list[int], value: Any) -> Any:
        self.settle(mark)
        return value

    def returned(self, mark: list[int], value: Any) -> Any:
        self.settle(mark)
        return self.deep(value)

    async def asettle(self, mark: list[int]) -> None:
        await asyncio.sleep(0)
        self.settle(mark)

    async def asettled(self, mark: list[int], value: Any) -> Any:
        await asyncio.sleep(0)
        return self.settled(mark, value)

    async def areturned(self, mark: list[int], value: Any) -> Any:
        await asyncio.sleep(0)
        return self.returned(mark, value)

    def deep(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(self.deep(item) for item in value)
        return self.plain(value)


def plainly(function: Callable[..., Any]) -> Outcome:
    return _outcome(function, World(later=False))


def later(function: types.FunctionType) -> Outcome:
    world = World(later=True)
    made = rewritten(function, world)
    assert made is not None
    return _outcome(made, world)


def _outcome(function: Callable[..., Any], world: World) -> Outcome:
    try:
        value = function(world)
        if isinstance(value, types.CoroutineType):
            value = asyncio.run(value)
        value = world.deep(value)
        world.settle([0])
    except Exception as error:
        return type(error).__name__, error.args, world.deep(world.notes)
    return "returned", value, world.deep(world.notes)
