"""Silence for one thread: what a body prints or logs while it is followed is nobody's business."""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_silent = threading.local()
_lock = threading.Lock()
_users = 0
_before: dict[str, Any] = {}
# Kept a while: `print` of another thread may be writing to one when it is taken out.
_made: deque[Any] = deque(maxlen=64)


class _Stream:
    """A stream that is deaf to silent threads."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if getattr(_silent, "on", False) else self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        if not getattr(_silent, "on", False):
            self._stream.writelines(lines)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _handle(logger: logging.Logger, record: logging.LogRecord) -> None:
    if not getattr(_silent, "on", False):
        _before["handle"](logger, record)


@contextmanager
def quiet() -> Iterator[None]:
    """For the calling thread; other threads are heard as before."""
    _begin()
    _silent.on = True
    try:
        yield
    finally:
        _silent.on = False
        _end()


def _begin() -> None:
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _before.update(out=sys.stdout, err=sys.stderr, handle=logging.Logger.handle)
            streams = _Stream(sys.stdout), _Stream(sys.stderr)
            _made.extend(streams)
            sys.stdout, sys.stderr = streams
            logging.Logger.handle = _handle  # type: ignore[method-assign,assignment]


def _end() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users:
            return
        # Whoever has put another stream in our place meanwhile keeps it.
        if isinstance(sys.stdout, _Stream):
            sys.stdout = _before["out"]
        if isinstance(sys.stderr, _Stream):
            sys.stderr = _before["err"]
        logging.Logger.handle = _before["handle"]  # type: ignore[method-assign]
