"""Which processes there are: when one is started, replaced, or sent home."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from twingraph.dispatch import spawner
from twingraph.dispatch.base import CodeRef
from twingraph.dispatch.embedded import planning
from twingraph.dispatch.embedded.group import Group
from twingraph.dispatch.embedded.options import PoolOptions
from twingraph.dispatch.embedded.process import WorkerProcess
from twingraph.dispatch.embedded.usage import Load
from twingraph.dispatch.strays import end_strays

# What is being started when the pool closes has come by then, or will never.
_COMING_SECONDS = 5.0
# A process of another version that was idle for so long gives way to one more of a version that could use it.
_REST_SECONDS = 1.0


class Employer(Protocol):
    """Who is told. On the loop."""

    def employ(self, group: Group, started: spawner.Started) -> WorkerProcess:
        """Take a process over that has just been started."""

    def cannot_start(self, group: Group, why: str) -> None:
        """As many starts in a row as the options allow have failed, and no process is left."""


class Staff:
    """All groups and their processes. Everything on the loop, but for the start of a process itself."""

    def __init__(self, options: PoolOptions, employer: Employer, clock: Callable[[], float] = time.monotonic) -> None:
        self.groups: dict[str, Group] = {}
        self._options = options
        self._employer = employer
        self._clock = clock
        self._load = Load()
        self._cores = planning.cores()
        self._closed = False
        self._coming = 0  # processes that the spawner was asked for and has not handed over
        self._loop: asyncio.AbstractEventLoop

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def close(self) -> None:
        self._closed = True
        everyone = self.everyone()
        busy = [worker.mark for worker in everyone if worker.current() is not None]
        for worker in everyone:
            worker.stop()
        end_strays(busy)
        self.groups.clear()

    async def all_here(self) -> None:
        """Once closed: until what was being started has come too, and was ended."""
        until = self._loop.time() + _COMING_SECONDS
        while self._coming and self._loop.time() < until:
            await asyncio.sleep(0.001)

    def of(self, code: CodeRef) -> Group:
        group = self.groups.get(code.version)
        if group is None:
            group = self.groups[code.version] = Group(code)
        return group

    def everyone(self) -> list[WorkerProcess]:
        return [worker for group in self.groups.values() for worker in group.workers]

    # -- more ------------------------------------------------------------------------------------

    def look(self) -> None:
        """Note what the processes use. While something waits, growth depends on it."""
        self._load.look([worker.pid for worker in self.everyone() if worker.is_ready])

    def grow(self, group: Group, waiting: int, since: float) -> None:
        """So many lanes could begin if there were processes, and every process has been busy since then. Those that
        start already will each take one."""
        waiting -= group.starting + sum(not worker.is_ready for worker in group.workers)
        if waiting <= 0:
            return
        everyone = self.everyone()
        starting = sum(other.starting for other in self.groups.values())
        booting = sum(not worker.is_ready for worker in everyone)
        self.look()
        pressure = planning.Pressure(
            waiting=waiting,
            waited=self._clock() - since,
            workers=len(group.workers) + group.starting,
            all_workers=len(everyone) + starting,
            starting=starting + booting,
            load=self._load.cores,
            feeder=self._load.feeder,
        )
        if pressure.all_workers >= self._options.workers:
            self._make_room(group, pressure)
        for _ in range(planning.workers_to_start(pressure, self._options, self._cores)):
            self._start(group)

    def _start(self, group: Group) -> None:
        group.starting += 1
        self._coming += 1
        spawner.in_spawner_thread(partial(self._spawn, group))

    def make_up_for(self, group: Group) -> None:
        """A process has ended in the middle of its work: what comes next shall not wait until another is up."""
        if len(group.workers) + group.starting < min(2, self._options.workers) and not self._closed:
            self._start(group)

    def could_grow(self, group: Group) -> bool:
        """Whether one more process would find a core to run on."""
        if len(self.everyone()) >= self._options.workers and not self._spare(group):
            return False
        return len(group.workers) < 2 or self._load.cores < self._options.grow_below_load * self._cores

    def _spawn(self, group: Group) -> None:
        """In the spawner's thread."""
        try:
            started = spawner.take(group.code.interpreter or sys.executable, group.code.working_dir)
        except OSError as error:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._not_started, group, str(error))
            return
        try:
            self._loop.call_soon_threadsafe(self._joined, group, started)
        except RuntimeError:
            started.process.kill()
            started.process.wait()

    def _joined(self, group: Group, started: spawner.Started) -> None:
        group.starting -= 1
        self._coming -= 1
        worker = self._employer.employ(group, started)
        if self._closed:
            worker.stop()
        else:
            group.workers.append(worker)

    def _not_started(self, group: Group, why: str) -> None:
        group.starting -= 1
        self._coming -= 1
        for worker in group.workers:
            worker.due = worker.due and worker.retired  # whose successor it was to be goes on, and asks again
        self.start_failed(group, why)

    def start_failed(self, group: Group, why: str) -> None:
        group.failed_starts += 1
        for worker in group.workers:
            if worker.is_full:  # it waits for its successor, and is in the way of the next
                self._retire(worker)
        if group.failed_starts >= self._options.failed_starts and not group.workers:
            group.failed_starts = 0
            self._employer.cannot_start(group, why)

    def ready(self, group: Group, worker: WorkerProcess) -> None:
        group.failed_starts = 0
        self._load.begin(worker.pid)
        due = next((other for other in group.workers if other.due and not other.retired), None)
        if due is not None:
            self._retire(due)

    # -- fewer -----------------------------------------------------------------------------------

    def _make_room(self, group: Group, pressure: planning.Pressure) -> None:
        """Another version's idle worker goes, the one that was idle longest, when one would be started in its place."""
        spare = self._spare(group)
        if not spare or (pressure.workers and any(worker.retired for worker in self.everyone())):
            return
        without = pressure._replace(all_workers=self._options.workers - 1)
        if planning.workers_to_start(without, self._options, self._cores):
            self._retire(min(spare, key=lambda worker: worker.idle_since))

    def _spare(self, group: Group) -> list[WorkerProcess]:
        """Idle workers of other versions. For a group that has a process already, only those that were idle for a
        while: the others may have their next work in a moment."""
        rest = _REST_SECONDS if group.workers or group.starting else 0.0
        until = self._clock() - rest
        return [
            worker
            for other in self.groups.values()
            if other is not group
            for worker in other.workers
            if worker.is_ready and not worker.pending and not worker.retired and worker.idle_since <= until
        ]

    def replace_if_due(self, group: Group, worker: WorkerProcess) -> None:
        """After a run. It stays until its successor has come up, and serves on unless it has run all that it may."""
        options = self._options
        if worker.retired:
            self._retire(worker)
        elif worker.due:
            return
        elif (options.runs_per_worker is not None and worker.runs >= options.runs_per_worker) or (
            options.bytes_per_worker is not None and worker.memory > options.bytes_per_worker
        ):
            worker.due = True
            self._start(group)

    def end_if_idle(self, worker: WorkerProcess, moment: float) -> None:
        """One of all is kept."""
        for file in worker.captured:
            file.shrink()
        if worker.retired:
            self._retire(worker)
        if moment - worker.idle_since < self._options.idle_seconds or not worker.is_ready or worker.retired:
            return
        if sum(not other.retired for other in self.everyone()) > 1:
            self._retire(worker)

    def _retire(self, worker: WorkerProcess) -> None:
        """It is given nothing more, and ends with its last run."""
        worker.retired = True
        if not worker.pending:
            worker.kill()


def available(workers: list[WorkerProcess]) -> Iterator[WorkerProcess]:
    """Those that take more work: what is given to a process that still starts waits for it, even beside an idle one."""
    return (
        worker
        for worker in workers
        if worker.is_ready and not worker.retired and not worker.is_full and worker.doom is None
    )


def untried_first(workers: list[WorkerProcess]) -> list[WorkerProcess]:
    """The first run in a process imports the author's module, which may take long. It had better be while another
    process is there for what comes next, rather than when that one is hogged."""
    return sorted(available(workers), key=_was_tried)


def _was_tried(worker: WorkerProcess) -> bool:
    return worker.runs > 0
