"""A laptop's lid: every process stands still for a while and goes on. Nothing is lost and nothing is done twice."""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.conducting import wait_until
from tests.support.processes import go_on, kill_all, stop_all

pytestmark = pytest.mark.only_where(sys.platform == "linux", "looks for processes in /proc")

SCRIPT = """
import asyncio, time
from twingraph import component, gather, pipeline, sleep

def note(number):
    with open("effects", "a") as file:
        file.write(f"{number}\\n")

@component(timeout=60)
def work(number: int) -> int:
    note(number)
    time.sleep(0.1)
    return number

@component(timeout=60)
async def waits(number: int) -> int:
    note(number)
    await asyncio.sleep(0.1)
    return number

@pipeline
def flow(count: int) -> int:
    total = 0
    for number in range(count):
        done = gather(work(number), waits(number + 1000))
        if number % 5 == 0:
            sleep(0.2)
        total += done[0] + done[1]
    return total

if __name__ == "__main__":
    print(flow(COUNT))
"""
COUNT = 25


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("words", [["story.py"], ["-m", "twingraph", "run", "story.py:flow", "-i", f"count={COUNT}"]])
def test_everything_stands_still_and_goes_on(tmp_path: Path, words: list[str], seed: int) -> None:
    chance, mark = random.Random(seed), secrets.token_hex(8)
    (tmp_path / "story.py").write_text(SCRIPT.replace("COUNT", str(COUNT)))
    home = {"TWINGRAPH_HOME": str(tmp_path / "home"), "TWINGRAPH_PROGRESS": "off"}
    world = {**os.environ, **home, "PYTHONPATH": str(Path(__file__).parents[2])}
    effects = tmp_path / "effects"
    with subprocess.Popen(
        [sys.executable, *words], cwd=tmp_path, env={**world, "STORY": mark}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_until(lambda: effects.exists() or process.poll() is not None, "it does not begin", seconds=50)
            for _ in range(4):
                stopped = stop_all(mark)
                time.sleep(chance.uniform(0.3, 1.2))  # so long it sleeps
                go_on(stopped)
                time.sleep(chance.uniform(0.0, 0.5))
            assert process.stdout is not None
            assert process.stdout.read().split() == [str(sum(range(COUNT)) + sum(range(1000, 1000 + COUNT)))]
            assert process.wait(20) == 0
        finally:
            kill_all(mark)
    done = Counter(map(int, effects.read_text().split()))
    assert done == Counter([*range(COUNT), *range(1000, 1000 + COUNT)])
