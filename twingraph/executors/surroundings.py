"""What stands around a run and is undone after it: environment, working directory, alarms, what a function changes of
its process; and what it used.

Part of every run's cost, so each look is one cheap call. Python 3.8 syntax, standard library only.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import os
import resource
import sys
import threading
import time
from typing import Any, Dict, List, Tuple

from twingraph.executors.context import loading

# User code may put others in their place.
_getcwd, _chdir, _lseek, _pread, _putenv, _unsetenv = os.getcwd, os.chdir, os.lseek, os.pread, os.putenv, os.unsetenv
_set_umask, _dup, _dup2, _fstat = os.umask, os.dup, os.dup2, os.fstat
_getsignal, _set_signal = _signal.getsignal, _signal.signal
_getrecursion, _setrecursion = sys.getrecursionlimit, sys.setrecursionlimit
_getswitch, _setswitch = sys.getswitchinterval, sys.setswitchinterval
_getrlimit, _setrlimit = resource.getrlimit, resource.setrlimit
_getrusage, _process_time = resource.getrusage, time.process_time
_TERM, _INT = int(_signal.SIGTERM), int(_signal.SIGINT)
_PAGE = os.sysconf("SC_PAGE_SIZE")
# Looking up the resident size costs as much as a small run; within this time the last answer is good enough.
_MEMORY_SECONDS = 0.005
# No file that somebody has just put in the place of ours is read from here.
_BEYOND = 1 << 20

# The audit events that come before a process is started.
STARTS = frozenset(
    ("subprocess.Popen", "os.system", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.exec", "pty.spawn")
)
# Those that come before a limit is set.
LIMITS = frozenset(("resource.setrlimit", "resource.prlimit"))


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
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        try:
            if _getcwd() != self._folder:
                _chdir(self._folder)
        except OSError:
            _chdir(self._folder if os.path.isdir(self._folder) else "/")

    def _restore_environment(self) -> None:
        now, kept = self._now, self._kept
        for name in [name for name in now if name not in kept]:
            del now[name]
            _unsetenv(name)
        for name, value in kept.items():
            if now.get(name) != value:
                now[name] = value
                _putenv(name, value)


class ProcessState:
    """What a function changes of its process is put back after it, for our own writing of its outputs and for the runs
    that come later.

    Put back is how things stood once its module was loaded: that happens once, so what the top of a module sets must
    hold for all its runs.
    """

    def __init__(self) -> None:
        self._logging: Any = None  # its manager, once somebody has imported it
        self._limits: Dict[int, Tuple[int, int]] = {}  # noqa: UP006 - those that somebody may have changed
        self.is_spent = False  # a limit stays lower than it was: no other node shall run under it
        self._kept = self.now()

    def watch_logging(self, logging: Any) -> None:
        self._logging = logging.root.manager

    def note_limit(self, event: str, arguments: Any) -> None:
        """Somebody sets a limit. What the top of a module sets is how things stand from then on."""
        which = arguments[0 if event == "resource.setrlimit" else 1]
        if loading:
            self._limits.pop(which, None)
        elif which not in self._limits:
            with contextlib.suppress(ValueError, TypeError, OSError):  # it is none
                self._limits[which] = _getrlimit(which)

    def now(self) -> List[Any]:  # noqa: UP006
        umask = _set_umask(0o077)  # there is no other way to ask
        _set_umask(umask)
        return [
            umask,
            _getrecursion(),
            _getswitch(),
            sys.excepthook,
            sys.unraisablehook,
            threading.excepthook,
            _getsignal(_TERM),
            _getsignal(_INT),
            0 if self._logging is None else self._logging.disable,
            list(sys.argv),
            sys.path,
            list(sys.path),
            sys.meta_path,
            list(sys.meta_path),
            sys.path_hooks,
            list(sys.path_hooks),
        ]

    def learn(self, before: Any) -> None:
        """A module was loaded: what has changed since `before` stays so; what runs beside have changed does not."""
        for place, (was, now) in enumerate(zip(before, self.now())):
            if was is not now and was != now:
                self._kept[place] = now

    def put_back(self) -> None:
        (
            umask, recursion, switch, uncaught, unraisable, in_thread, term, interrupt, disabled, argv,
            path, entries, finders, found, hooks, hooked,
        ) = self._kept  # fmt: skip
        _set_umask(umask)
        if _getrecursion() < recursion:  # one that was raised is needed still, to write down what is deep
            _setrecursion(recursion)
        try:
            if (
                sys.excepthook is uncaught
                and sys.unraisablehook is unraisable
                and threading.excepthook is in_thread
                and sys.path is path
                and path == entries
                and sys.meta_path is finders
                and finders == found
                and sys.path_hooks is hooks
                and hooks == hooked
                and sys.argv == argv
                and _getsignal(_TERM) is term
                and _getsignal(_INT) is interrupt
                and _getswitch() == switch
                and (self._logging is None or self._logging.disable == disabled)
                and not self._limits
            ):
                return
        except Exception:  # something is gone, or cannot be compared
            pass
        self._make_right()

    def _make_right(self) -> None:
        kept = self._kept
        if self._limits:
            self._put_limits_back()
        _setswitch(kept[2])
        sys.excepthook, sys.unraisablehook, threading.excepthook = kept[3:6]
        for number, handler in ((_TERM, kept[6]), (_INT, kept[7])):
            if handler is not None and _getsignal(number) is not handler:
                _set_signal(number, handler)
        if self._logging is not None:
            with contextlib.suppress(Exception):  # user code took it apart
                if self._logging.disable != kept[8]:
                    self._logging.disable = kept[8]
                    self._logging._clear_cache()
        sys.argv = list(kept[9])
        for place, name in ((10, "path"), (12, "meta_path"), (14, "path_hooks")):
            kept[place + 1] = _with_all(kept[place], kept[place + 1], getattr(sys, name, ()))
            setattr(sys, name, kept[place])

    def _put_limits_back(self) -> None:
        limits, self._limits = self._limits, {}
        for which, (soft, hard) in limits.items():
            now = _getrlimit(which)
            if now == (soft, hard):
                continue
            try:
                _setrlimit(which, (soft, hard))
            except (ValueError, OSError):  # few may raise a hard limit
                self.is_spent = True
                with contextlib.suppress(ValueError, OSError):  # for what is still to be written
                    _setrlimit(which, (now[1], now[1]))
        self._limits.clear()  # of what we have set ourselves


def _with_all(kept: List[Any], entries: List[Any], now: Any) -> List[Any]:  # noqa: UP006
    """Modules of the user may add to a list of the importer; what was there stays. Gives what is there from now on."""
    with contextlib.suppress(Exception):  # it is no list any more, or its entries cannot be compared
        gone = [entry for entry in entries if entry not in now and not getattr(entry, "is_over", False)]
        new = list(now) if not gone else entries + [entry for entry in now if entry not in entries]
        kept[:] = new
        return new
    kept[:] = entries
    return list(entries)


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
    """Whether C code or a child process wrote to descriptors 1 and 2, which are files here, and are put back."""

    def __init__(self) -> None:
        self._sizes = (0, 0)
        # Of their own numbers: what is written to the files is told also when user code has put others in their place.
        self._out, self._err = _dup(1), _dup(2)
        self._files = {1: _file(self._out), 2: _file(self._err)}

    def written(self) -> Any:
        """The sizes of both, when they changed."""
        try:
            sizes = (_lseek(self._out, _BEYOND, 2), _lseek(self._err, _BEYOND, 2))
        except OSError:  # user code closed them, or put something else there
            return None
        if sizes == self._sizes:
            return None
        self._sizes = sizes
        return sizes[0] - _BEYOND, sizes[1] - _BEYOND

    def files(self) -> Tuple[Any, Any]:  # noqa: UP006
        return _file(1), _file(2)

    def learn(self, before: Tuple[Any, Any]) -> None:  # noqa: UP006
        """A module was loaded: what it has put there stays."""
        for descriptor, was, now in zip((1, 2), before, self.files()):
            if was != now:
                self._files[descriptor] = None

    def put_back(self) -> None:
        """After `written`, which has moved a place that belongs to the file: who has the same place has our file. They
        are opened for appending, so that nobody writes there."""
        try:
            if _lseek(1, 0, 1) == self._sizes[0] and _lseek(2, 0, 1) == self._sizes[1]:
                return
        except OSError:  # it is closed, or something that has no place
            pass
        for descriptor, ours in ((1, self._out), (2, self._err)):
            with contextlib.suppress(OSError):
                if _file(ours) == self._files[descriptor] != _file(descriptor):
                    _dup2(ours, descriptor)


def _file(descriptor: int) -> Any:
    try:
        found = _fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino
