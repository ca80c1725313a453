"""Named limits hold over processes that share a home, also when one is killed while it holds them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.crash.lives import PROJECT

pytestmark = pytest.mark.only_where(sys.platform == "linux", "kills with SIGKILL and counts on /proc")

FLOW = PROJECT / "tests/support/crash/limited.py"
SOON = 30.0


class Runs:
    """Processes that run the same flow in one home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.marks = folder / "marks"
        self.marks.touch()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, who: str, *words: str) -> None:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("TWINGRAPH_")}
        world = {"TWINGRAPH_HOME": str(self.folder / "home"), "TWINGRAPH_PROGRESS": "off", "MARKS": str(self.marks)}
        self.processes[who] = subprocess.Popen(
            [sys.executable, "-m", "twingraph", *words],
            cwd=PROJECT,
            env={**plain, **world, "WHO": who},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, who: str, count: int) -> None:
        self.start(who, "run", f"{FLOW}:flow", "-i", f"count={count}")

    def ends(self, who: str) -> None:
        process = self.processes.pop(who)
        said = process.communicate(timeout=60)[0].decode()
        assert process.returncode == 0, said

    def seen(self, what: str, who: str) -> int:
        return sum(line.split()[1:3] == [what, who] for line in self.marks.read_text().splitlines())

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SOON
        while not holds():
            assert time.monotonic() < deadline, self.marks.read_text()
            time.sleep(0.01)

    def most_at_once(self, *, after: float = 0.0) -> int:
        most, now = 0, set[str]()
        for line in sorted(self.marks.read_text().splitlines(), key=lambda line: float(line.split()[0])):
            at, what, *mark = line.split()
            if float(at) > after:
                (now.add if what == "begin" else now.discard)(" ".join(mark))
                most = max(most, len(now))
        return most


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    made = Runs(tmp_path)
    yield made
    for process in made.processes.values():
        process.kill()
        process.communicate()


def test_two_processes_together_hold_no_more_than_the_limit(runs: Runs) -> None:
    for who in ("one", "two"):
        runs.run(who, 25)
    for who in ("one", "two"):
        runs.ends(who)
    assert (runs.seen("end", "one"), runs.seen("end", "two")) == (25, 25)
    assert runs.most_at_once() == 2


def test_what_a_killed_process_held_goes_to_the_others(runs: Runs) -> None:
    hold = runs.folder / "hold-one"
    hold.touch()
    runs.run("one", 10)
    runs.until(lambda: runs.seen("begin", "one") == 2)
    runs.run("two", 10)
    time.sleep(1.0)
    assert runs.seen("begin", "two") == 0
    killed = time.monotonic()
    runs.processes["one"].send_signal(signal.SIGKILL)
    runs.until(lambda: runs.seen("begin", "two") > 0)
    assert time.monotonic() - killed < 10
    runs.ends("two")
    assert runs.most_at_once(after=killed) <= 2
    runs.processes.pop("one").communicate()
    hold.unlink()
    runs.start("three", "resume", "--all")
    runs.ends("three")
    assert runs.seen("end", "three") == 10
    assert runs.most_at_once(after=killed) <= 2
