"""A script that was killed goes on by `twingraph resume`, without the script: from its recorded code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = """
import os, time
from twingraph import component, pipeline

@component
def step(n: int) -> int:
    with open("ran", "a") as file:
        file.write(f"{n} ")
    if n == 2 and not os.path.exists("second"):
        open("second", "w").close()
        time.sleep(60)
    return n * 10

@pipeline
def flow(k: int):
    print("starting")
    got = []
    for n in range(k):
        try:
            got.append(step(n))
        except ValueError:
            got.append(None)

    @component
    def late(x: int) -> int:
        return x + 1

    if not os.path.exists("died"):
        open("died", "w").close()
        os.kill(os.getpid(), 9)
    return int(late(sum(got)))

if __name__ == "__main__":
    print(flow(4))
"""


def test_a_killed_script_goes_on_in_another_process(tmp_path: Path) -> None:
    script = tmp_path / "flow.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "TWINGRAPH_HOME": str(tmp_path / "home")}
    first = subprocess.Popen([sys.executable, "flow.py"], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while not (tmp_path / "second").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    script.unlink()
    command = [sys.executable, "-m", "twingraph", "resume", "last"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=40)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().endswith("61")
    assert (tmp_path / "ran").read_text() == "0 1 2 2 3 "
