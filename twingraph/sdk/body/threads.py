"""Threads for bodies. Some that have become free wait for the next: starting one costs more than most bodies."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

W = TypeVar("W")

# So many are kept waiting.
SPARE = 8
_SPARE_NAME = "twingraph-spare"


class Threads(Generic[W]):
    """`run(work)` on a thread, each time in a context of its own as on a new one."""

    def __init__(self, run: Callable[[W], None]) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._spare = 0
        self._given: SimpleQueue[tuple[W, str]] = SimpleQueue()

    def start(self, work: W, name: str) -> None:
        with self._lock:
            if self._spare:
                self._spare -= 1
                self._given.put((work, name))
                return
        threading.Thread(target=self._serve, args=(work, name), name=name, daemon=True).start()

    def _serve(self, work: W, name: str) -> None:
        thread = threading.current_thread()
        while True:
            thread.name = name
            contextvars.Context().run(self._run, work)
            del work
            thread.name = _SPARE_NAME
            with self._lock:
                if self._spare >= SPARE:
                    return
                self._spare += 1
            work, name = self._given.get()
