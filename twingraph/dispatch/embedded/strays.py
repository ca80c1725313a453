"""Processes that user code took out of its worker's group: found by a mark that they inherited, and ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress

# In the environment of every worker, and so of all that it starts, however they detach themselves.
MARK = "TWINGRAPH_WORKER"


def end_strays(marks: Iterable[str]) -> None:
    """Linux only; elsewhere nobody may read another process's environment. One look takes some milliseconds."""
    wanted = [f"{MARK}={mark}".encode() for mark in marks]
    if wanted:
        for pid in _marked(wanted):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _marked(wanted: list[bytes]) -> Iterator[int]:
    with suppress(OSError):
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            with suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                if any(mark in wanted for mark in file.read().split(b"\0")):
                    yield int(name)
