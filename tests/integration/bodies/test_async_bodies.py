"""Async bodies do what asyncio says: in helpers and in `try`, what is awaited goes on beside the rest."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import closing
from pathlib import Path

import pytest

from twingraph import component, pipeline
from twingraph.wiring import open_reader

pytestmark = pytest.mark.usefixtures("home")


@component
async def slow(x: int, until: str = "/") -> int:
    """It takes until something is there."""
    while not os.path.exists(until):
        await asyncio.sleep(0.01)
    return x


@component
def slow_too(x: int, until: str) -> int:
    while not os.path.exists(until):
        time.sleep(0.01)
    return x


async def _within(x: int, limit: float, until: str) -> str:
    try:
        return f"{await asyncio.wait_for(slow(x, until), limit)} came"
    except TimeoutError:
        Path(until).touch()
        return f"{x} was late"


@pipeline
async def limits_in_a_helper(folder: str) -> list[str]:
    return list(await asyncio.gather(_within(1, 0.1, folder + "/late"), _within(2, 60, folder)))


@pipeline
async def limits_in_a_try(folder: str) -> list[str]:
    seen = []
    try:
        seen.append(str(await asyncio.wait_for(slow(1, folder + "/late"), 0.1)))
    except TimeoutError:
        Path(folder, "late").touch()
        seen.append("late")
    try:
        await asyncio.wait_for(slow_too(1, folder + "/late too"), 0.1)  # type: ignore[arg-type]  # a handle can be awaited
    except TimeoutError:
        Path(folder, "late too").touch()
        seen.append("late too")
    return seen


async def _pair() -> list[int]:
    try:
        return [await task for task in [asyncio.create_task(slow(x)) for x in range(3)]]
    except ValueError:
        return []


@pipeline
async def calls_as_tasks() -> list[int]:
    return await _pair()


def test_a_time_limit_holds_in_a_helper_with_a_try(tmp_path: Path) -> None:
    assert limits_in_a_helper(str(tmp_path)) == ["1 was late", "2 came"]  # type: ignore[comparison-overlap]


def test_a_time_limit_holds_in_a_try(tmp_path: Path) -> None:
    assert limits_in_a_try(str(tmp_path)) == ["late", "late too"]  # type: ignore[comparison-overlap]


def test_a_call_can_be_made_a_task() -> None:
    assert calls_as_tasks() == [0, 1, 2]  # type: ignore[comparison-overlap]


@pipeline
async def naps() -> int:
    await asyncio.sleep(0.01)
    async with asyncio.timeout(60):
        return await slow(1)


def test_waits_of_asyncio_stand_where_the_author_wrote_them() -> None:
    """What `show --node` tells, and who reads of a call that a replay does not make."""
    run = naps.submit()
    assert run.result() == 1
    with closing(open_reader()) as reader:
        places = [node.place for node in reader.view(run.id).nodes if node.kind == "sleep"]
    first = naps.fn.__code__.co_firstlineno
    assert places == [f"{__file__}:{first + 2}", f"{__file__}:{first + 3}"]
