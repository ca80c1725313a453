"""A pool of real processes around a module that a test writes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest_asyncio

from twingraph.dispatch.base import CodeRef, Lane, LogLines, NodeRun, Outcome, Report, Returned, RunSettings
from twingraph.dispatch.embedded import EmbeddedPool, PoolOptions


class Bench:
    """Submits runs of the functions in `text` and gathers what is reported."""

    def __init__(self, folder: Path, pool: EmbeddedPool, *, gives_again: bool = False) -> None:
        self.folder = folder
        self.pool = pool
        self.reports: list[Report] = []
        self._gives_again = gives_again
        self._lanes: dict[str, Lane] = {}  # the last that each node was in
        self._changed = asyncio.Event()

    def take(self, report: Report) -> None:
        self.reports.append(report)
        self._changed.set()
        if self._gives_again and isinstance(report, Returned):
            asyncio.get_running_loop().call_soon(self._give_again, [node for node, _ in report.runs])

    def _give_again(self, nodes: list[str]) -> None:
        """What comes back before it has begun, as a conductor does."""
        for node in nodes:
            lane = self._lanes[node]
            runs = [run for run in lane.runs if run.node == node]
            self.pool.submit(Lane(lane.number, lane.execution, lane.code, lane.settings, runs))

    def write(self, text: str) -> CodeRef:
        file = str(self.folder / "user_code.py")
        names = [line.split()[-1] for line in text.splitlines() if line.startswith("#entry ")]
        module = {"text": text, "file": file, "package": False, "main": False}
        entry: dict[str, Any] = {"module": "user_code", "mode": "slice", "factory": None, "closure": {}, "file": file}
        bundle = {
            "format": 1,
            "modules": {"user_code": module},
            "entries": {name: {**entry, "name": name} for name in names},
        }
        Path(file).write_text(text)
        path = self.folder / "bundle.json"
        path.write_text(json.dumps(bundle))
        return CodeRef(
            version="1", bundle_path=str(path), interpreter=sys.executable, working_dir=str(self.folder),
            sys_path=tuple(sys.path),
        )  # fmt: skip

    def submit(
        self, code: CodeRef, entry: str, nodes: list[str], args: dict[str, Any] | None = None, **more: Any
    ) -> None:
        texts = [(name, json.dumps(value)) for name, value in (args or {}).items()]
        settings = RunSettings(component=entry, entry=entry, **more)
        runs = [NodeRun(node, 1, texts) for node in nodes]
        lane = Lane(number=1, execution="e", code=code, settings=settings, runs=runs)
        self._lanes.update(dict.fromkeys(nodes, lane))
        self.pool.submit(lane)

    def time_is_up(self, node: str) -> None:
        """Its limit is over by now, however long it took to come so far."""
        lane = self._lanes[node]
        lane.settings = replace(lane.settings, timeout=0.1)

    async def until(self, holds: Callable[[], bool], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def worker_of(self, node: str, entry: str, code: CodeRef, **args: Any) -> str | None:
        """The process that one run is carried out by."""
        self.submit(code, entry, [node], args)
        await self.until(lambda: node in self.outcomes())
        return self.outcomes()[node].worker

    def outcomes(self) -> dict[str, Outcome]:
        return {report.node: report for report in self.reports if isinstance(report, Outcome)}

    def returned(self) -> set[str]:
        return {node for report in self.reports if isinstance(report, Returned) for node, _ in report.runs}

    def lines(self) -> list[tuple[str, str, str]]:
        logs = [report for report in self.reports if isinstance(report, LogLines)]
        return [(level, stream, message) for log in logs for _, level, stream, message in log.lines]

    async def run(self, text: str, **settings: Any) -> Outcome:
        """One run of the function `f` in `text`."""
        code = self.write(f"#entry f\n{text}")
        self.submit(code, "f", ["n"], **settings)
        await self.until(lambda: "n" in self.outcomes())
        return self.outcomes()["n"]


@asynccontextmanager
async def opened(folder: Path, *, gives_again: bool = False, **options: Any) -> AsyncIterator[Bench]:
    pool = EmbeddedPool(PoolOptions(**options), str(folder), b"key")
    made = Bench(folder, pool, gives_again=gives_again)
    await pool.start(made.take)
    try:
        yield made
    finally:
        await pool.stop()


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as made:
        yield made
