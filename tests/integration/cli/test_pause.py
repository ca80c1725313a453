"""Pausing what another process carries out, and going on with it from a third one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = """
import time
from twingraph import component, pipeline

@component
def step(n: int) -> int:
    time.sleep(0.2)
    return n + 1

@pipeline
def count() -> int:
    n = 0
    while n < 8:
        n = step(n)
    return n

print(count())
"""


@pytest.mark.usefixtures("home")
def test_another_process_is_paused_and_woken(tmp_path: Path) -> None:
    script = tmp_path / "counting.py"
    script.write_text(SCRIPT)
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}

    def tell(*words: str) -> str:
        command = [sys.executable, "-m", "twingraph", *words]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True).stdout

    running = subprocess.Popen([sys.executable, str(script)], env=environ, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while '"running"' not in tell("executions", "--json") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert tell("pause", "last").startswith("paused exec-")
    assert "paused (requested)" in tell("show", "last")
    assert tell("resume", "last").strip() == "8"
    assert running.communicate(timeout=30)[0].strip() == "8"
