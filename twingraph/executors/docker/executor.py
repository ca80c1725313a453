"""Carries attempts out in containers. See `executors.base` for the promise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from twingraph.executors.base import Task
from twingraph.executors.docker.client import Container, Engine
from twingraph.executors.docker.compiled import Compiled
from twingraph.executors.docker.job import DockerJob
from twingraph.executors.docker.warm import WARM, WarmPlaces
from twingraph.executors.docker.warm_job import WarmJob
from twingraph.store.blobs.base import BlobStore


class DockerExecutor:
    def __init__(self, environment: Mapping[str, str], home: str, key: bytes, blobs: BlobStore, cache: Path) -> None:
        """`home` tells the containers of one TwinGraph from those of another on the same engine."""
        self._environment = environment
        self.home = home
        self.key = key
        self.blobs = blobs
        self.compiled = Compiled(cache)
        self.warm = WarmPlaces()
        self._engines: dict[str | None, Engine] = {}
        self._lock = threading.Lock()
        self._idle_warm: set[str] = set()
        self.names: set[str] = set()  # of containers of this very process, whatever became of them

    def engine(self, host: str | None = None) -> Engine:
        with self._lock:
            if host not in self._engines:
                self._engines[host] = Engine(self._environment, host)
            return self._engines[host]

    def job(self, task: Task) -> DockerJob:
        return WarmJob(self, task) if task.config.get("warm") else DockerJob(self, task)

    def sweep(self, is_over: Callable[[str], bool]) -> int:
        count, is_over = 0, cache(is_over)
        for engine in list(self._engines.values()) or [self.engine()]:  # the first run may not have come to it yet
            for found in engine.find({"twingraph.home": self.home}):
                if found.name not in self.names and self._is_left(found, is_over):
                    engine.remove(found.name)
                    count += 1
        return count

    def clear(self, execution: str) -> int:
        engine = self.engine()
        found = engine.find({"twingraph.home": self.home, "twingraph.execution": execution})
        for one in found:
            engine.remove(one.name)
        return len(found)

    def _is_left(self, found: Container, is_over: Callable[[str], bool]) -> bool:
        """A warm one ends with the process that it serves, unless that ended before it was started."""
        if WARM not in found.labels:
            return is_over(found.labels["twingraph.execution"])
        if found.state == "running":
            return False
        seen = found.name in self._idle_warm
        self._idle_warm.add(found.name)
        return seen

    def close(self) -> None:
        self.warm.close()
        for engine in self._engines.values():
            engine.close()
