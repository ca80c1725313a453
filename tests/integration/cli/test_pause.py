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
from twingraph import component, pipeline, wait_for_signal

@component
def double(n: int) -> int:
    return 2 * n

@pipeline
def answered() -> int:
    return double(wait_for_signal("go"))

print(answered())
"""


@pytest.mark.usefixtures("home")
def test_another_process_is_paused_and_woken(tmp_path: Path) -> None:
    script = tmp_path / "answered.py"
    script.write_text(SCRIPT)
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}

    def tell(*words: str, check: bool = True) -> str:
        command = [sys.executable, "-m", "twingraph", *words]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=check).stdout

    running = subprocess.Popen([sys.executable, str(script)], env=environ, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while "waits for signal go" not in tell("show", "last", check=False) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert tell("pause", "last").startswith("paused exec-")
    assert "paused (requested)" in tell("show", "last")
    tell("signal", "last", "go", "4")
    assert tell("resume", "last").strip() == "8"
    assert running.communicate(timeout=30)[0].strip() == "8"
