"""What hogs, dies or hangs harms itself alone: the others start soon, and nothing of them is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pool.conftest import Bench, opened
from twingraph.dispatch.base import CodeRef, Outcome, Report, Returned
from twingraph.dispatch.strays import MARK

CODE = """#entry quick
#entry waits
#entry hog
#entry holds
#entry hog_async
#entry holds_async
#entry dies
#entry family
import asyncio, os, subprocess, time
def quick():
    return 1
async def waits():
    await asyncio.sleep(0.01)
    return 1
def hog():
    while True: pass
def holds():
    sum(range(10**12))
async def hog_async():
    while True: pass
async def holds_async():
    sum(range(10**12))
def dies():
    os.kill(os.getpid(), 9)
def family():
    subprocess.Popen(["sleep", "120"])
    subprocess.Popen(["sleep", "120"], start_new_session=True)
    subprocess.run(["sh", "-c", "(setsid sleep 120 &) ; sleep 120"])
"""


class Persistent:
    """Submits what comes back again, as the kernel does, and counts the endings."""

    def __init__(self, bench: Bench, code: CodeRef) -> None:
        self.bench = bench
        self.code = code
        self.kinds: dict[str, tuple[str, dict[str, Any]]] = {}
        self.submitted: dict[str, float] = {}
        self.endings: Counter[str] = Counter()
        self._take = bench.take
        bench.pool.report = self.take

    def take(self, report: Report) -> None:
        if isinstance(report, Returned):
            for node, _ in report.runs:
                asyncio.get_running_loop().call_soon(self._again, node)
        elif isinstance(report, Outcome):
            if report.status == "lost" and not report.begun:
                asyncio.get_running_loop().call_soon(self._again, report.node)
                return
            self.endings[report.node] += 1
        self._take(report)

    def _again(self, node: str) -> None:
        entry, more = self.kinds[node]
        self.bench.submit(self.code, entry, [node], **more)

    def submit(self, entry: str, *nodes: str, **more: Any) -> None:
        for node in nodes:
            self.kinds[node] = entry, more
            self.submitted[node] = time.time()
        self.bench.submit(self.code, entry, list(nodes), **more)

    def delays(self, prefix: str) -> list[float]:
        outcomes = self.bench.outcomes()
        return sorted(
            (outcome.started or 0) - self.submitted[node]
            for node, outcome in outcomes.items()
            if node.startswith(prefix)
        )


@asynccontextmanager
async def persistent(folder: Path, **options: Any) -> AsyncIterator[Persistent]:
    async with opened(folder, **options) as bench:
        yield Persistent(bench, bench.write(CODE))


async def warm(many: Persistent, entry: str, **more: Any) -> None:
    """Two processes have loaded the code."""
    turn = 0
    async with asyncio.timeout(20):
        while len({outcome.worker for outcome in many.bench.outcomes().values()}) < 2:
            turn += 1
            names = [f"warm{turn}-{number}" for number in range(3)]
            for name in names:
                many.submit(entry, name, **more)
            await many.bench.until(lambda: set(names) <= set(many.endings))  # noqa: B023
    many.endings.clear()
    many.bench.reports.clear()


HOGS = [("hog", "quick"), ("holds", "quick"), ("hog_async", "waits"), ("holds_async", "waits"), ("hog_async", "quick")]


@pytest.mark.parametrize(("hog", "other"), HOGS)
async def test_one_that_hogs_is_gone_in_time_and_the_others_come_to_their_end(
    tmp_path: Path, hog: str, other: str
) -> None:
    await delays_beside(tmp_path, hog, other)


@pytest.mark.soak
@pytest.mark.parametrize(("hog", "other"), HOGS)
async def test_others_start_soon_beside_one_that_hogs(tmp_path: Path, hog: str, other: str) -> None:
    delays = await delays_beside(tmp_path, hog, other)
    assert sum(delay > 0.1 for delay in delays) <= 2, delays[-10:]


async def delays_beside(tmp_path: Path, hog: str, other: str) -> list[float]:
    """How long each of 200 waited for its start while the hog had its time."""
    async with persistent(tmp_path, workers=4) as many:
        beside, own = {"asynchronous": other == "waits"}, {"asynchronous": hog.endswith("async")}
        await warm(many, other, **beside)
        many.submit(hog, "hog", timeout=1, **own)
        for number in range(200):
            many.submit(other, f"n{number}", **beside)
            await asyncio.sleep(0.01)
        await many.bench.until(lambda: len(many.endings) == 201)
        delays = many.delays("n")
        assert len(delays) == 200
        assert set(many.endings.values()) == {1}
        outcome = many.bench.outcomes()["hog"]
        assert outcome.status == "timeout"
        assert outcome.ended - (outcome.started or 0) < 1 + 2
        return delays


async def test_a_lane_behind_one_that_hogs_goes_elsewhere(tmp_path: Path) -> None:
    async with persistent(tmp_path, workers=3) as many:
        await warm(many, "quick")
        many.submit("hog", "hog", "a", "b", "c")
        for node in "abc":
            many.kinds[node] = "quick", {}
        await many.bench.until(lambda: {"a", "b", "c"} <= set(many.endings))
        assert "hog" not in many.endings
        many.bench.time_is_up("hog")
        await many.bench.until(lambda: "hog" in many.endings)


async def test_thirty_deaths_lose_nothing_of_the_others(tmp_path: Path) -> None:
    async with persistent(tmp_path, workers=3) as many:
        for turn in range(30):
            many.submit("dies", f"bad{turn}")
            many.submit("quick", *[f"n{turn}-{number}" for number in range(10)])
            many.submit("waits", f"w{turn}", asynchronous=True)
            await asyncio.sleep(0.02)
        await many.bench.until(lambda: len(many.endings) == 30 * 12)
        assert set(many.endings.values()) == {1}
        found = Counter((node[0], outcome.status) for node, outcome in many.bench.outcomes().items())
        assert found == {("n", "completed"): 300, ("w", "completed"): 30, ("b", "lost"): 30}


async def test_a_worker_that_is_replaced_all_the_time_loses_nothing_and_leaves_no_gap(tmp_path: Path) -> None:
    async with persistent(tmp_path, workers=3, runs_per_worker=40) as many:
        await warm(many, "quick")
        for number in range(400):
            many.submit("waits" if number % 2 else "quick", f"n{number}", asynchronous=bool(number % 2))
            await asyncio.sleep(0.003)
            assert any(worker.is_ready and not worker.retired for worker in many.bench.pool._staff.everyone())
        await many.bench.until(lambda: len(many.endings) == 400)
        assert set(many.endings.values()) == {1}
        assert {outcome.status for outcome in many.bench.outcomes().values()} == {"completed"}
        assert len({outcome.worker for outcome in many.bench.outcomes().values()}) > 3


# -- nothing is left over -----------------------------------------------------------------------


def alive_with(marks: set[str]) -> Iterator[int]:
    """The processes of an execution: they have their worker's mark in their environment."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                environment = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
                state = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state != "Z" and any(f"{MARK}={mark}".encode() in environment for mark in marks):
                yield int(name)


