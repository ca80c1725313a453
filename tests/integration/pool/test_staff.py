"""Processes come, are replaced, and go."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.pool.conftest import Bench, opened

CODE = "#entry f\n#entry big\ndef f():\n    return 1\nkept = []\ndef big():\n    kept.append(bytearray(80_000_000))\n"


async def test_a_process_is_kept_for_the_next_run(bench: Bench) -> None:
    code = bench.write(CODE)
    assert await bench.worker_of("a", "f", code) == await bench.worker_of("b", "f", code)


async def test_it_is_replaced_after_so_many_runs(tmp_path: Path) -> None:
    async with opened(tmp_path, runs_per_worker=2) as bench:
        code = bench.write(CODE)
        first, second = [await bench.worker_of(node, "f", code) for node in "ab"]
        assert first == second
        await replaced(bench, first)
        assert await bench.worker_of("c", "f", code) != first


async def replaced(bench: Bench, name: str | None) -> None:
    async with asyncio.timeout(20):
        while name in bench.pool.workers():
            assert bench.pool.workers()
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("at_once", [True, False])
async def test_none_carries_out_more_runs_than_it_may(tmp_path: Path, asynchronous: bool, at_once: bool) -> None:
    """Also what stands in one lane, and what waits beside each other."""
    async with opened(tmp_path, runs_per_worker=3, workers=2, gives_again=True) as bench:
        code = bench.write(CODE.replace("def f():", "async def f():") if asynchronous else CODE)
        nodes = [f"n{number}" for number in range(10)]
        for lane in [nodes] if at_once else [[node] for node in nodes]:
            bench.submit(code, "f", lane, asynchronous=asynchronous)
        await bench.until(lambda: len(bench.outcomes()) == 10)
        served = Counter(outcome.worker for outcome in bench.outcomes().values())
        assert max(served.values()) <= 3, served


async def test_each_of_many_waits_has_its_process_where_one_may_run_no_more(tmp_path: Path) -> None:
    async with opened(tmp_path, runs_per_worker=1, workers=1, gives_again=True) as bench:
        code = bench.write(CODE)
        served = [await bench.worker_of(node, "f", code) for node in "abcde"]
        assert len(set(served)) == 5


async def test_it_is_replaced_when_it_has_grown(tmp_path: Path) -> None:
    async with opened(tmp_path, bytes_per_worker=70_000_000) as bench:
        code = bench.write(CODE)
        grown = await bench.worker_of("a", "big", code)
        await replaced(bench, grown)
        assert grown != await bench.worker_of("b", "f", code)


async def test_idle_ones_end_but_for_one(tmp_path: Path) -> None:
    async with opened(tmp_path, idle_seconds=0.1) as bench:
        code = bench.write(CODE)
        for node in "abcd":
            bench.submit(code, "f", [node])
        await bench.until(lambda: len(bench.outcomes()) == 4)
        async with asyncio.timeout(20):
            while len(bench.pool.workers()) > 1:
                await asyncio.sleep(0.02)


async def test_an_idle_process_of_another_version_gives_way_to_a_second_one(tmp_path: Path) -> None:
    """Both runs of the new version end only once both have begun."""
    text = (
        "#entry f\n#entry meet\nimport os, time\n"
        "def f():\n    return 1\n"
        "def meet(me, other):\n"
        "    open(me, 'w').close()\n"
        "    while not os.path.exists(other):\n        time.sleep(0.01)\n"
    )
    async with opened(tmp_path, workers=2) as bench:
        code = bench.write(text)
        await bench.worker_of("a", "f", code)
        newer = replace(code, version="2")
        places = [str(tmp_path / name) for name in "xy"]
        bench.submit(newer, "meet", ["x"], {"me": places[0], "other": places[1]})
        bench.submit(newer, "meet", ["y"], {"me": places[1], "other": places[0]})
        await bench.until(lambda: {"x", "y"} <= set(bench.outcomes()), seconds=50)
        assert bench.outcomes()["x"].worker != bench.outcomes()["y"].worker


async def test_a_process_that_was_killed_while_idle_is_replaced(bench: Bench) -> None:
    code = bench.write("#entry f\nimport os\ndef f():\n    return os.getpid()\n")
    first = await bench.worker_of("a", "f", code)
    assert first is not None
    os.kill(int(first.removeprefix("pid-")), signal.SIGTERM)
    async with asyncio.timeout(20):
        while first in bench.pool.workers():
            await asyncio.sleep(0.01)
    assert await bench.worker_of("b", "f", code) != first
    assert bench.outcomes()["b"].status == "completed"
