"""`python -m benchmarks.far_waiting`: nodes that wait all at once on one worker behind Celery and Redis.

How much memory the worker and all below it hold meanwhile, and what a node costs the whole tree beyond its waiting.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import meter, redis
from twingraph import Workflow, component


@component
def seconds_of(count: int, seconds: float) -> list[float]:
    return [seconds] * count


@component
async def wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@component
def total(values: list[float]) -> float:
    return sum(values)


def drawn(max_parallel: int) -> Any:
    workflow = Workflow("waiting", max_parallel=max_parallel)
    workflow.add_component("source", seconds_of)
    workflow.add_map("all", component=wait, over="seconds")
    workflow.connect("source", "all")
    workflow.add_component("total", total)
    workflow.connect("all", "total")
    return workflow


class Watch(meter.MemoryWatch):
    """Of the worker alone."""

    @property
    def megabytes(self) -> float:
        return self.pss_bytes / 1e6


def measure(count: int, seconds: float, rounds: int, processes: int) -> None:
    workflow = drawn(count)
    folder = Path(os.environ["BENCHMARK_FOLDER"])
    broker = redis.begin(os.environ[redis.VARIABLE], folder / "redis")
    command = [sys.executable, "-m", "twingraph", "worker", "--concurrency", str(processes)]
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        workflow.run(count=20, seconds=0.01)
        idle = meter.tree_pss_bytes(worker.pid) / 1e6
        walls, cpus, watch = [], [], Watch(worker.pid, 0.2)
        watch.start()
        clock = meter.TreeClock()
        for _ in range(rounds):
            cpu, began = clock.cpu_s(), time.perf_counter()
            assert workflow.run(count=count, seconds=seconds) == count * seconds
            walls.append(time.perf_counter() - began)
            cpus.append(clock.cpu_s() - cpu)
        watch.stop()
    finally:
        for process in (worker, broker):
            process.terminate()
            process.wait(60)
    beyond = statistics.median(walls) - seconds
    print(
        f"{count} nodes that wait {seconds:g} s on one worker of {processes} processes: "
        f"{statistics.median(walls):.2f} s, {beyond:.2f} s of it not waiting ({count / beyond:,.0f} nodes/s); "
        f"{1000 * statistics.median(cpus) / count:.2f} ms CPU per node of the whole tree; "
        f"the worker's tree {watch.megabytes:.0f} MB (PSS), {idle:.0f} MB before; "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--processes", type=int, default=2, help="of the worker")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as name:
        os.environ |= {
            "BENCHMARK_FOLDER": name,
            "TWINGRAPH_HOME": f"{name}/home",
            "TWINGRAPH_PROGRESS": "off",
            "TWINGRAPH_DISPATCH": "celery",
            redis.VARIABLE: redis.address(Path(name) / "redis"),
        }
        measure(given.count, given.seconds, given.rounds, given.processes)


if __name__ == "__main__":
    main()
