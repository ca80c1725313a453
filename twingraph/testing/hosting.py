"""Bodies beside a test: the real host with its threads, and a way to know when all of them wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any

from twingraph.core import codec
from twingraph.core.bodies import Link
from twingraph.core.codec import Encoded
from twingraph.core.errors import NotFoundError
from twingraph.sdk.body.host import BodyHost, Place
from twingraph.sdk.sameness import name_body
from twingraph.sdk.value_classes import class_named
from twingraph.store.blobs.memory import MemoryBlobs

# Values that only pickle can write stay inside this process, so that the key keeps no secret.
KEY = b"values of a test"


class Memory:
    """Where the values of inline executions are, and the live code: a `sdk.body.host.World` and its coder."""

    def __init__(self) -> None:
        self.blobs = MemoryBlobs()
        self.bodies: dict[str, Any] = {}  # pipelines by entry
        self.objects: dict[tuple[str, str], Any] = {}  # what nodes run, by execution and entry

    # -- values ------------------------------------------------------------------------------------

    def encode(self, value: Any, path: str, special: dict[type, Callable[[Any], Any]] | None = None) -> Encoded:
        return codec.encode(
            value, blobs=self.blobs, pickle=True, key=KEY, path=path, named=self.class_name, special=special
        )

    def decode(self, text: str) -> Any:
        return codec.decode(text, blobs=self.blobs, classes=class_named, pickle=True, key=KEY)

    def class_name(self, kind: type) -> str:
        return f"{kind.__module__}:{kind.__qualname__}"

    # -- what surrounds the bodies -----------------------------------------------------------------

    def find(self, execution: str, entry: str, bundle: str | None) -> Callable[..., Any]:
        try:
            found: Callable[..., Any] = self.bodies[entry].fn
        except KeyError:
            raise NotFoundError(f"the pipeline {entry!r} was not found when {execution} began") from None
        return found

    def coder(self, execution: str) -> Memory:
        return self

    def locate(self, execution: str, objects: Mapping[str, Any]) -> str | None:
        self.objects.update({(execution, entry): target for entry, target in objects.items()})
        return None

    def body_entry(self, execution: str, pipeline: Any) -> str:
        return name_body(self.bodies, pipeline)

    def code_hash(self, execution: str, entry: str) -> str | None:
        """Code is not sliced here, and is known by its entry."""
        return None

    def forget(self, execution: str) -> None:
        """A test may still want to look."""


class Board:
    """How many bodies compute. Any thread."""

    def __init__(self, quiet: Callable[[], None]) -> None:
        self._busy = 0
        self._quiet = quiet  # called whenever the last one has come to rest
        self.lock = threading.Lock()

    def add(self, change: int) -> None:
        """With the lock held."""
        self._busy += change
        if not self._busy:
            self._quiet()

    @property
    def busy(self) -> bool:
        with self.lock:
            return self._busy > 0


class Inbox(SimpleQueue[Any]):
    """Of one body: who takes from it while it is empty is at rest until something is put in."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._rests = False

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        with self._board.lock:
            if self._rests:
                self._rests = False
                self._board.add(1)
            super().put(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        with self._board.lock:
            if self.empty():
                self._rests = True
                self._board.add(-1)
        return super().get()


class InlineHost(BodyHost):
    """Tells a board which of its bodies compute."""

    def __init__(self, link: Link, memory: Memory, board: Board, clock: Callable[[], float], *, evict: bool) -> None:
        super().__init__(link, memory, evict_when_idle=evict)
        self.clock = clock
        self.make_inbox = lambda: Inbox(board)
        self._board = board

    def _start(self, place: Place) -> None:
        with self._board.lock:
            self._board.add(1)
        super()._start(place)

    def _run(self, place: Place) -> None:
        try:
            super()._run(place)
        finally:
            with self._board.lock:
                self._board.add(-1)
