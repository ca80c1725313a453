"""The regular look at what takes long: time limits, memory, output, `Begun`, and what waits behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from twingraph.dispatch import guardian
from twingraph.dispatch.base import Begun, Report
from twingraph.dispatch.embedded.endings import began_at
from twingraph.dispatch.embedded.group import Group
from twingraph.dispatch.embedded.options import PoolOptions
from twingraph.dispatch.embedded.process import WorkerProcess
from twingraph.dispatch.embedded.staff import Staff, available
from twingraph.dispatch.embedded.strand import Doom, Held, Strand
from twingraph.dispatch.embedded.watch import lateness, look_at

# Where many wait beside each other, they are looked at this often.
_MANY_SECONDS = 0.1


class Watched(Protocol):
    """Whose processes are looked at."""

    def report(self, report: Report) -> None: ...
    def run_said(self, held: Held, lines: list[Any]) -> None: ...
    def end(self, worker: WorkerProcess, held: Held, doom: Doom) -> None: ...
    def read_captured(self, worker: WorkerProcess, held: Held, ends: list[int] | None, *, whole: bool) -> None: ...


class Rounds:
    """Goes round every `tick_seconds` while something runs or waits, seldom when processes are only there."""

    def __init__(
        self,
        options: PoolOptions,
        staff: Staff,
        pool: Watched,
        more_to_do: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._staff = staff
        self._pool = pool
        self._more_to_do = more_to_do
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def soon(self) -> None:
        self._within(self._options.tick_seconds)

    def _within(self, seconds: float) -> None:
        """The next round, at the latest in that many seconds."""
        due = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._go_round)

    def _go_round(self) -> None:
        self._timer = None
        staff, busy = self._staff, False
        now = self._clock()
        staff.look()
        for group in staff.groups.values():
            busy = busy or group.is_waiting
            for worker in list(group.workers):
                if worker.marks.has_children:
                    guardian.post()
                if worker.pending:
                    busy = True
                    self._watch(group, worker, now)
                else:
                    staff.end_if_idle(worker, now)
        if busy:
            self._within(self._options.tick_seconds)
            self._more_to_do()
        elif any(group.workers for group in staff.groups.values()):
            self._within(max(self._options.tick_seconds, min(1.0, self._options.idle_seconds / 4)))

    def _watch(self, group: Group, worker: WorkerProcess, now: float) -> None:
        if worker.doom is not None:
            return
        if worker.is_shared:
            self._watch_shared(group, worker, now)
            return
        current = worker.current()
        if current is None:
            worker.check_marks()
            return
        number, held = current
        took = now - worker.marks.since
        if took > self._options.long_run_seconds:
            if not held.announced:
                held.announced = True
                self._tell_begun(worker, held)
            doom = look_at(worker.pid, number, held, took)
            self._pool.read_captured(worker, held, None, whole=False)
            if doom is not None:
                worker.kill(doom)
                return
        if took > self._options.recall_after_seconds and len(worker.pending) > 1 and self._others_could(group):
            for other, behind in worker.pending.items():
                if other > number and behind.wish is None:
                    behind.wish = "return"
            worker.recall()

    def _tell_begun(self, worker: WorkerProcess, held: Held) -> None:
        run, at = held.run, began_at(worker, held)
        self._pool.report(Begun(held.lane.execution, run.node, run.attempt, at, worker.name))

    # -- several beside each other -------------------------------------------------------------

    def _watch_shared(self, group: Group, worker: WorkerProcess, now: float) -> None:
        number, since = worker.steps.begun, worker.steps.since
        # In the moment between both looks it may have let go of the loop; then nobody has it, since 0.
        kept = now - since if since and number in worker.pending else 0.0
        worker.is_stuck = kept > self._options.recall_after_seconds
        if worker.is_stuck:
            self._accuse(worker, number, kept)
        elif now - worker.looked < min(_MANY_SECONDS, len(worker.open) / 2000):
            return  # many are looked at less often
        worker.looked = now
        for strand in worker.strands:
            self._watch_strand(group, worker, strand, now)
            if worker.doom is not None:
                return
        begun = worker.current()
        if begun is not None:
            self._pool.read_captured(worker, begun[1], None, whole=False)

    def _watch_strand(self, group: Group, worker: WorkerProcess, strand: Strand, now: float) -> None:
        current = strand.current()
        if current is None:
            if worker.is_stuck and self._others_could(group):
                self._take_from(worker, strand, 0)
            return
        number, held = current
        took = now - strand.marks.since
        if took > self._options.long_run_seconds and not held.announced:
            held.announced = True
            self._tell_begun(worker, held)
        doom = held.doom or lateness(number, held, took)
        if doom is not None:
            self._pool.end(worker, held, doom)
            if now - held.doomed_at > self._options.end_within_seconds:
                worker.kill(doom)
        if took > self._options.recall_after_seconds and len(strand.pending) > 1:
            self._take_from(worker, strand, number)

    def _take_from(self, worker: WorkerProcess, strand: Strand, begun: int) -> None:
        for number, held in strand.pending.items():
            if number > begun and held.wish is None:
                held.wish = "return"
        worker.recall(strand)

    def _accuse(self, worker: WorkerProcess, number: int, kept: float) -> None:
        """Its process does so itself with line and stack, unless what it runs keeps the interpreter too."""
        held = worker.pending[number]
        if kept < self._options.accuse_after_seconds or held.accused:
            return
        held.accused = True
        if worker.steps.told != number:
            message = f"blocks the event loop: for {kept:.1f} s, in code that keeps the interpreter to itself as well"
            self._pool.run_said(held, [(time.time(), "warning", "logging", message)])

    def _others_could(self, group: Group) -> bool:
        """Whether something that waits behind a busy node would begin sooner elsewhere."""
        if group.is_waiting:
            return False
        idle = any(not worker.pending for worker in available(group.workers))
        return idle or self._staff.could_grow(group)
