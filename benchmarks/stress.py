"""`python -m benchmarks.stress`: what waits, what computes, and what starts beside one that hogs. Ours alone, on this
machine.

waiters    1,000 asynchronous nodes that wait at once on two processes, as a pipeline
computing  1,000 pipelines that are submitted at once, each with a few nodes in a row that compute
delay      from submitting a node to its first line, while others hog processes or the loop they share

Names of these after the command measure them alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.meter import MemoryWatch
from twingraph import component, pipeline
from twingraph.dispatch.base import CodeRef, Lane, NodeRun, Outcome, Report, Returned, RunSettings
from twingraph.dispatch.embedded import EmbeddedPool, PoolOptions

WAITERS = 1000
WAIT_S = 5.0
EXECUTIONS = 1000
CALLS = 3
COMPUTE_S = 0.005
NODES = 1000
EVERY_S = 0.01

CODE = """
import asyncio
def quick():
    return 1
async def waits():
    await asyncio.sleep(0.01)
def hog():
    while True: pass
def holds():
    sum(range(10**12))
async def hog_async():
    while True: pass
"""


@component
async def wait(number: int, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return os.getpid()


@pipeline(max_parallel=WAITERS)
def waiters(count: int, seconds: float) -> int:
    handles: list[Any] = [wait(number, seconds) for number in range(count)]
    return len({int(handle) for handle in handles})


def measure_waiters() -> None:
    waiters(20, 0.1)
    began = time.monotonic()
    processes = waiters(WAITERS, WAIT_S)
    took = time.monotonic() - began
    cpu = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    print(f"waiters: {WAITERS} of {WAIT_S:g} s each took {took:.2f} s on {processes} processes; {cpu:.2f} s CPU here")


@component
def compute(after: float | None, seconds: float) -> float:
    """When its first line ran: its own, or that of the one before."""
    began, end = time.time(), time.process_time() + seconds
    while time.process_time() < end:
        pass
    return after or began


@pipeline
def computing(calls: int, seconds: float) -> float:
    began = compute(None, seconds)
    for _ in range(calls - 1):
        began = compute(began, seconds)
    return began


def measure_computing() -> None:
    computing(CALLS, COMPUTE_S)
    memory = MemoryWatch(os.getpid(), 0.5)
    memory.start()
    began = time.time()
    submitted, handles = [], []
    for _ in range(EXECUTIONS):
        submitted.append(time.time())
        handles.append(computing.submit(CALLS, COMPUTE_S))
    all_submitted = time.time() - began
    delays = [handle.result(600) - at for handle, at in zip(handles, submitted, strict=True)]
    took = time.time() - began
    memory.stop()
    cuts = statistics.quantiles(delays, n=100)
    work = EXECUTIONS * CALLS * COMPUTE_S
    print(
        f"computing: {EXECUTIONS} executions with {CALLS} nodes of {COMPUTE_S * 1000:g} ms ({work:g} s on 2 "
        f"processes) took {took:.1f} s, {all_submitted:.1f} s of it to submit them; {memory.pss_bytes / 1e6:.0f} MB; "
        f"to the first line of the first node: p50 {cuts[49]:.2f} s, p99 {cuts[98]:.2f} s"
    )


class Load:
    """Nodes one after another in time, beside hogs that are ended at their limit and come again."""

    def __init__(self, folder: Path) -> None:
        names = ("quick", "waits", "hog", "holds", "hog_async")
        file = str(folder / "load.py")
        entry: dict[str, Any] = {"module": "load", "mode": "slice", "factory": None, "closure": {}, "file": file}
        module = {"text": CODE, "file": file, "package": False, "main": False}
        entries = {name: {**entry, "name": name} for name in names}
        bundle = {"format": 1, "modules": {"load": module}, "entries": entries}
        (folder / "bundle.json").write_text(json.dumps(bundle))
        self.code = CodeRef(
            version="1", bundle_path=str(folder / "bundle.json"), interpreter=sys.executable, working_dir=str(folder),
            sys_path=tuple(sys.path),
        )  # fmt: skip
        self.pool = EmbeddedPool(PoolOptions(), str(folder), None)
        self.submitted: dict[str, float] = {}
        self.delays: list[float] = []
        self.hog_s: list[float] = []
        self._runs: dict[str, tuple[str, Any]] = {}

    def take(self, report: Report) -> None:
        if isinstance(report, Returned):
            for node, _ in report.runs:
                self._submit(node)
        elif isinstance(report, Outcome):
            if report.status == "lost" or report.started is None:
                self._submit(report.node)
            elif report.node.startswith("hog"):
                self.hog_s.append(report.ended - report.started)
            else:
                self.delays.append(report.started - self.submitted[report.node])

    def submit(self, node: str, entry: str, timeout: float) -> None:
        settings = RunSettings(
            component=entry, entry=entry, timeout=timeout, asynchronous=entry in ("waits", "hog_async")
        )
        self._runs[node] = entry, settings
        self.submitted[node] = time.time()
        self._submit(node)

    def _submit(self, node: str) -> None:
        settings = self._runs[node][1]
        self.pool.submit(Lane(number=1, execution="e", code=self.code, settings=settings, runs=[NodeRun(node, 1, [])]))

    async def run(self, hog: str | None, other: str) -> None:
        await self.pool.start(self.take)
        for number in range(6):
            self.submit(f"warm{number}", other, 10)
        await asyncio.sleep(2)
        self.delays.clear()
        for number in range(NODES):
            if hog is not None and number % 200 == 0:
                self.submit(f"hog{number}", hog, 1)
            self.submit(f"n{number}", other, 10)
            await asyncio.sleep(EVERY_S)
        async with asyncio.timeout(60):
            while len(self.delays) < NODES:
                await asyncio.sleep(0.05)
        await self.pool.stop()


def measure_delay(hog: str | None, other: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        load = Load(Path(folder))
        asyncio.run(load.run(hog, other))
    cuts = statistics.quantiles(load.delays, n=100)
    gone = f"; hogs with a limit of 1 s were gone after {max(load.hog_s):.2f} s at most" if load.hog_s else ""
    name = "nothing" if hog is None else hog
    print(f"delay: {other} beside {name}: p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms{gone}")


def main() -> None:
    os.environ["TWINGRAPH_PROGRESS"] = "off"
    os.environ["TWINGRAPH_WORKERS"] = "2"
    wanted = set(sys.argv[1:])
    with tempfile.TemporaryDirectory() as home:
        os.environ["TWINGRAPH_HOME"] = home
        for name, measure in (("waiters", measure_waiters), ("computing", measure_computing)):
            if not wanted or name in wanted:
                measure()
    for hog, other in ((None, "quick"), ("hog", "quick"), ("holds", "quick"), ("hog_async", "waits")):
        if not wanted or "delay" in wanted:
            measure_delay(hog, other)
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
