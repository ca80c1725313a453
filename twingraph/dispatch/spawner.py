"""Starts processes from one thread that lives as long as this process, so that no loop waits for a start."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from twingraph.dispatch.strays import MARK
from twingraph.executors.marks import LEAST, SIZE

_ROOT = str(Path(__file__).parents[2])
# Whatever lies in the user's folder, the worker's own imports come from where twingraph and its Python are.
_BEGIN = (
    "import sys; sys.path[:] = [p for p in sys.path if p]; sys.path.append({root!r}); "
    "from {main} import main; main({fds})"
)
WORKER = "twingraph.executors.worker"


class Started(NamedTuple):
    """A process, and this side's ends of what joins us."""

    process: subprocess.Popen[bytes]
    incoming: int  # we write
    outgoing: int  # we read
    life: int  # its end here keeps the process alive
    shared: int
    captured: tuple[int, int]  # what it and its children write to their descriptors 1 and 2
    mark: str  # in its environment and that of its children


class _Spawner:
    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="twingraph-spawner", daemon=True).start()

    def _work(self) -> None:
        while True:
            self.jobs.get()()


_current: dict[int, _Spawner] = {}
_kept: set[int] = set()


def _close_in_child() -> None:
    """A forked child of the user's program must not keep our workers alive."""
    for descriptor in _kept:
        try:
            os.close(descriptor)
        except OSError:
            continue
    _kept.clear()
    _current.clear()
    _ahead.clear()


os.register_at_fork(after_in_child=_close_in_child)


def in_spawner_thread(job: Callable[[], None]) -> None:
    spawner = _current.get(os.getpid())
    if spawner is None:
        spawner = _current[os.getpid()] = _Spawner()
    spawner.jobs.put(job)


_families: dict[int, str] = {}


def family() -> str:
    """How the marks of all processes begin that this one starts."""
    return _families.setdefault(os.getpid(), f"{os.getpid()}-{os.urandom(4).hex()}-")


def keep(descriptor: int) -> None:
    """It ends with this process and is closed in its forks."""
    _kept.add(descriptor)


class _Ahead(NamedTuple):
    interpreter: str
    folder: str
    environment: dict[str, str]
    started: Started


_ahead: list[_Ahead] = []


def start_ahead(interpreter: str = "", folder: str = "") -> None:
    """Start a process for this interpreter and folder, or for ours, before anybody has asked: who runs something will
    need one, and it comes up on another core while this one still imports. Whoever asks first takes it."""
    in_spawner_thread(partial(_start_ahead, interpreter or sys.executable, folder or os.getcwd()))


def _start_ahead(interpreter: str, folder: str) -> None:
    environment = _environment()
    if any(one[:3] == (interpreter, folder, environment) and one.started.process.poll() is None for one in _ahead):
        return
    with contextlib.suppress(OSError):  # who asks in earnest is told
        _ahead.append(_Ahead(interpreter, folder, environment, spawn(interpreter, folder)))


def take(interpreter: str, folder: str) -> Started:
    """The process that was started ahead, or a new one. In the spawner's thread."""
    for one in _ahead:
        if one[:2] == (interpreter, folder) and one.started.process.poll() is None:
            if one.environment != _environment():  # the program has set a variable since it imported us
                break
            _ahead.remove(one)
            return one.started
    return spawn(interpreter, folder)


@atexit.register
def _dismiss() -> None:
    """Nobody asked for it."""
    while _ahead:
        started = _ahead.pop().started
        started.process.kill()
        started.process.wait()


def close(descriptor: int) -> None:
    _kept.discard(descriptor)
    os.close(descriptor)


def spawn(interpreter: str, folder: str, main: str = WORKER) -> Started:
    """Run `main` of that module, given its descriptors. OSError when the interpreter cannot be started or the folder is
    not there."""
    opened: list[int] = []
    theirs: list[int] = []
    try:
        their_in, incoming = _pipe(opened)
        outgoing, their_out = _pipe(opened)
        their_life, life = _pipe(opened)
        shared = _file(opened)
        try:
            os.ftruncate(shared, SIZE)
        except OSError:  # files may not be so large here
            os.ftruncate(shared, LEAST)
        captured = (_file(opened, append=True), _file(opened, append=True))
        theirs = [their_in, their_out, their_life]
        fds = f"{their_in}, {their_out}, {their_life}, {shared}"
        mark = family() + os.urandom(8).hex()
        settings: dict[str, Any] = {"start_new_session": True, "cwd": folder or None, "stdin": subprocess.DEVNULL}
        process = subprocess.Popen(
            [interpreter, "-c", _BEGIN.format(root=_ROOT, main=main, fds=fds)],
            pass_fds=(*theirs, shared),
            stdout=captured[0],
            stderr=captured[1],
            env={**_environment(), MARK: mark},
            **settings,
        )
    except BaseException:
        for descriptor in opened:
            os.close(descriptor)
        raise
    for descriptor in theirs:
        os.close(descriptor)
    os.set_blocking(incoming, False)
    os.set_blocking(outgoing, False)
    _kept.update((incoming, outgoing, life))
    return Started(process, incoming, outgoing, life, shared, captured, mark)


def _environment() -> dict[str, str]:
    """Ours, without what opens every secret: a run is given those that it names, and no others."""
    return {
        name: text
        for name, text in os.environ.items()
        if not name.startswith("TWINGRAPH_SECRET_") and name != "VAULT_TOKEN"
    }


def _pipe(opened: list[int]) -> tuple[int, int]:
    reading, writing = os.pipe()
    opened += (reading, writing)
    return reading, writing


def _file(opened: list[int], append: bool = False) -> int:
    """A file without a name."""
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_APPEND if append else 0)
    try:
        descriptor = os.open(os.environ.get("TMPDIR", "/tmp"), flags | os.O_TMPFILE, 0o600)
    except (OSError, AttributeError):  # not on this file system, not on this kind of machine
        descriptor = _unlinked_file(flags)
    opened.append(descriptor)
    return descriptor


def _unlinked_file(flags: int) -> int:
    import tempfile  # brings much along, and is seldom needed

    descriptor, path = tempfile.mkstemp(prefix="twingraph-")
    try:
        os.close(descriptor)
        return os.open(path, flags)
    finally:
        os.unlink(path)
