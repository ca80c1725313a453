"""Timers: long ones come in parts, a cleared or replaced one never fires."""

from __future__ import annotations

import asyncio

from twingraph.engine.timers import LONGEST, Timers


class Fired:
    def __init__(self, longest: float = LONGEST) -> None:
        self.told: list[tuple[int, str]] = []
        loop = asyncio.get_running_loop()
        self.timers = Timers(loop, lambda number, timer: self.told.append((number, timer)), longest)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.told) < count:
                await asyncio.sleep(0)


async def test_what_is_due_at_once_or_was_due_long_ago_fires() -> None:
    fired = Fired()
    fired.timers.set(1, "now", 0.0)
    fired.timers.set(1, "long ago", -5.0)
    await fired.until(2)
    assert sorted(fired.told) == [(1, "long ago"), (1, "now")]


async def test_a_long_wait_is_cut_into_parts() -> None:
    fired = Fired(longest=0.001)
    fired.timers.set(1, "long", 0.0035)
    await fired.until(1)
    assert fired.told == [(1, "long")]


async def test_a_wait_without_end_can_be_set_and_cleared() -> None:
    fired = Fired()
    fired.timers.set(1, "never", float("inf"))
    fired.timers.clear(1, "never")
    fired.timers.clear(1, "never")
    assert fired.told == []


async def test_only_the_newest_of_a_name_fires_and_cleared_ones_do_not() -> None:
    fired = Fired()
    fired.timers.set(1, "a", 0.0)
    fired.timers.set(1, "a", 0.001)
    fired.timers.set(2, "b", 0.0)
    fired.timers.clear_all(2)
    await fired.until(1)
    assert fired.told == [(1, "a")]
