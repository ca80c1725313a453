"""Bodies come and go while other threads of the program print."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PRINTS = """
import sys, threading
from twingraph.sdk.body.speaking import speaking

class Sink:
    def write(self, text):
        return len(text)
    def flush(self):
        pass

def talk():
    while not over.is_set():
        print("a", "b", "c")

sys.stdout = Sink()
sys.setswitchinterval(1e-6)
over = threading.Event()
talkers = [threading.Thread(target=talk) for _ in range(2)]
for talker in talkers:
    talker.start()
for _ in range(20_000):
    speaking.begin()
    speaking.end(None)
over.set()
for talker in talkers:
    talker.join()
"""


def test_who_prints_meanwhile_does_not_take_the_process_down(tmp_path: Path) -> None:
    """`print` holds no reference to the stream that it writes to."""
    around = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", PRINTS]
    done = subprocess.run(command, env=around, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stderr) == (0, "")
