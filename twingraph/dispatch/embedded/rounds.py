"""The regular look at what takes long: time limits, memory, output, `Begun`, and what waits behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from twingraph.dispatch.base import Begun, Report
from twingraph.dispatch.embedded.group import Group
from twingraph.dispatch.embedded.options import PoolOptions
from twingraph.dispatch.embedded.process import Held, WorkerProcess
from twingraph.dispatch.embedded.staff import Staff
from twingraph.dispatch.embedded.watch import look_at


class Watched(Protocol):
    """Whose processes are looked at."""

    def report(self, report: Report) -> None: ...
    def read_captured(self, worker: WorkerProcess, held: Held, ends: list[int] | None, *, whole: bool) -> None: ...


class Rounds:
    """Goes round every `tick_seconds` while something runs or waits, seldom when processes are only there."""

    def __init__(self, options: PoolOptions, staff: Staff, pool: Watched, more_to_do: Callable[[], None]) -> None:
        self._options = options
        self._staff = staff
        self._pool = pool
        self._more_to_do = more_to_do
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
        now = time.monotonic()
        staff.look()
        for group in staff.groups.values():
            busy = busy or group.is_waiting
            for worker in list(group.workers):
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
        current = worker.current()
        if current is None or worker.doom is not None:
            return
        number, held = current
        took = now - worker.marks.since
        if took > self._options.long_run_seconds:
            if not held.announced:
                held.announced = True
                run = held.run
                self._pool.report(Begun(held.lane.execution, run.node, run.attempt, worker.marks.at, worker.name))
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

    def _others_could(self, group: Group) -> bool:
        """Whether something that waits behind a busy node would begin sooner elsewhere."""
        if group.is_waiting:
            return False
        idle = any(worker.is_ready and not worker.pending and not worker.retired for worker in group.workers)
        return idle or self._staff.could_grow(group)
