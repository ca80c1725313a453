"""One worker process as the pool holds it: what it was given, what it says, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from twingraph.core.errors import CodecError
from twingraph.core.records import ErrorRecord
from twingraph.dispatch import spawner
from twingraph.dispatch.base import Lane, NodeRun
from twingraph.dispatch.embedded import protocol
from twingraph.dispatch.embedded.admission import NOTHING
from twingraph.dispatch.embedded.capturing import CapturedFile
from twingraph.dispatch.strays import end_strays
from twingraph.executors.marks import Marks
from twingraph.executors.mask import Flow, Mask

# What a pipe holds. The system maps and unmaps a much larger buffer for each reading, which costs more
# than a small node does.
_READ = 1 << 16
# A recalled run that began in this moment stays; afterwards both sides agree.
RECALL_SECONDS = 0.002
# A closed pipe without an exit after this long: user code closed it.
HANG_UP_SECONDS = 0.05
CLOSED_DESCRIPTORS = "the component closed file descriptors that are not its own"


class Held:
    """A run in a worker's hands. `wish`: what becomes of it if it has not begun: 'return', 'cancel' or None."""

    __slots__ = ("announced", "lane", "peak", "run", "wish")

    def __init__(self, lane: Lane, run: NodeRun) -> None:
        self.lane = lane
        self.run = run
        self.wish: str | None = None
        self.announced = False
        self.peak = 0


class Doom(NamedTuple):
    """Why we killed a worker: the run it is about and the ending that this run gets."""

    number: int
    status: str
    error: ErrorRecord


class Owner(Protocol):
    """Who is told. All on the loop, none re-entered."""

    def ended(self, worker: WorkerProcess, held: Held, head: list[Any], texts: list[str]) -> None: ...
    def gave(self, worker: WorkerProcess, held: Held, head: list[Any], texts: list[str]) -> None: ...
    def returned(self, worker: WorkerProcess, held: list[Held]) -> None: ...
    def said(self, held: Held, lines: list[Any]) -> None: ...
    def ready(self, worker: WorkerProcess) -> None: ...
    def exited(self, worker: WorkerProcess, returncode: int) -> None: ...


