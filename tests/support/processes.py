"""Processes that belong together, found by a mark in their environment, which children inherit whatever they do."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path


def marked(mark: str) -> list[tuple[int, str]]:
    """Number and command line of each that lives; a zombie does not."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                environment = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
                state = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[0]
                line = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if state != "Z" and any(mark.encode() in variable for variable in environment):
                found.append((int(name), line[:100]))
    return found


def alive(pid: int) -> bool:
    """Whether it lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def none_left(mark: str, seconds: float) -> list[tuple[int, str]]:
    """Those that still live when the time is over; returns as soon as there are none."""
    deadline = time.monotonic() + seconds
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def stop_all(mark: str) -> set[int]:
    """All of them stand still, also those that came up meanwhile."""
    stopped: set[int] = set()
    while new := {pid for pid, _ in marked(mark)} - stopped:
        for pid in new:
            _send(pid, signal.SIGSTOP)
        stopped |= new
    return stopped


def go_on(stopped: set[int]) -> None:
    for pid in stopped:
        _send(pid, signal.SIGCONT)


def kill_all(mark: str) -> None:
    """Whoever is left; some may be about to end by themselves."""
    for pid, _ in marked(mark):
        _send(pid, signal.SIGKILL)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
