"""Workers behind a broker of their own, as on other machines: neither home nor database is shared, only the blob store,
the broker and a key."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.brokers import own_broker, url_of
from tools.services.base import Service

KEY = "a key that only tests have"
# What workers look up themselves; conductors have none of it.
SECRETS = {"TWINGRAPH_SECRET_TOKEN": "s3cr3t-token", "TWINGRAPH_SECRET_KEPT": "k3pt-value"}
READY_SECONDS = 30


@dataclass
class Worker:
    process: subprocess.Popen[bytes]
    log: Path

    def wait_ready(self) -> None:
        self.until("ready: worker serves")

    def until(self, words: str, seconds: float = READY_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while words not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def end(self, seconds: float = 40) -> int:
        self.process.terminate()
        return self.process.wait(seconds)


@dataclass
class Party:
    """A broker, a folder of blobs, and the workers that were begun."""

    folder: Path
    broker: Service
    workers: list[Worker] = field(default_factory=list)

    @property
    def surroundings(self) -> Mapping[str, str]:
        """Of conductors and workers alike."""
        return {
            "TWINGRAPH_BROKER_URL": url_of(self.broker),
            "TWINGRAPH_BLOB_URL": f"file://{self.folder}/blobs",
            "TWINGRAPH_WORKER_KEY": KEY,
        }

    def begin(self, *words: str, more: Mapping[str, str] | None = None, command: Sequence[str] | None = None) -> Worker:
        number = len(self.workers)
        given = {**self.surroundings, **SECRETS, "TWINGRAPH_HOME": f"{self.folder}/home-{number}", **(more or {})}
        outside = {name: value for name, value in os.environ.items() if not name.startswith("TWINGRAPH_")}
        log = self.folder / f"worker-{number}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                command or [sys.executable, "-m", "twingraph", "worker", *words],
                env={**outside, "PYTHONWARNINGS": "ignore", **given},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        worker = Worker(process, log)
        self.workers.append(worker)
        return worker


@contextmanager
def party(broker: str, folder: Path) -> Iterator[Party]:
    """Whoever was begun is ended with the block."""
    (folder / "blobs").mkdir(parents=True)
    with ExitStack() as last:
        made = Party(folder, last.enter_context(own_broker(broker)))
        try:
            yield made
        finally:
            for worker in made.workers:
                if worker.process.poll() is None:
                    worker.kill()
