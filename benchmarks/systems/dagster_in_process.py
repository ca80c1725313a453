"""Dagster jobs in one process, on a SQLite instance and on the one in memory.

Dagster reads the annotations of ops when they are declared, so they are not postponed here.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.base import System

_QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


class DagsterEphemeral(System):
    name = "dagster-ephemeral"
    title = "Dagster in-process, ephemeral instance"
    keeps = "memory: an event log"
    settings = "console log CRITICAL, telemetry off; jobs built outside of the timing; the fan is a DynamicOut"
    lock = "dagster"
    distribution = "dagster"
    imports = "dagster"
    once = "hello_dagster_ephemeral.py"

    @classmethod
    def environment(cls, folder: Path) -> Mapping[str, str]:
        home = folder / "dagster"
        home.mkdir(parents=True, exist_ok=True)
        (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        return {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "yes", "DO_NOT_TRACK": "1"}

    def setup(self) -> None:
        self._dagster: Any = importlib.import_module("dagster")
        self._instance: Any = self._open()
        self._jobs: dict[tuple[str, int], Any] = {}
        dagster = self._dagster

        def start() -> int:
            return 1

        def inc(x: int) -> int:
            return x + 1

        def total(xs: list) -> int:  # type: ignore[type-arg]  # Dagster knows no element types here
            return sum(xs)

        self._start, self._inc, self._total = (dagster.op(body) for body in (start, inc, total))

    def _open(self) -> Any:
        return self._dagster.DagsterInstance.ephemeral()

    def teardown(self) -> None:
        self._instance.dispose()

    def draw(self, workload: str, n: int) -> None:
        body = {"chain": self._chain, "fan": self._fan, "hello": self._hello}[workload](n)
        executor = self._dagster.in_process_executor
        self._jobs[workload, n] = self._dagster.job(name=f"{workload}_{n}", executor_def=executor)(body)

    def _chain(self, n: int) -> Any:
        def chain() -> None:
            value = self._start()
            for i in range(1, n):
                value = self._inc.alias(f"inc{i}")(value)

        return chain

    def _fan(self, n: int) -> Any:
        output = self._dagster.DynamicOutput

        def ones() -> Any:
            for i in range(n):
                yield output(1, mapping_key=str(i))

        source = self._dagster.op(out=self._dagster.DynamicOut(int))(ones)

        def fan() -> None:
            self._total(source().map(self._inc).collect())

        return fan

    def _hello(self, n: int) -> Any:
        def hello() -> None:
            self._start()

        return hello

    def _run(self, workload: str, n: int, last: str) -> int:
        job = self._jobs[workload, n]
        done = job.execute_in_process(instance=self._instance, run_config={"loggers": _QUIET})
        result: int = done.output_for_node(last)
        return result

    def chain(self, n: int) -> int:
        return self._run("chain", n, f"inc{n - 1}")

    def fan(self, n: int) -> int:
        return self._run("fan", n, "total")

    def hello(self) -> int:
        return self._run("hello", 1, "start")


class DagsterSqlite(DagsterEphemeral):
    name = "dagster-sqlite"
    title = "Dagster in-process, SQLite instance"
    keeps = "SQLite: six events per op"
    settings = "as the ephemeral one, on an instance in a folder"
    once = "hello_dagster_sqlite.py"

    def _open(self) -> Any:
        return self._dagster.DagsterInstance.get()
