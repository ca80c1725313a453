"""PgQueuer: a queue of jobs on PostgreSQL. No workflows, no results: a job hands its value to the next."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
from datetime import timedelta
from typing import Any

from benchmarks.base import DATABASE_URL, System

_LIMIT_S = 300


class PgQueuerAsyncpg(System):
    name = "pgqueuer"
    title = "PgQueuer"
    keeps = "PostgreSQL: a job while it waits or runs, then log rows; no result, the parts of a fan in memory alone"
    settings = (
        "asyncpg and uvloop, one worker in the process of the client, batches of 10 (the default), LISTEN/NOTIFY; no "
        "workflows: in the chain a job enqueues the next, in the fan the source enqueues all at once and the last "
        "one done enqueues the sum"
    )
    lock = "pgqueuer"
    distribution = "pgqueuer"
    imports = "pgqueuer"
    once = "hello_pgqueuer.py"
    database = DATABASE_URL

    def setup(self) -> None:
        self._loop: asyncio.AbstractEventLoop = importlib.import_module("uvloop").new_event_loop()
        self._done: asyncio.Future[int]
        self._parts: list[int] = []
        self._loop.run_until_complete(self._start())

    async def _start(self) -> None:
        asyncpg = importlib.import_module("asyncpg")
        pgqueuer = importlib.import_module("pgqueuer")
        driver = importlib.import_module("pgqueuer.db").AsyncpgDriver
        self._connections: list[Any] = [await asyncpg.connect(os.environ[DATABASE_URL]) for _ in range(2)]
        self._queries: Any = pgqueuer.Queries(driver(self._connections[0]))
        if not await self._queries.has_table("pgqueuer"):
            await self._queries.install()
        self._queue: Any = pgqueuer.PgQueuer(driver(self._connections[1]))
        for job in (self._step, self._source, self._leaf, self._total):
            self._queue.entrypoint(job.__name__)(job)
        worker = self._queue.run(dequeue_timeout=timedelta(seconds=30), batch_size=10)
        self._worker = asyncio.ensure_future(worker)
        await asyncio.sleep(1)  # it listens by then

    async def _put(self, job: Any, values: dict[str, Any]) -> None:
        await self._queries.enqueue(job.__name__, json.dumps(values).encode())

    async def _step(self, job: Any) -> None:
        given = json.loads(job.payload)
        x, n = given["x"] + 1, given["n"]
        if x < n:
            await self._put(self._step, {"x": x, "n": n})
        else:
            self._done.set_result(x)

    async def _source(self, job: Any) -> None:
        n = json.loads(job.payload)["n"]
        self._parts.clear()
        payload = json.dumps({"x": 1, "n": n}).encode()
        await self._queries.enqueue([self._leaf.__name__] * n, [payload] * n, [0] * n)

    async def _leaf(self, job: Any) -> None:
        given = json.loads(job.payload)
        self._parts.append(given["x"] + 1)
        if len(self._parts) == given["n"]:
            await self._put(self._total, {"xs": self._parts})

    async def _total(self, job: Any) -> None:
        self._done.set_result(sum(json.loads(job.payload)["xs"]))

    def _run(self, job: Any, values: dict[str, Any]) -> int:
        async def put_and_wait() -> int:
            self._done = self._loop.create_future()
            await self._put(job, values)
            return await asyncio.wait_for(self._done, _LIMIT_S)

        return self._loop.run_until_complete(put_and_wait())

    def chain(self, n: int) -> int:
        return self._run(self._step, {"x": 0, "n": n})

    def fan(self, n: int) -> int:
        return self._run(self._source, {"n": n})

    def hello(self) -> int:
        return self._run(self._step, {"x": 0, "n": 1})

    def teardown(self) -> None:
        async def stop() -> None:
            self._queue.shutdown.set()
            await asyncio.wait([self._worker], timeout=3)
            for connection in self._connections:
                await connection.close()

        self._loop.run_until_complete(asyncio.wait_for(stop(), 10))
