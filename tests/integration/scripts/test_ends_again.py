"""What has ended already: asking for its end again, or for its result, is no error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def command(*words: str, folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "TWINGRAPH_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return command("-m", "twingraph", *words, folder=folder, home=folder / "home")


FLOW = """from twingraph import component, pipeline, wait_for_signal


@component
def one() -> int:
    return 1


@pipeline
def quick() -> int:
    return one()


@pipeline
def waits() -> int:
    wait_for_signal("never")
    return one()


if __name__ == "__main__":
    execution = waits.submit()
    execution.cancel()
    execution.cancel()
    print(execution.status)
"""


def test_a_completed_execution_is_shown_by_resume(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    first = run("run", "flow.py:quick", "--json", folder=tmp_path)
    again = run("resume", "last", "--json", folder=tmp_path)
    assert (first.returncode, again.returncode) == (0, 0), again.stderr
    assert json.loads(again.stdout) == json.loads(first.stdout)
    other = run("resume", "last", "--code", "current", folder=tmp_path)
    assert other.returncode == 1
    assert "is completed; run it again with: twingraph run" in other.stderr


def test_a_cancelled_execution_may_be_cancelled_again(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    ended = command("flow.py", folder=tmp_path, home=tmp_path / "home")
    assert (ended.returncode, ended.stdout) == (0, "cancelled\n"), ended.stderr


def test_a_broker_that_does_not_answer_is_told(tmp_path: Path) -> None:
    asked = run("status", "--broker", "redis://:word@127.0.0.1:1/0", folder=tmp_path)
    assert asked.returncode == 1
    assert "error: the broker at redis://:**@127.0.0.1:1/0 cannot be asked" in asked.stderr
    assert "word" not in asked.stderr
    assert "defect" not in asked.stderr
