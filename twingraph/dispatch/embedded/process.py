"""One worker process as the pool holds it: what it was given, what it says, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from twingraph.dispatch import spawner
from twingraph.dispatch.base import Lane, NodeRun, Outcome
from twingraph.dispatch.embedded import protocol
from twingraph.dispatch.embedded.admission import NOTHING
from twingraph.dispatch.embedded.capturing import CapturedFile
from twingraph.dispatch.embedded.strand import Doom, Held, Strand
from twingraph.dispatch.strays import end_strays
from twingraph.executors.marks import FIRST, LANES, STEPS, Marks

if TYPE_CHECKING:
    from twingraph.executors.mask import Mask

# What a pipe holds. The system maps and unmaps a much larger buffer for each reading, which costs more
# than a small node does.
_READ = 1 << 16
# So often in one turn of the loop: a worker that writes as fast as it is read would keep all others waiting.
_READS = 2
# All together so long in one turn; what is not heard then is there in the next.
HEARING_SECONDS = 0.005
# A recalled run that began in this moment stays; afterwards both sides agree.
RECALL_SECONDS = 0.002
# A closed pipe without an exit after this long: user code closed it.
HANG_UP_SECONDS = 0.05
# Who has the loop of a shared process for so long keeps it.
KEEPS_SECONDS = 0.5
WROTE_TO_US = "the component wrote to file descriptors that are not its own"
CLOSED_DESCRIPTORS = "the component closed file descriptors that are not its own"


class Owner(Protocol):
    """Who is told. All on the loop, none re-entered."""

    def ended(self, worker: WorkerProcess, held: Held, outcome: Outcome, written: list[int] | None) -> None: ...
    def gave(self, worker: WorkerProcess, held: Held, start: int, began: float, texts: list[str]) -> None: ...
    def returned(self, worker: WorkerProcess, held: list[Held]) -> None: ...
    def said(self, held: Held, lines: list[Any]) -> None: ...
    def ready(self, worker: WorkerProcess) -> None: ...
    def exited(self, worker: WorkerProcess, returncode: int) -> None: ...


class Listening:
    """How long all processes together are heard in one turn of the loop: of dozens, each with much to say, the last
    would else keep everything else waiting. Who is not heard now is the first in the next turn. `soon` calls something
    first of all in that."""

    def __init__(self, soon: Callable[[Callable[[], None]], object], clock: Callable[[], float]) -> None:
        self._soon = soon
        self._clock = clock
        self._until: float | None = None  # of this turn, once somebody was heard in it
        self._waiting: dict[Callable[[], None], None] = {}

    def may(self, hear: Callable[[], None]) -> bool:
        """Whether there is time; else `hear` is called when there is."""
        now = self._clock()
        if self._until is None:
            self._until = now + HEARING_SECONDS
            self._soon(self._next_turn)
        if now > self._until:
            self._waiting[hear] = None
            return False
        self._waiting.pop(hear, None)
        return True

    def _next_turn(self) -> None:
        self._until = None
        for hear in list(self._waiting):
            hear()


class WorkerProcess:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        owner: Owner,
        started: spawner.Started,
        hello: bytes,
        listening: Listening,
        limit: int | None = None,
    ) -> None:
        """`limit`: it is given no more than so many runs."""
        self._loop = loop
        self._owner = owner
        self._listening = listening
        self._started = started
        self._process = started.process
        self.pid = started.process.pid
        self.name = f"pid-{self.pid}"
        self.mark = started.mark
        self.marks = Marks(started.shared)
        self.steps = self.marks.block(STEPS)
        self.pending: dict[int, Held] = {}
        self.lanes = 0
        self.is_shared = False  # lanes of asynchronous runs go beside each other in it
        self.is_stuck = False  # one of them keeps the loop for itself
        self.looked = 0.0
        self.open: dict[int, Strand] = {}  # these lanes, by their blocks
        self.is_ready = False
        self.doom: Doom | None = None
        self.fault: str | None = None  # why we killed it though nobody wished it
        self.retired = False
        self.due = False  # it is to be replaced as soon as another is ready
        self.runs = 0
        self._limit = sys.maxsize if limit is None else limit
        self.is_full = False  # with what it has, it has had all that it may run
        self.memory = 0
        self.need = NOTHING
        self.entry: str | None = None  # of the lane that it was given last
        self.idle_since = time.monotonic()
        self.captured = (CapturedFile(started.captured[0]), CapturedFile(started.captured[1]))
        self._secrets: set[str] = set()
        self.mask: Mask | None = None  # of all secrets that it was ever given
        self._next = 1
        self._one = Strand(0, self.marks, self.pending)
        self._blocks: dict[int, Marks] = {}
        self._free = list(range(FIRST + LANES - 1, FIRST - 1, -1))
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
        self.is_full = self.room <= 0
        self.is_shared = False
        self.entry = lane.settings.entry
        if lane.secrets:
            self._hide(lane.secrets)
        self._write(protocol.lane_message(lane, numbered))

    @property
    def room(self) -> int:
        """So many runs more may it be given."""
        return self._limit - self.runs - len(self.pending)

    @property
    def has_room(self) -> bool:
        """For one more lane beside the others."""
        return bool(self._free)

    def give_beside(self, lane: Lane, runs: list[NodeRun]) -> None:
        """A lane of asynchronous runs, which goes beside those that are open. Only while nothing else is pending."""
        block = self._free.pop()
        marks = self._blocks.get(block)
        if marks is None:
            marks = self._blocks[block] = self.marks.block(block)
        strand = self.open[block] = Strand(block, marks, {})
        numbered = list(enumerate(runs, self._next))
        self._next += len(numbered)
        for number, run in numbered:
            self.pending[number] = strand.pending[number] = Held(lane, run, strand)
        self.lanes = len(self.open)
        self.is_full = self.room <= 0
        self.is_shared = True
        self._write(protocol.lane_message(lane, numbered, block))

    def open_loop(self) -> None:
        """Have the loop ready before the first asynchronous run needs it."""
        self._write(protocol.loop_message(FIRST))

    def keeps_the_loop(self, number: int) -> bool:
        """Whether this run hears no request to end, since it lets nothing else go on."""
        begun, since = self.steps.begun, self.steps.since  # in this order: 0 is nobody's, and a later one is no older
        return begun == number and since != 0.0 and time.monotonic() - since > KEEPS_SECONDS

    def ask_to_end(self, doom: Doom, held: Held) -> None:
        """The run alone, not its neighbours. Who does not end is ended with the process, later."""
        if held.doom is None:
            held.doom, held.doomed_at = doom, time.monotonic()
            self._write(protocol.stop_message([doom.number]))

    def _hide(self, values: Sequence[str]) -> None:
        """What it and its children write below Python's streams is read here, and hidden here."""
        known = self._secrets
        if not known.issuperset(values):
            from twingraph.executors.mask import Flow, Mask  # few runs have secrets

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

    def _readable(self) -> None:
        """Take what is there, for a moment; the rest is there in the next turn."""
        for _ in range(_READS):
            if self._gone or not (self._listening.may(self._readable) and self._hear()):
                return

    def _hear(self) -> bool:
        """Take one chunk. Whether there may be more."""
        try:
            data = os.read(self._started.outgoing, _READ)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._started.outgoing)
            if not self._gone:
                self._loop.call_later(HANG_UP_SECONDS, self._hung_up)
            return False
        try:
            self._parser.feed(data)
        except protocol.GARBLED:  # user code wrote to our descriptor
            self.fault = WROTE_TO_US
            self.kill()
            return False
        return len(data) == _READ

    def _message(self, head: list[Any], texts: list[str]) -> None:
        """Everything in it is looked at before anything is done: a run leaves `pending` only with its ending, so that
        one whose ending nobody can read is still there when the process is ended for it."""
        kind = head[0]
        if kind == "o":
            held = self.pending.get(head[1])
            if held is not None:
                outcome = protocol.outcome_of(head, texts, held.lane, held.run, self.name)
                held.complete(outcome)
                self._take(head[1])
                self._learn(outcome.memory or 0)
                self._owner.ended(self, held, outcome, head[9])
        elif kind == "p":
            held = self.pending.get(head[1])
            if held is not None:
                held.gave(protocol.outputs_of(head), texts)
        elif kind == "l":
            held = self.pending.get(head[1])
            if held is not None:
                lines = protocol.lines_of(head[2])
                held.heard += len(lines)
                self._owner.said(held, lines)
        elif kind == "i":
            held = self.pending.get(head[1])
            if held is not None:
                self._owner.gave(self, held, *protocol.items_of(head), texts)
        elif kind == "r":
            found = [held for number in protocol.numbers_of(head[1]) if (held := self._take(number)) is not None]
            if found:
                self.is_full = self.room <= 0
                self._owner.returned(self, found)
        elif kind == "x":
            self.retired = True  # what it was given comes back, run by run
        elif kind == "h":
            self.is_ready = True
            self._owner.ready(self)

    def _take(self, number: int) -> Held | None:
        held = self.pending.pop(number, None)
        if held is not None and (strand := held.strand) is not None:
            strand.pending.pop(number, None)
            if not strand.pending and self.open.pop(strand.block, None) is not None:
                self._free.append(strand.block)
        return held

    def _learn(self, memory: int) -> None:
        self.runs += 1
        self.memory = memory
        if not self.pending:
            self.lanes = 0
            self.idle_since = time.monotonic()
        elif self.is_shared:
            self.lanes = len(self.open)
        elif self.lanes > 1 and len(self.pending) <= 64:
            self.lanes = 1

    # -- the run that is going on ----------------------------------------------------------------

    @property
    def strands(self) -> Iterable[Strand]:
        return list(self.open.values()) if self.is_shared else (self._one,)

    def current(self) -> tuple[int, Held] | None:
        """A run that has begun; where several have, any of them."""
        if self.fault is WROTE_TO_US and self.pending:
            return next(iter(self.pending.items()))
        return next((found for strand in self.strands if (found := strand.current()) is not None), None)

    def check_marks(self) -> bool:
        """Whether user code wrote over them, by the number of their descriptor; then it is ended, and charged."""
        if self.is_shared or not self.pending or 0 <= self.marks.begun < self._next:
            return True
        self.fault = WROTE_TO_US
        self.kill()
        return False

    def begun(self) -> list[tuple[int, Held]]:
        return [found for strand in self.strands if (found := strand.current()) is not None]

    def recall(self, strand: Strand | None = None) -> None:
        """Everything that has not begun comes back through `returned`, without the worker's help."""
        for one in self.strands if strand is None else (strand,):
            if not one.recalling and not self._gone:
                one.recalling = True
                one.marks.recall(one.marks.begun + 1, self._next)
                self._loop.call_later(RECALL_SECONDS, self._finish_recall, one, self._next)

    def _finish_recall(self, strand: Strand, high: int) -> None:
        strand.recalling = False
        if self._gone:
            return
        begun = strand.marks.begun
        numbers = [number for number in strand.pending if begun < number < high]
        found = [held for number in numbers if (held := self._take(number)) is not None]
        self.lanes = len(self.open) if self.is_shared else min(self.lanes, 1)
        if found:
            self.is_full = self.room <= 0
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
        while self._hear():  # what it said before it ended
            pass
        self._tell_last_words(self.begun())
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.current() is not None:  # what a finished run has detached on purpose goes on
            end_strays([self.mark])
        self._owner.exited(self, returncode)
        self._release()

    def _tell_last_words(self, runs: list[tuple[int, Held]]) -> None:
        """What no thread of the process came to send any more."""
        if not runs:
            return
        from twingraph.executors.last_words import LastWords, unheard  # most processes answer

        with contextlib.closing(LastWords(self.marks.words())) as words:
            said = words.said()
        for number, held in runs:
            with contextlib.suppress(*protocol.GARBLED):
                lines = protocol.lines_of(unheard(said.get(number, []), held.heard))
                if lines:
                    self._owner.said(held, lines)

    def _release(self) -> None:
        self._loop.remove_reader(self._started.outgoing)
        self._loop.remove_writer(self._started.incoming)
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
        for marks in self._blocks.values():
            marks.close()
        self.steps.close()
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
