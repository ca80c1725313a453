"""When this process is killed, its workers die with it by the kernel's hand. What they started and what has left their
group does not: for that a small process is left behind, as soon as a worker has started anything at all."""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys

from twingraph.dispatch import spawner
from twingraph.dispatch.strays import MARK

# Waits for the end of its input. A word before it: all went well, and nobody is to be looked for.
_PROGRAM = """
import os, signal, sys, time
wanted = sys.argv[1].encode()
if os.read(0, 1) == b"":
    for _ in range(20):
        for name in os.listdir("/proc"):
            try:
                with open("/proc/" + name + "/environ", "rb") as file:
                    if name.isdigit() and any(one.startswith(wanted) for one in file.read().split(b"\\0")):
                        os.kill(int(name), signal.SIGKILL)
            except OSError:
                continue
        time.sleep(0.1)
"""
_posted: dict[int, int] = {}  # by process, since a fork has none: the end of its pipe


def post() -> None:
    """Called on the loop as often as one likes. The process is started in the spawner's thread."""
    if os.getpid() not in _posted and sys.platform == "linux":
        _posted[os.getpid()] = -1
        spawner.in_spawner_thread(_start)


def _start() -> None:
    with contextlib.suppress(OSError):
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, f"{MARK}={spawner.family()}"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, cwd="/",
        )  # fmt: skip
        assert process.stdin is not None
        descriptor = os.dup(process.stdin.fileno())
        process.stdin.close()
        spawner.keep(descriptor)
        process.returncode = 0  # it is waited for by nobody: it ends with us
        _posted[os.getpid()] = descriptor


@atexit.register
def _dismiss() -> None:
    descriptor = _posted.pop(os.getpid(), -1)
    if descriptor >= 0:
        with contextlib.suppress(OSError):
            os.write(descriptor, b"q")
