"""DBOS: workflows of steps, on record in SQLite."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any, ClassVar

from benchmarks.base import System


class DbosSqlite(System):
    name = "dbos"
    title = "DBOS, SQLite"
    keeps = "SQLite: a row per workflow, a row per step with its output"
    settings = "log ERROR; a chain is sync steps, a fan is async steps gathered in one workflow"
    lock = "dbos"
    distribution = "dbos"
    imports = "dbos"
    once = "hello_dbos.py"
    bodies: ClassVar[str | None] = "bodies_dbos.py"

    def setup(self) -> None:
        dbos = importlib.import_module("dbos").DBOS
        self._define(dbos)
        dbos(
            config={
                "name": "benchmarks",
                "system_database_url": self._database(),
                "log_level": "ERROR",
                "console_log_level": "ERROR",
            }
        )
        dbos.launch()
        self._dbos: Any = dbos

    def _database(self) -> str:
        return f"sqlite:///{self.folder / 'dbos.sqlite'}"

    def _define(self, dbos: Any) -> None:
        def inc(x: int) -> int:
            return x + 1

        async def inc_async(x: int) -> int:
            return x + 1

        def total(xs: list[int]) -> int:
            return sum(xs)

        step, step_async, step_total = dbos.step()(inc), dbos.step()(inc_async), dbos.step()(total)

        def chain(n: int) -> int:
            value = 0
            for _ in range(n):
                value = step(value)
            return value

        async def fan(n: int) -> Any:
            source = await step_async(0)
            return step_total(await asyncio.gather(*(step_async(source) for _ in range(n))))

        def hello() -> Any:
            return step(0)

        self._chain, self._fan, self._hello = (dbos.workflow()(body) for body in (chain, fan, hello))

    def teardown(self) -> None:
        self._dbos.destroy()

    def chain(self, n: int) -> int:
        result: int = self._chain(n)
        return result

    def fan(self, n: int) -> int:
        async def start_and_wait() -> int:
            handle = await self._dbos.start_workflow_async(self._fan, n)
            result: int = await handle.get_result()
            return result

        return asyncio.run(start_and_wait())

    def hello(self) -> int:
        result: int = self._hello()
        return result
