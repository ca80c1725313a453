"""Processes that user code took out of its worker's group: found by a mark that they inherited, and ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress

# In the environment of every worker, and so of all that it starts, however they detach themselves.
MARK = "TWINGRAPH_WORKER"


def end_strays(marks: Iterable[str], of: str | None = None) -> None:
    """`of`: only what the run with this idempotency key has started.

    Linux only; elsewhere nobody may read another process's environment. One look takes some milliseconds.
    """
    wanted = {f"{MARK}={mark}".encode() for mark in marks}
    key = None if of is None else f"TWINGRAPH_IDEMPOTENCY_KEY={of}".encode("utf-8", "surrogateescape")
    if wanted:
        for pid in _marked(wanted, key):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _marked(wanted: set[bytes], key: bytes | None) -> Iterator[int]:
    with suppress(OSError):
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            with suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                found = set(file.read().split(b"\0"))
                if wanted & found and (key is None or key in found):
                    yield int(name)
