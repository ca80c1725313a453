"""Lives of one execution: begun, killed again and again at points chosen by seed, resumed, and looked at."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.support.conducting import newest_view
from twingraph.core.execution import ExecutionView
from twingraph.core.statuses import NodeStatus

FLOW = Path(__file__).with_name("flow.py")
PROJECT = Path(__file__).parents[3]
# Up to which time a point is reached at all, roughly; a process that got through meanwhile was not killed.
POINTS = {
    "before commit": 40,
    "after commit": 40,
    "before dispatch": 60,
    "after dispatch": 60,
    "before blob": 2,
    "after blob": 2,
    "before snapshot": 2,
    "after snapshot": 2,
    "before claim": 1,
    "after claim": 1,
    "some time": 1,
}


class Life:
    """One home with one execution. `told` is what to say when a promise was broken."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.kills: list[str] = []
        self.finished: dict[str, int] = {}  # nodes whose outcome was journaled at some kill: their effects until then
        self.home = folder / "home"
        for name in ("effects", "failed"):
            (folder / name).mkdir(parents=True)

    def run(self, kills: int) -> None:
        """Kill so many times, if the execution lives that long; then let it finish."""
        while len(self.kills) < kills and not self._is_over():
            point = self.chance.choice(list(POINTS))
            if self._process(point, self.chance.randint(1, POINTS[point])):
                self.kills.append(point)
                self._wait_for_orphans()
                self._look()
        self._process("never", 1)
        self._look()

    def check(self) -> None:
        view = self._view()
        assert view is not None, self.kills
        assert view.record.status == "completed", (view.record, self.kills)
        assert view.result == "4539800", (view.result, self.kills)
        effects = self.effects()
        for node in view.nodes:
            if node.kind == "task":
                name = node.id.replace("/", "_")
                assert 1 <= effects[name] <= 1 + len(self.kills), (name, effects[name], self.kills)
        again = {name: (effects[name], known) for name, known in self.finished.items() if effects[name] != known}
        assert not again, f"ran again after their outcome was journaled: {again}, {self.kills}"

    def effects(self) -> Counter[str]:
        return Counter(file.name.partition("!")[0] for file in (self.folder / "effects").iterdir())

    def _process(self, point: str, number: int) -> bool:
        """Begin or go on, killed there; whether it was killed."""
        begun = self._view() is not None
        words = ["resume", "--all"] if begun else ["run", f"{FLOW}:flow", "-i", "count=200"]
        code = "never" if point == "some time" else point
        command = [sys.executable, "-m", "tests.support.crash.victim", code, str(number), *words]
        process = subprocess.Popen(
            command, cwd=PROJECT, env=self._world(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if point == "some time":
            time.sleep(self.chance.uniform(0.15, 0.8))  # a moment that nothing in the process announces
            process.kill()
        said = process.communicate(timeout=60)[0].decode()
        assert process.returncode in (0, -signal.SIGKILL), (words, point, said, self.kills)
        return process.returncode != 0

    def _world(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("TWINGRAPH_")}
        effects = str(self.folder / "effects")
        return {**plain, "TWINGRAPH_HOME": str(self.home), "TWINGRAPH_PROGRESS": "off", "EFFECTS": effects}

    def _wait_for_orphans(self) -> None:
        """Node processes die with their parent; what they still do until then belongs to the kill."""
        mark = str(self.folder / "effects").encode()
        deadline = time.monotonic() + 15
        while self._alive(mark):
            assert time.monotonic() < deadline, "processes of the killed one live on"
            time.sleep(0.01)

    def _alive(self, mark: bytes) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if re.fullmatch(r"\d+", entry.name):
                try:
                    if mark in (entry / "environ").read_bytes() and (entry / "stat").read_text().split()[2] != "Z":
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    def _look(self) -> None:
        """Remember whose outcome is in the journal by now."""
        view = self._view()
        effects = self.effects()
        for node in view.nodes if view is not None else ():
            if node.kind == "task" and node.status is NodeStatus.COMPLETED:
                name = node.id.replace("/", "_")
                self.finished.setdefault(name, effects[name])

    def _is_over(self) -> bool:
        view = self._view()
        return view is not None and view.record.completed_at is not None

    def _view(self) -> ExecutionView | None:
        return newest_view(self.home)


def lives(folder: Path, seed: int, kills: int, *, each: int = 5) -> Counter[str]:
    """As many lives as it takes to be killed so many times, each checked at its end; how often at which point."""
    points: Counter[str] = Counter()
    while points.total() < kills:
        life = Life(folder / f"{seed}", seed)
        life.run(min(each, kills - points.total()))
        life.check()
        points.update(life.kills)
        seed += 1_000
    return points
