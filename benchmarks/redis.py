"""A Redis of a system's own, below the process that is measured, so that all it costs is counted there."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

from tools.services.places import port_of
from tools.services.redis import Redis

VARIABLE = "TWINGRAPH_BROKER_URL"


def address(folder: Path) -> str:
    """Chosen before it runs: every process of the system is told."""
    folder.mkdir(parents=True, exist_ok=True)
    return f"redis://127.0.0.1:{port_of(folder)}/0"


def begin(url: str, folder: Path) -> subprocess.Popen[bytes]:
    """Runs with an append-only file, as a broker should, and answers."""
    service, port = Redis(folder), urlsplit(url).port
    assert port is not None
    if not service.installed():
        raise RuntimeError("Redis is not installed: python -m tools.services install redis")
    service.prepare()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(service.command(port), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    deadline = time.monotonic() + 30
    while not service.answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Redis does not answer; see {folder / 'log'}")
        time.sleep(0.02)
    return process
