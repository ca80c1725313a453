"""A bare Celery: groups and chains over Redis, which also keeps the results."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import redis
from benchmarks.base import System

_LIMIT_S = 300


class CeleryRedis(System):
    name = "celery"
    title = "Celery, Redis, 2 worker processes"
    keeps = "Redis (AOF): a result per task for a day; nothing of what belongs together"
    settings = (
        "prefork of 2, else the defaults (a task is acknowledged before it runs, prefetch 4); chain is a chain; fan is "
        "a task, then a group, then a task with what the client collected; Redis with its file is counted"
    )
    lock = "celery"
    distribution = "celery"
    imports = "celery"
    once = "hello_celery.py"

    @classmethod
    def environment(cls, folder: Path) -> Mapping[str, str]:
        return {redis.VARIABLE: redis.address(folder / "redis")}

    def setup(self) -> None:
        self._redis = redis.begin(os.environ[redis.VARIABLE], self.folder / "redis")
        module = "benchmarks.systems.celery_tasks"
        self._tasks: Any = importlib.import_module(module)
        self._celery: Any = importlib.import_module("celery")
        command = [sys.executable, "-m", "celery", "-A", module, "worker", "--concurrency", "2", "--loglevel", "ERROR"]
        with (self.folder / "worker.log").open("wb") as log:
            self._worker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def teardown(self) -> None:
        for process in (self._worker, self._redis):
            process.terminate()
            process.wait(30)

    def chain(self, n: int) -> int:
        inc = self._tasks.inc
        result: int = self._celery.chain(inc.s(0), *(inc.s() for _ in range(n - 1))).apply_async().get(timeout=_LIMIT_S)
        return result

    def fan(self, n: int) -> int:
        tasks = self._tasks
        source = tasks.ones.delay(n).get(timeout=_LIMIT_S)
        parts = self._celery.group(tasks.inc.s(one) for one in source).apply_async().get(timeout=_LIMIT_S)
        result: int = tasks.total.delay(parts).get(timeout=_LIMIT_S)
        return result

    def hello(self) -> int:
        result: int = self._tasks.inc.delay(0).get(timeout=_LIMIT_S)
        return result
