"""How other threads reach a loop: what they ask is done there in order, and refused once the door is closed."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable


class Door:
    """Every ask is either done or refused, also when the loop ends at that very moment. `served` is called whenever
    nothing more is asked just now: what is better done for several at once waits for that."""

    def __init__(self, served: Callable[[], None] = lambda: None) -> None:
        self._served = served
        self._decided = threading.Event()  # it is open, or will never be
        self._gate = threading.Lock()
        self._asked: deque[tuple[Callable[[], None], Callable[[], None]]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._called = False

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._decided.set()

    @property
    def is_open(self) -> bool:
        return self._loop is not None

    def close(self) -> None:
        """From the loop's thread: refuse what has not been begun, and whatever comes."""
        with self._gate:
            self._loop = None
            left, self._asked = self._asked, deque()
        self._decided.set()
        for _, refuse in left:
            refuse()

    def ask(self, act: Callable[[], None], refuse: Callable[[], None]) -> None:
        self._decided.wait()
        with self._gate:
            if self._loop is not None:
                self._asked.append((act, refuse))
                self._loop.call_soon_threadsafe(self._serve)
                return
        refuse()

    def end_loop(self, timeout: float) -> None:
        """Ask the loop to stop, if it has not done so by itself."""
        if self._decided.wait(timeout) and (loop := self._loop) is not None:
            self.ask(loop.stop, lambda: None)

    def _serve(self) -> None:
        if self._asked:
            self._asked.popleft()[0]()
            if not self._asked:
                self._served()
            elif not self._called and self._loop is not None:  # more may always come before these are through
                self._called = True
                self._loop.call_soon(self._serve_late)

    def _serve_late(self) -> None:
        self._called = False
        self._served()
