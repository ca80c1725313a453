"""Ours over Celery and Redis: the process that is measured drives, one worker runs the nodes in two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks import redis
from benchmarks.systems.twingraph_drawn import DrawnDefault


class DrawnOnCelery(DrawnDefault):
    name = "twingraph-celery"
    title = "TwinGraph over Celery and Redis, drawn, max_parallel 10"
    keeps = "SQLite journal: every event of every node, with its output"
    once = None
    settings = "max_parallel 10 (the default), one worker with two processes; Redis with its file is counted"

    @classmethod
    def environment(cls, folder: Path) -> Mapping[str, str]:
        ours = {redis.VARIABLE: redis.address(folder / "redis"), "TWINGRAPH_DISPATCH": "celery"}
        return {**super().environment(folder), **ours}

    def setup(self) -> None:
        self._redis = redis.begin(os.environ[redis.VARIABLE], self.folder / "redis")
        command = [sys.executable, "-m", "twingraph", "worker", "--concurrency", "2"]
        with (self.folder / "worker.log").open("wb") as log:
            self._worker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        super().setup()

    def teardown(self) -> None:
        super().teardown()
        for process in (self._worker, self._redis):
            process.terminate()
            process.wait(30)


class WideOnCelery(DrawnOnCelery):
    name = "twingraph-celery-wide"
    title = "TwinGraph over Celery and Redis, drawn, max_parallel 1,000"
    settings = "max_parallel 1,000; else as above"
    max_parallel = 1000
