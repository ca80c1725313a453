"""File locks between processes: the one module that knows how each system does it.

A lock dies with its process, however it ends. That makes it the proof that a process is alive.
"""

from __future__ import annotations

import os
import sys
import weakref
from pathlib import Path

if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
    import msvcrt

    def _lock(descriptor: int, *, shared: bool, wait: bool) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        """Closing it does."""

else:
    import fcntl

    def _lock(descriptor: int, *, shared: bool, wait: bool) -> bool:
        flags = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, flags if wait else flags | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        """For all who share it: a child that is just being started has it until it runs its own program."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class FileLock:
    """A lock on one file, shared or alone. Released by `release` or by the end of the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        _made.add(self)

    def take(self, *, shared: bool = False, wait: bool = True) -> bool:
        """Whether the lock is ours now. Taking it again changes its kind."""
        if self._descriptor is None:
            # Not inheritable: a child that outlives us must not look like us.
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return _lock(self._descriptor, shared=shared, wait=wait)

    def release(self) -> None:
        if self._descriptor is not None:
            _unlock(self._descriptor)
            self.forget()

    def forget(self) -> None:
        """Close it, and leave the lock to those who share it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_made: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _let_go_in_child() -> None:
    """A forked child shares the lock itself and must not keep it when its parent is gone. Closing frees nothing."""
    for lock in _made:
        lock.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


def is_held(path: Path) -> bool:
    """Whether some living process holds the lock of this file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who ask at once do not take each other for the holder.
        return not _lock(descriptor, shared=True, wait=False)
    finally:
        os.close(descriptor)
