"""kill -9 anywhere in a prune: nothing that is kept is lost, and the next prune goes on to the same end."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pruning import DAY, NOW, PruneBench

PROJECT = Path(__file__).parents[3]


def filled(folder: Path, chance: random.Random) -> PruneBench:
    """Executions of all ages with values of their own and shared ones, code, and replays."""
    bench = PruneBench(folder)
    shared = [bench.value([f"shared {word}"] * 9_000) for word in range(3)]
    codes = [bench.code() for _ in range(4)]
    for number in range(12):
        own = bench.value([f"own {number}"] * 9_000)
        origin = f"exec-{chance.randrange(number)}" if number and chance.random() < 0.3 else None
        name, age = f"exec-{number}", chance.choice([10, 35, 50]) * DAY
        bench.begin(name, own, chance.choice(shared), at=NOW - age - 60, code_version=chance.choice(codes)[0],
                    workflow_id=f"flow-{number % 3}", replay_of=origin)  # fmt: skip
        if chance.random() < 0.9:
            bench.end(name, age=age)
    return bench


def state(bench: PruneBench) -> tuple[object, ...]:
    tables = [bench.count(table) for table in ("events", "logs", "code", "plans", "inbox")]
    return bench.left(), bench.stored(), tables


def victim(home: Path, step: int) -> int:
    command = [sys.executable, "-m", "tests.support.prune_victim", str(home), str(step), str(NOW)]
    return subprocess.run(command, cwd=PROJECT, timeout=60).returncode


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_prune_loses_nothing_and_is_gone_on_with(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    filled(tmp_path / "one", chance).close()
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    assert victim(tmp_path / "one", 0) == 0
    whole = PruneBench(tmp_path / "one")
    kept, wanted = whole.left(), state(whole)
    whole.close()
    for step in sorted(chance.sample(range(1, 40), 4)):
        ended = victim(tmp_path / "other", step)
        assert ended in (0, -signal.SIGKILL)
        killed = PruneBench(tmp_path / "other")
        assert kept <= killed.left()
        assert all(killed.is_readable(name) for name in killed.left())
        killed.close()
    assert victim(tmp_path / "other", 0) == 0
    gone_on = PruneBench(tmp_path / "other")
    assert state(gone_on) == wanted
    gone_on.close()
