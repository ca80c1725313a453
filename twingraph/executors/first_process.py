"""The first process of a container: it starts the node's, bounds it, outlives it and tells how it ended.

Python 3.8, standard library only. It is its own, because what user code does to its process (an exit, a segfault, all
memory used up) must not end the one that can tell. Its folder holds

    run.py          this, with all that it needs, as one file
    payload.json    the run: entry, arguments, environment, secrets, time limit; read and removed at once
    bundle.json     the code
    blobs/          large parts of the arguments, by content hash
    out/answer      how the run ended: a line of JSON, then the outputs' texts, a line each
    out/ending      how its process ended, as JSON
    out/blobs/      large parts of the outputs

The last frame repeats the ending, with the answer where that is small.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Any, Dict, Iterable, Optional

from twingraph.core.codec_base import dumps, loads
from twingraph.executors.contained import Contained
from twingraph.executors.frames import FrameWriter

# Between asking a process to end and ending it.
GRACE_SECONDS = 1.0
# An answer of so many bytes travels with the last frame.
SMALL = 65536
_EVENTS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
_PEAKS = ("/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes")


def main(folder: str) -> None:
    payload = os.path.join(folder, "payload.json")
    with open(payload, encoding="utf-8") as file:
        given = loads(file.read())
    with suppress(OSError):
        os.unlink(payload)
    frames = FrameWriter(os.dup(1), given["token"])
    first = FirstProcess(folder, given, frames)
    first.listen()
    began, begun = os.pipe()
    child = os.fork()
    if child == 0:
        _run_node(given, folder, frames, begun)
    os.close(begun)
    ending = first.watch(child, began)
    first.tell(ending)
    os._exit(ending["exit"] if ending["exit"] is not None else 128 + ending["signal"])


def _run_node(given: Any, folder: str, frames: FrameWriter, begun: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    import faulthandler

    faulthandler.enable(2)
    try:
        Contained(given, folder, frames, begun).carry_out()
    except BaseException:  # there is no room for an answer, or the folder is gone
        import traceback

        os.write(2, traceback.format_exc().encode("utf-8", "replace"))
        os._exit(1)
    os._exit(0)  # leaked threads of user code shall not keep it alive


class FirstProcess:
    def __init__(self, folder: str, given: Any, frames: FrameWriter) -> None:
        self._folder = folder
        self._timeout = given["timeout"]
        self._frames = frames
        self._woken = -1
        self._asked = False
        self._killed = _oom_kills()

    def listen(self) -> None:
        """Before there is anything to end: the first process of a container does not hear what it has no ear for."""
        self._woken, waker = os.pipe()
        os.set_blocking(waker, False)
        os.set_blocking(self._woken, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _ask(self, *_: Any) -> None:
        self._asked = True

    def watch(self, child: int, began: int) -> Dict[str, Any]:  # noqa: UP006
        """Until it has ended, which it does in time."""
        status: Optional[int] = None  # noqa: UP045
        used, doom, late, kill_at = 0.0, None, None, None
        ears = [self._woken, began]
        while True:
            for pid, how, usage in _ended():
                used += usage.ru_utime + usage.ru_stime
                if pid == child:
                    status = how
            if status is not None:
                break
            now = time.monotonic()
            if kill_at is not None and now >= kill_at:
                _end(child, signal.SIGKILL)
                kill_at = now + GRACE_SECONDS
            elif doom is None and (self._asked or (late is not None and now >= late)):
                doom = "cancelled" if self._asked else "timeout"
                _end(child, signal.SIGTERM)
                kill_at = now + GRACE_SECONDS
            due = [at for at in (kill_at, late if doom is None else None) if at is not None]
            heard = select.select(ears, [], [], max(0.0, min(due) - now) if due else None)[0]
            if self._woken in heard:
                os.read(self._woken, 4096)
            if began in heard:
                ears.remove(began)
                if os.read(began, 1) and self._timeout is not None:
                    late = time.monotonic() + self._timeout
        ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        return {
            "exit": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "signal": ended_by,
            "doom": doom,
            "cpu": used,
            "memory": _peak(),
            "oom": _oom_kills() - self._killed,
            "ended": time.time(),
        }

    def tell(self, ending: Dict[str, Any]) -> None:  # noqa: UP006
        out = os.path.join(self._folder, "out")
        with suppress(OSError), open(os.path.join(out, "ending"), "w", encoding="utf-8") as file:
            file.write(dumps(ending))
        answer = None
        with suppress(OSError):
            place = os.path.join(out, "answer")
            if os.path.getsize(place) <= SMALL:
                with open(place, encoding="utf-8") as file:
                    answer = file.read()
        made = os.path.exists(os.path.join(out, "blobs"))
        self._frames.send(dumps(["e", ending, answer, made]))


def _ended() -> Iterable[Any]:
    """What has ended, also of those whose parents have: the first process is everybody's in the end."""
    while True:
        try:
            found = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if found[0] == 0:
            return
        yield found


def _end(child: int, number: int) -> None:
    with suppress(OSError):
        os.killpg(child, number)
    if os.getpid() == 1 and number == signal.SIGKILL:  # all others here are its descendants
        with suppress(OSError):
            os.kill(-1, number)


def _oom_kills() -> int:
    for place in _EVENTS if os.getpid() == 1 else ():
        with suppress(OSError, ValueError), open(place) as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def _peak() -> int | None:
    """The most memory that the container had; of its processes where that is not told."""
    for place in _PEAKS if os.getpid() == 1 else ():
        with suppress(OSError, ValueError), open(place) as file:
            return int(file.read())
    import resource

    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return int(most * 1024 if sys.platform == "linux" else most)
