"""What stands around a run and is undone after it: environment, working directory, alarms; and what it used.

Part of every run's cost, so each look is one cheap call. Python 3.8 syntax, standard library only.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import resource
import sys
import time
from typing import Any

# User code may put others in their place.
_getcwd, _chdir, _lseek, _pread, _putenv, _unsetenv = os.getcwd, os.chdir, os.lseek, os.pread, os.putenv, os.unsetenv
_getrusage, _process_time = resource.getrusage, time.process_time
_PAGE = os.sysconf("SC_PAGE_SIZE")
# Looking up the resident size costs as much as a small run; within this time the last answer is good enough.
_MEMORY_SECONDS = 0.005


# The audit events that come before a process is started.
STARTS = frozenset(
    ("subprocess.Popen", "os.system", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.exec", "pty.spawn")
)


def as_variable(value: str) -> bytes:
    """A name as an environment can hold it."""
    text = value.encode("utf-8", "surrogateescape")
    return text.replace(b"\0", b"?") if b"\0" in text else text


class Surroundings:
    """User code cannot leave them changed. The names of the run itself stay set until the next run has others."""

    def __init__(self) -> None:
        self._environ = os.environ
        self._now: Any = os.environ._data  # type: ignore[attr-defined]  # bytes to bytes
        self._kept = dict(self._now)
        self._folder = _getcwd()
        self._trace = sys.gettrace()
        self._path = sys.path
        self._entries = list(sys.path)
        self._last = ("", 0)

    def enter(self, execution: str, node: str, attempt: int, key: str, environment: Any) -> None:
        self._set(b"TWINGRAPH_NODE_ID", node)
        self._set(b"TWINGRAPH_IDEMPOTENCY_KEY", key)
        if (execution, attempt) != self._last:
            self._last = (execution, attempt)
            self._set(b"TWINGRAPH_EXECUTION_ID", execution)
            self._set(b"TWINGRAPH_ATTEMPT", str(attempt))
        for name, value in environment.items():
            os.environ[name] = str(value)

    def _set(self, name: bytes, value: str) -> None:
        text = as_variable(value)
        self._kept[name] = self._now[name] = text
        _putenv(name, text)

    def leave(self) -> None:
        os.environ = self._environ  # noqa: B003 - user code may have put another one in its place
        if self._now != self._kept:
            self._restore_environment()
        if sys.gettrace() is not self._trace:
            sys.settrace(self._trace)
        if sys.path is not self._path or len(sys.path) < len(self._entries):
            self._restore_path()
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        try:
            if _getcwd() != self._folder:
                _chdir(self._folder)
        except OSError:
            _chdir(self._folder if os.path.isdir(self._folder) else "/")

    def _restore_path(self) -> None:
        """Modules of the user may add to it; what was there stays."""
        found = [entry for entry in sys.path if entry not in self._entries]
        sys.path = self._path
        sys.path[:] = self._entries + found

    def _restore_environment(self) -> None:
        now, kept = self._now, self._kept
        for name in [name for name in now if name not in kept]:
            del now[name]
            _unsetenv(name)
        for name, value in kept.items():
            if now.get(name) != value:
                now[name] = value
                _putenv(name, value)


class Usage:
    """CPU seconds and resident bytes of this process. What passed between two runs counts for the second."""

    def __init__(self) -> None:
        self._cpu = self._cpu_so_far()
        self._statm = os.open("/proc/self/statm", os.O_RDONLY) if os.path.exists("/proc/self/statm") else -1
        self._looked = 0.0
        self._memory = 0

    def _cpu_so_far(self) -> float:
        children = _getrusage(resource.RUSAGE_CHILDREN)
        return _process_time() + children[0] + children[1]

    def cpu(self) -> float:
        """Seconds since the last call; children count when they have ended and were waited for."""
        before, self._cpu = self._cpu, self._cpu_so_far()
        return self._cpu - before

    def memory(self, now: float) -> int:
        if now - self._looked > _MEMORY_SECONDS and self._statm >= 0:
            self._looked = now
            try:
                self._memory = int(_pread(self._statm, 64, 0).split()[1]) * _PAGE
            except OSError:  # user code closed it
                self._statm = -1
        return self._memory


class Below:
    """Whether C code or a child process wrote to descriptors 1 and 2, which are files here."""

    def __init__(self) -> None:
        self._sizes = (0, 0)

    def written(self) -> Any:
        """The sizes of both, when they changed."""
        try:
            sizes = (_lseek(1, 0, 2), _lseek(2, 0, 2))
        except OSError:  # user code put something else there
            return None
        if sizes == self._sizes:
            return None
        self._sizes = sizes
        return sizes