class WorkerProcess:
    def __init__(self, loop: asyncio.AbstractEventLoop, owner: Owner, started: spawner.Started, hello: bytes) -> None:
        self._loop = loop
        self._owner = owner
        self._started = started
        self._process = started.process
        self.pid = started.process.pid
        self.name = f"pid-{self.pid}"
        self.mark = started.mark
        self.marks = Marks(started.shared)
        self.pending: dict[int, Held] = {}
        self.lanes = 0
        self.is_ready = False
        self.doom: Doom | None = None
        self.fault: str | None = None  # why we killed it though nobody wished it
        self.retired = False
        self.runs = 0
        self.memory = 0
        self.need = NOTHING
        self.entry: str | None = None  # of the lane that it was given last
        self.idle_since = time.monotonic()
        self.captured = (CapturedFile(started.captured[0]), CapturedFile(started.captured[1]))
        self._secrets: set[str] = set()
        self.mask: Mask | None = None  # of all secrets that it was ever given
        self._next = 1
        self._recalling = False
        self._parser = protocol.Parser(self._message)
        self._outgoing = bytearray()
        self._gone = False
        self._pidfd: int | None = None
        loop.add_reader(started.outgoing, self._readable)
        with contextlib.suppress(OSError, AttributeError):  # an old kernel: the end of the pipe tells
            self._pidfd = os.pidfd_open(self.pid)
            loop.add_reader(self._pidfd, self._ended)
        self._write(hello)

    # -- giving ----------------------------------------------------------------------------------

    def give(self, lane: Lane, runs: list[NodeRun]) -> None:
        numbered = list(enumerate(runs, self._next))
        self._next += len(numbered)
        for number, run in numbered:
            self.pending[number] = Held(lane, run)
        self.lanes += 1
        self.entry = lane.settings.entry
        if lane.secrets:
            self._hide(lane.secrets)
        self._write(protocol.lane_message(lane, numbered))

    def _hide(self, values: Sequence[str]) -> None:
        """What it and its children write below Python's streams is read here, and hidden here."""
        known = self._secrets
        if not known.issuperset(values):
            known.update(values)
            self.mask = Mask(known)
            for file in self.captured:
                file.hide(Flow(self.mask.raw))

    def tail(self) -> str:
        """The end of what was written to its standard error."""
        return self.captured[1].tail() if self.mask is None else self.mask(self.captured[1].tail())

    def _write(self, data: bytes) -> None:
        if not self._outgoing:
            try:
                sent = os.write(self._started.incoming, data)
            except BlockingIOError:
                sent = 0
            except OSError:  # it is dying; its exit is told apart
                return
            if sent == len(data):
                return
            data = data[sent:]
            self._loop.add_writer(self._started.incoming, self._writable)
        self._outgoing += data

    def _writable(self) -> None:
        try:
            del self._outgoing[: os.write(self._started.incoming, self._outgoing[: 1 << 20])]
        except BlockingIOError:
            return
        except OSError:
            self._outgoing.clear()
        if not self._outgoing:
            self._loop.remove_writer(self._started.incoming)

    # -- hearing ---------------------------------------------------------------------------------

    def _readable(self) -> bool:
        """Take what is there. False at the end of the pipe."""
        while True:
            try:
                data = os.read(self._started.outgoing, _READ)
            except BlockingIOError:
                return True
            except OSError:
                data = b""
            if not data:
                self._loop.remove_reader(self._started.outgoing)
                if not self._gone:
                    self._loop.call_later(HANG_UP_SECONDS, self._hung_up)
                return False
            try:
                self._parser.feed(data)
            except (CodecError, ValueError, IndexError, KeyError, TypeError):  # user code wrote to our descriptor
                self.fault = "the component wrote to the pool's own pipe"
                self.kill()
                return True
            if len(data) < _READ:
                return True

    def _message(self, head: list[Any], texts: list[str]) -> None:
        kind = head[0]
        if kind == "o":
            held = self.pending.pop(head[1], None)
            if held is not None:
                self._learn(head)
                self._owner.ended(self, held, head, texts)
        elif kind == "l":
            held = self.pending.get(head[1])
            if held is not None:
                self._owner.said(held, head[2])
        elif kind == "i":
            held = self.pending.get(head[1])
            if held is not None:
                self._owner.gave(self, held, head, texts)
        elif kind == "r":
            found = [held for number in head[1] if (held := self.pending.pop(number, None)) is not None]
            if found:
                self._owner.returned(self, found)
        elif kind == "h":
            self.is_ready = True
            self._owner.ready(self)

    def _learn(self, head: list[Any]) -> None:
        self.runs += 1
        self.memory = head[6]
        if not self.pending:
            self.lanes = 0
            self.idle_since = time.monotonic()
        elif self.lanes > 1 and len(self.pending) <= 64:
            self.lanes = 1

    # -- the run that is going on ----------------------------------------------------------------

    def current(self) -> tuple[int, Held] | None:
        number = self.marks.begun
        held = self.pending.get(number)
        return None if held is None else (number, held)

    def recall(self) -> None:
        """Everything that has not begun comes back through `returned`, without the worker's help."""
        if self._recalling or self._gone:
            return
        self._recalling = True
        self.marks.recall(self.marks.begun + 1, self._next)
        self._loop.call_later(RECALL_SECONDS, self._finish_recall, self._next)

    def _finish_recall(self, high: int) -> None:
        self._recalling = False
        if self._gone:
            return
        begun = self.marks.begun
        numbers = [number for number in self.pending if begun < number < high]
        found = [self.pending.pop(number) for number in numbers]
        self.lanes = min(self.lanes, 1)
        if found:
            self._owner.returned(self, found)

    def kill(self, doom: Doom | None = None) -> None:
        """At once, with all its children. What was begun gets the ending of `doom`."""
        if self.doom is None:
            self.doom = doom
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _hung_up(self) -> None:
        """Its pipe is closed. An exit is told by then; a process that goes on can be heard no more."""
        if not self._gone and self._process.poll() is None:
            self.fault = CLOSED_DESCRIPTORS
            self.kill()
        self._ended()

    def _ended(self) -> None:
        """The process is gone; nothing of its group shall survive."""
        if self._gone:
            return
        returncode = self._process.poll()
        if returncode is None:
            self._loop.call_later(0.002, self._ended)
            return
        self._gone = True
        self._readable()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.current() is not None:  # what a finished run has detached on purpose goes on
            end_strays([self.mark])
        self._owner.exited(self, returncode)
        self._release()

    def _release(self) -> None:
        self._loop.remove_reader(self._started.outgoing)
        self._loop.remove_writer(self._started.incoming)
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
        self.marks.close()
        os.close(self._started.shared)
        for file in self.captured:
            file.close()
        for descriptor in (self._started.incoming, self._started.outgoing, self._started.life):
            spawner.close(descriptor)

    def stop(self) -> None:
        """Kill and forget; nobody is told."""
        if self._gone:
            return
        self._gone = True
        self.kill()
        self._process.wait()
        self._release()