async def family_of(many: Persistent) -> set[str]:
    """The marks of workers, once a run has all its children."""
    many.submit("family", "n")
    async with asyncio.timeout(20):
        while True:
            marks = {worker.mark for worker in many.bench.pool._staff.everyone()}
            if len(set(alive_with(marks))) >= 5:
                return marks
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("way", ["cancel", "timeout", "stop", "killed worker"])
async def test_no_process_of_a_run_outlives_its_end(tmp_path: Path, way: str) -> None:
    async with persistent(tmp_path, workers=1) as many:
        marks = await family_of(many)
        if way == "timeout":
            many.bench.time_is_up("n")
        elif way == "cancel":
            many.bench.pool.cancel("e")
        elif way == "stop":
            await many.bench.pool.stop()
        elif way == "killed worker":
            os.kill(many.bench.pool._staff.everyone()[0].pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            while list(alive_with(marks)):
                await asyncio.sleep(0.02)


PARENT = """
import asyncio, sys
from pathlib import Path
from tests.integration.pool.test_stress import persistent

async def main():
    async with persistent(Path(sys.argv[1]), workers=1) as many:
        many.submit("family", "n")
        while not many.bench.pool.workers(): await asyncio.sleep(0.01)
        (mark,) = [worker.mark for worker in many.bench.pool._staff.everyone()]
        (Path(sys.argv[1]) / "mark").write_text(mark + "!")
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_no_process_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[3])
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], env={**os.environ, "PYTHONPATH": root})
    async with asyncio.timeout(30):
        while not (tmp_path / "mark").exists() or not (mark := (tmp_path / "mark").read_text()).endswith("!"):
            await asyncio.sleep(0.02)
        while len(list(alive_with({mark[:-1]}))) < 5:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    async with asyncio.timeout(10):
        while list(alive_with({mark[:-1]})):
            await asyncio.sleep(0.02)
