"""Bodies beside a test: the real host with its threads, which compute one at a time."""

from __future__ import annotations

import threading
from collections import deque
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


class Gate:
    """Opens once, for one thread."""

    def __init__(self) -> None:
        self._shut = threading.Lock()
        self._shut.acquire()
        self.open, self.pass_through = self._shut.release, self._shut.acquire


class Board:
    """Whose turn it is: one body computes at a time, in the order in which they could go on, while the test's thread
    waits for it. So what they say comes in the same order however busy the machine is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: deque[Gate] = deque()
        self._rested = threading.Semaphore(0)
        self._free = False

    def line_up(self, gate: Gate) -> None:
        """Any thread: who waits at this gate can go on."""
        with self._lock:
            if not self._free:
                self._next.append(gate)
                return
        gate.open()

    def rest(self) -> None:
        """The body whose turn it is waits, or is over."""
        self._rested.release()

    def turn(self) -> bool:
        """The test's thread: let the next one compute until it rests. False: all do."""
        with self._lock:
            if not self._next:
                return False
            gate = self._next.popleft()
        try:
            gate.open()
            self._rested.acquire()
        except BaseException:  # the test was interrupted, and gives no more turns
            self._let_all_go()
            raise
        return True

    def _let_all_go(self) -> None:
        with self._lock:
            self._free = True
            left = list(self._next)
            self._next.clear()
        for gate in left:
            gate.open()


class Inbox(SimpleQueue[Any]):
    """Of one body: who takes from it while it is empty rests until something is put in and its turn has come."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._lock = threading.Lock()
        self._gate: Gate | None = None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        with self._lock:
            super().put(item)
            gate, self._gate = self._gate, None
        if gate is not None:
            self._board.line_up(gate)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        with self._lock:
            gate = self._gate = Gate() if self.empty() else None
        if gate is not None:
            self._board.rest()
            gate.pass_through()
        return super().get()


class InlineHost(BodyHost):
    """Its bodies compute when the board says so."""

    def __init__(self, link: Link, memory: Memory, board: Board, clock: Callable[[], float], *, evict: bool) -> None:
        super().__init__(link, memory, evict_when_idle=evict)
        self.clock = clock
        self.make_inbox = lambda: Inbox(board)
        self._board = board
        self._gates: dict[Place, Gate] = {}

    def _start(self, place: Place) -> None:
        gate = self._gates[place] = Gate()
        super()._start(place)
        self._board.line_up(gate)

    def _run(self, place: Place) -> None:
        self._gates.pop(place).pass_through()
        try:
            super()._run(place)
        finally:
            self._board.rest()
