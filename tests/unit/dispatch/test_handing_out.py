"""Which worker of the pool gets what waits: with made-up processes, and no time that passes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, cast

from twingraph.dispatch.base import CodeRef, Lane, NodeRun, RunSettings
from twingraph.dispatch.embedded.admission import NOTHING
from twingraph.dispatch.embedded.group import Group
from twingraph.dispatch.embedded.options import PoolOptions
from twingraph.dispatch.embedded.pool import EmbeddedPool
from twingraph.dispatch.embedded.process import WorkerProcess

CODE = CodeRef(version="1", bundle_path="", interpreter="", working_dir="/")


class FakeWorker:
    """A process that was started and says nothing by itself."""

    def __init__(self, *, ready: bool) -> None:
        self.pid = os.getpid()
        self.is_ready = ready
        self.retired = self.due = self.is_shared = self.is_full = False
        self.room = 1000
        self.doom = None
        self.need = NOTHING
        self.entry: str | None = None
        self.runs = self.lanes = 0
        self.pending: dict[int, NodeRun] = {}
        self.given: list[str] = []
        self.mark = ""

    def give(self, lane: Lane, runs: list[NodeRun]) -> None:
        self.given += [run.node for run in runs]
        self.pending.update(enumerate(runs, len(self.given)))

    def current(self) -> None:
        return None

    def stop(self) -> None:
        return None

    def kill(self) -> None:
        return None


class Pool:
    """A pool that may start no process beyond those that are there."""

    def __init__(self, *workers: FakeWorker) -> None:
        self.pool = EmbeddedPool(PoolOptions(workers=len(workers)), "", None)
        self.group: Group = self.pool._staff.of(CODE)
        self.group.workers = cast("list[WorkerProcess]", list(workers))

    def submit(self, *nodes: str) -> None:
        settings = RunSettings(component="inc", entry="m:inc")
        for node in nodes:
            self.pool.submit(Lane(1, "x", CODE, settings, [NodeRun(node, 1, [])]))

    def say_hello(self, worker: FakeWorker) -> None:
        worker.is_ready = True
        self.pool.worker_ready(self.group, cast("Any", worker))


def run(scene: Callable[[], Any]) -> None:
    async def play() -> None:
        await scene()

    asyncio.run(play())


async def opened(*workers: FakeWorker) -> Pool:
    pool = Pool(*workers)
    await pool.pool.start(lambda report: None)
    return pool


async def turn() -> None:
    """Let what was put off happen."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_what_waits_goes_to_workers_that_have_said_hello() -> None:
    async def scene() -> None:
        starting, idle = FakeWorker(ready=False), FakeWorker(ready=True)
        pool = await opened(starting, idle)
        pool.submit("a", "b")
        await turn()
        assert (idle.given, starting.given) == (["a"], [])
        idle.pending.clear()
        pool.submit("c")
        await turn()
        assert (idle.given, starting.given) == (["a", "b"], [])
        pool.say_hello(starting)
        await turn()
        assert starting.given == ["c"]
        await pool.pool.stop()

    run(scene)


def test_no_worker_is_given_more_than_it_may_run() -> None:
    async def scene() -> None:
        one, other = FakeWorker(ready=True), FakeWorker(ready=True)
        one.room, other.room = 2, 3
        pool = await opened(one, other)
        settings = RunSettings(component="inc", entry="m:inc")
        pool.pool.submit(Lane(1, "x", CODE, settings, [NodeRun(node, 1, []) for node in "abcdefg"]))
        await turn()
        assert (one.given, other.given) == (["a", "b"], ["c", "d", "e"])
        assert [[run.node for run in batch.runs] for batch in pool.group.free] == [["f", "g"]]
        one.pending.clear()
        one.is_full = True
        pool.submit("h")
        await turn()
        assert one.given == ["a", "b"]
        await pool.pool.stop()

    run(scene)


def test_a_worker_that_may_run_no_more_goes_where_its_successor_could_not_be_started() -> None:
    """Else it would be in the way of the next one."""

    async def scene() -> None:
        full = FakeWorker(ready=True)
        full.is_full = full.due = True
        pool = await opened(full)
        pool.pool._staff.start_failed(pool.group, "no memory")
        assert full.retired
        await pool.pool.stop()

    run(scene)


def test_a_worker_that_has_run_nothing_yet_is_tried_while_another_is_idle() -> None:
    """Its first run imports the author's module: better now than when the other one is hogged."""

    async def scene() -> None:
        tried, fresh = FakeWorker(ready=True), FakeWorker(ready=True)
        tried.runs = 7
        pool = await opened(tried, fresh)
        pool.submit("a")
        await turn()
        assert (tried.given, fresh.given) == ([], ["a"])
        pool.submit("b")
        await turn()
        assert (tried.given, fresh.given) == (["b"], ["a"])
        await pool.pool.stop()

    run(scene)


def test_the_first_worker_is_given_its_lane_with_its_hello() -> None:
    async def scene() -> None:
        starting = FakeWorker(ready=False)
        pool = await opened(starting)
        pool.submit("a")
        await turn()
        assert starting.given == []
        pool.say_hello(starting)
        await turn()
        assert starting.given == ["a"]
        await pool.pool.stop()

    run(scene)


def test_a_worker_that_starts_for_a_lane_lets_no_other_be_started_for_it() -> None:
    async def scene() -> None:
        asked: list[int] = []
        pool = await opened(FakeWorker(ready=False), FakeWorker(ready=True))
        pool.pool._staff._employer = cast("Any", None)
        pool.pool._staff.look = lambda: asked.append(1)  # type: ignore[method-assign]
        pool.submit("a", "b")
        await turn()
        assert asked == []
        pool.submit("c")
        await turn()
        assert asked == [1]
        await pool.pool.stop()

    run(scene)
