"""Runs on other platforms: whoever waits for one hears of its end, whatever happens to its thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from twingraph.core.errors import StoreError
from twingraph.dispatch.base import CodeRef, Lane, NodeRun, Outcome, Report, RunSettings
from twingraph.dispatch.jobs import JobDispatch
from twingraph.executors.base import Finished, Hears, Task

CODE = CodeRef(version="v", bundle_path="", interpreter="", working_dir="")
SETTINGS = RunSettings(component="c", entry="c", platform="elsewhere", timeout=None)


class Broken:
    """An executor, and its only job, with a defect."""

    name = "broken"
    again: tuple[int, int] | None = None

    def __init__(self) -> None:
        self.removed = False
        self.sweeps = 0

    def job(self, task: Task) -> Broken:
        return self

    def follow(self, hears: Hears) -> Finished:
        raise KeyError("PATH")

    def end(self, why: str) -> None:
        return

    def remove(self) -> None:
        self.removed = True

    def sweep(self, is_over: Callable[[str], bool]) -> int:
        self.sweeps += 1
        if self.sweeps < 3:
            raise StoreError("the engine is away")
        return 0

    def clear(self, execution: str) -> int:
        return 0

    def close(self) -> None:
        return


async def test_a_defect_of_an_executor_ends_its_node() -> None:
    broken = Broken()
    heard: asyncio.Queue[Report] = asyncio.Queue()
    dispatch = JobDispatch(lambda: broken, lambda execution: False)
    await dispatch.start(heard.put_nowait)
    dispatch.submit(Lane(1, "e", CODE, SETTINGS, [NodeRun("n", 1, [])]))
    async with asyncio.timeout(20):
        outcome = await heard.get()
    await dispatch.stop()
    assert isinstance(outcome, Outcome)
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code, outcome.error.error_type) == ("failed", "internal", "KeyError")
    assert "its executor failed" in outcome.error.message
    assert broken.removed


async def test_what_others_left_is_looked_for_again_soon_after_a_failure_and_then_rarely() -> None:
    broken = Broken()
    heard: asyncio.Queue[Report] = asyncio.Queue()
    dispatch = JobDispatch(lambda: broken, lambda execution: False, first_sweep=0.01)
    await dispatch.start(heard.put_nowait)
    dispatch.submit(Lane(1, "e", CODE, SETTINGS, [NodeRun("n", 1, [])]))
    async with asyncio.timeout(20):
        while broken.sweeps < 3:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)
    await dispatch.stop()
    assert broken.sweeps == 3
