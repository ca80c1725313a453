"""Prefect 3 with the temporary API server that it starts by itself."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.base import System


class PrefectEphemeral(System):
    name = "prefect"
    title = "Prefect 3, ephemeral server"
    keeps = "SQLite: runs and states, sent to the API server as events, partly after the result is returned"
    settings = "no result caching, log ERROR, no logs to the API, telemetry off, ThreadPoolTaskRunner(8)"
    lock = "prefect"
    distribution = "prefect"
    imports = "prefect"
    once = "hello_prefect.py"

    @classmethod
    def environment(cls, folder: Path) -> Mapping[str, str]:
        return {
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_LOGGING_TO_API_ENABLED": "false",
            "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            "DO_NOT_TRACK": "1",
        }

    def setup(self) -> None:
        prefect = importlib.import_module("prefect")
        runner = importlib.import_module("prefect.task_runners").ThreadPoolTaskRunner(max_workers=8)
        no_cache = importlib.import_module("prefect.cache_policies").NO_CACHE

        def add_one(x: int) -> int:
            return x + 1

        def add_up(xs: list[int]) -> int:
            return sum(xs)

        inc, total = (prefect.task(body, cache_policy=no_cache) for body in (add_one, add_up))

        def chain(n: int) -> int:
            value = 0
            for _ in range(n):
                value = inc(value)
            return value

        def fan(n: int) -> Any:
            source = inc.submit(0)
            return total.submit([inc.submit(source) for _ in range(n)]).result()

        def hello() -> Any:
            return inc(0)

        self._chain, self._fan, self._hello = (prefect.flow(body, task_runner=runner) for body in (chain, fan, hello))

    def chain(self, n: int) -> int:
        result: int = self._chain(n)
        return result

    def fan(self, n: int) -> int:
        result: int = self._fan(n)
        return result

    def hello(self) -> int:
        result: int = self._hello()
        return result
