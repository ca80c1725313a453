"""Locks between processes. A lock ends with whoever holds it, however that ends."""

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator


def take(path: Path, *, shared: bool = False, wait: bool = True) -> int:
    """The descriptor that holds the lock, or -1 when somebody else has it. Close it to let go."""
    descriptor = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return -1
    return descriptor


def is_held(path: Path) -> bool:
    if not path.exists():
        return False
    descriptor = take(path, shared=True, wait=False)
    if descriptor >= 0:
        os.close(descriptor)
    return descriptor < 0


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = take(path, shared=shared)
    try:
        yield
    finally:
        os.close(descriptor)
