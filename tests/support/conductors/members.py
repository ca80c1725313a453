"""The processes with conductors, as their parent handles them."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[3]


class Member:
    """One process. What it was told to start and has not said to be recorded is `open`."""

    def __init__(self, place: int, life: int, url: str, folder: Path, seconds: float) -> None:
        self.writer = f"member-{place}-{life}"
        self.open: set[int] = set()
        self.recorded: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        self.ready = threading.Event()
        self.asleep = False
        self.killed_at: float | None = None
        surroundings: Mapping[str, str] = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "TWINGRAPH_HOME": str(folder / "home"),
            "TWINGRAPH_DATABASE_URL": f"{url}?application_name={self.writer}",
            "TWINGRAPH_WORKERS": "3",
        }
        self._words = (folder / f"{self.writer}.log").open("wb")
        command = [sys.executable, "-m", "tests.support.conductors.member", str(folder / "effects"), str(seconds)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words, env=surroundings, cwd=ROOT
        )
        assert self.process.stdout is not None
        threading.Thread(target=self._listen, args=(self.process.stdout,), daemon=True).start()

    def _listen(self, lines: IO[bytes]) -> None:
        if next(iter(lines), b"") == b"ready\n":
            self.ready.set()
        for line in lines:
            key, execution = line.decode().split()
            self.recorded.put((int(key), execution))
        lines.close()

    def start(self, key: int) -> None:
        self.open.add(key)
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has died; what became of the key is looked up in the end
            self.process.stdin.write(f"{key}\n".encode())
            self.process.stdin.flush()

    def heard(self) -> dict[int, str]:
        """What was recorded since the last call."""
        found: dict[int, str] = {}
        while not self.recorded.empty():
            key, execution = self.recorded.get()
            found[key] = execution
            self.open.discard(key)
        return found

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.killed_at = time.time()
        self.process.kill()
        self.forget()

    def sleep(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        self.asleep = True

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.asleep = False

    def end(self) -> None:
        if self.asleep:
            self.wake()
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.forget()

    def forget(self) -> None:
        self.process.wait(20)
        for stream in (self.process.stdin, self._words):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
