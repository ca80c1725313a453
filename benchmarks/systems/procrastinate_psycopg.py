"""Procrastinate: tasks on PostgreSQL. No workflows, no results: a job hands its value to the next."""

from __future__ import annotations

import asyncio
import importlib
import os
from typing import Any

from benchmarks.base import DATABASE_URL, System

_LIMIT_S = 300


class ProcrastinatePsycopg(System):
    name = "procrastinate"
    title = "Procrastinate"
    keeps = "PostgreSQL: a row per job and a row per change of it; no result, the parts of a fan in memory alone"
    settings = (
        "PsycopgConnector, one worker in the client, concurrency 8, LISTEN/NOTIFY and a poll every 20 ms "
        "(with the default of 5 s a chain stalls now and then for a poll); no workflows: in the chain a job defers the "
        "next, in the fan the source defers all in one batch and the last one done defers the sum"
    )
    lock = "procrastinate"
    distribution = "procrastinate"
    imports = "procrastinate"
    once = "hello_procrastinate.py"
    database = DATABASE_URL

    def setup(self) -> None:
        procrastinate = importlib.import_module("procrastinate")
        self._loop = asyncio.new_event_loop()
        self._done: asyncio.Future[int]
        connector = procrastinate.PsycopgConnector(conninfo=os.environ[DATABASE_URL], min_size=4, max_size=10)
        self._app: Any = procrastinate.App(connector=connector)
        self._define()
        self._loop.run_until_complete(self._start())

    def _define(self) -> None:
        parts: list[int] = []

        async def step(x: int, n: int) -> None:
            if x + 1 < n:
                await self._step.defer_async(x=x + 1, n=n)
            else:
                self._done.set_result(x + 1)

        async def source(n: int) -> None:
            parts.clear()
            await leaf_task.batch_defer_async(*[{"x": 1, "n": n}] * n)

        async def leaf(x: int, n: int) -> None:
            parts.append(x + 1)
            if len(parts) == n:
                await total_task.defer_async(xs=parts)

        async def total(xs: list[int]) -> None:
            self._done.set_result(sum(xs))

        self._step, self._source, leaf_task, total_task = (
            self._app.task(name=body.__name__)(body) for body in (step, source, leaf, total)
        )

    async def _start(self) -> None:
        await self._app.open_async()
        if not await self._app.check_connection_async():
            await self._app.schema_manager.apply_schema_async()
        worker = self._app.run_worker_async(
            concurrency=8, fetch_job_polling_interval=0.02, install_signal_handlers=False
        )
        self._worker = asyncio.ensure_future(worker)
        await asyncio.sleep(1)  # it listens by then

    def _run(self, task: Any, **values: int) -> int:
        async def defer_and_wait() -> int:
            self._done = self._loop.create_future()
            await task.defer_async(**values)
            return await asyncio.wait_for(self._done, _LIMIT_S)

        return self._loop.run_until_complete(defer_and_wait())

    def chain(self, n: int) -> int:
        return self._run(self._step, x=0, n=n)

    def fan(self, n: int) -> int:
        return self._run(self._source, n=n)

    def hello(self) -> int:
        return self._run(self._step, x=0, n=1)

    def teardown(self) -> None:
        async def stop() -> None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
            await self._app.close_async()

        self._loop.run_until_complete(stop())
