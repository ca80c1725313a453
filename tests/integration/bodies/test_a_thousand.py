"""A thousand pipelines that wait, or compute: in one process, in little memory, and all to their end; those that wait,
across its death."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from twingraph.wiring import open_reader

MANY = 1_000
MOST_MB = 200

# Half of them wait for a signal, the others sleep at least until all have been begun.
SCRIPT = """
import os, sys, threading, time
from twingraph import pipeline, sleep, wait_for_signal

@pipeline
def waiter(number: int):
    return [number, wait_for_signal("go")]

@pipeline
def sleeper(number: int, seconds: float):
    sleep(seconds)
    return number

if __name__ == "__main__":
    half = int(sys.argv[1]) // 2
    begun = time.monotonic()
    waiting = [waiter.submit(number).id for number in range(half)]
    seconds = 4 + 2 * (time.monotonic() - begun)
    sleeping = [sleeper.submit(number, seconds).id for number in range(half)]
    with open("begun.part", "w") as file:
        file.write(" ".join(waiting) + "\\n" + " ".join(sleeping))
    os.replace("begun.part", "begun")  # there at once and whole, for who waits for it
    threading.Event().wait()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TWINGRAPH_HOME", str(tmp_path / "home"))
    (tmp_path / "flow.py").write_text(SCRIPT)
    return tmp_path


def until(there: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


def tree(root: int) -> list[psutil.Process]:
    process = psutil.Process(root)
    return [process, *process.children(recursive=True)]


def memory_mb(processes: list[psutil.Process]) -> float:
    """What these processes hold, pages that they share with others shared out."""
    return sum(process.memory_full_info().pss for process in processes) / 1e6


def at_rest(process: psutil.Process) -> bool:
    """Whether it has nothing to do for a moment."""
    return process.cpu_percent(0.2) < 10


def _hosts_are_full(resumed: int) -> bool:
    """Whether all that wait for a signal sit in their new process; the others may be over by now."""
    return max(process.num_threads() for process in tree(resumed)) > MANY // 2


@pytest.mark.timeout(240)  # two thousand bodies are work for a machine that does other things too
def test_a_thousand_that_wait_outlive_their_process(home: Path) -> None:
    script = subprocess.Popen([sys.executable, "flow.py", str(MANY)], cwd=home)
    try:
        until((home / "begun").exists)
        waiting, sleeping = (line.split() for line in (home / "begun").read_text().splitlines())
        process = psutil.Process(script.pid)
        until(lambda: process.num_threads() > MANY)  # each of them sits there with its body
        until(lambda: at_rest(process))
        assert memory_mb(tree(script.pid)) < MOST_MB
    finally:
        script.kill()
        script.wait()

    command = [sys.executable, "-m", "twingraph", "resume", "--all"]
    with open(home / "said", "w") as said:
        resumed = subprocess.Popen(command, cwd=home, stdout=said, stderr=said)
    try:
        until(lambda: resumed.poll() is not None or _hosts_are_full(resumed.pid))
        assert memory_mb(tree(resumed.pid)) < MOST_MB
        with closing(open_reader()) as reader:
            for execution in waiting:
                reader.send_signal(execution, "go", '"now"')
            assert resumed.wait(60) == 0, (home / "said").read_text()[-2000:]
            records = [reader.record(execution) for execution in (*waiting, *sleeping)]
            assert Counter(str(record.status) for record in records) == {"completed": MANY}
            assert reader.view(waiting[7]).result == '[7,"now"]'
            assert reader.view(sleeping[7]).result == "7"
    finally:
        for one in tree(resumed.pid) if resumed.poll() is None else ():
            one.kill()
        resumed.wait()


# Each executes a few nodes in a row; `first` is when the first of them began.
COMPUTING = """
import json, sys, time
from twingraph import component, pipeline

@component
def compute(after: float, seconds: float) -> float:
    began, end = time.time(), time.process_time() + seconds
    while time.process_time() < end:
        pass
    return after or began

@pipeline
def computing(calls: int, seconds: float):
    first = compute(0.0, seconds)
    for _ in range(calls - 1):
        first = compute(first, seconds)
    return first

if __name__ == "__main__":
    computing(3, 0.005)
    submitted, handles = [], []
    for _ in range(int(sys.argv[1])):
        submitted.append(time.time())
        handles.append(computing.submit(3, 0.005))
    delays = [handle.result(200) - at for handle, at in zip(handles, submitted, strict=True)]
    open("delays", "w").write(json.dumps(delays))
"""


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_thousand_that_compute_all_begin_and_all_end(home: Path) -> None:
    """Fifteen seconds of work for two processes. Nobody waits for his first node until all others are through."""
    (home / "flow.py").write_text(COMPUTING)
    script = subprocess.Popen([sys.executable, "flow.py", str(MANY)], cwd=home)
    most = 0.0
    try:
        end = time.monotonic() + 240
        while script.poll() is None:
            assert time.monotonic() < end
            try:
                most = max(most, memory_mb(tree(script.pid)))
            except psutil.Error:  # one of them has just ended
                continue
            time.sleep(0.5)
        assert script.returncode == 0
    finally:
        for one in tree(script.pid) if script.poll() is None else ():
            one.kill()
        script.wait()
    delays = sorted(json.loads((home / "delays").read_text()))
    print(f"memory {most:.0f} MB; to the first line: p50 {delays[MANY // 2]:.2f} s, p99 {delays[-MANY // 100]:.2f} s")
    assert len(delays) == MANY
    assert most < MOST_MB
    with closing(open_reader()) as reader:
        assert Counter(str(record.status) for record in reader.executions(limit=2 * MANY)[0]) == {"completed": MANY + 1}
