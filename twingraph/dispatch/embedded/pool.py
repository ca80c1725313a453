"""The pool of warm processes: which worker gets which lane, and what becomes of each run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twingraph.core.records import ErrorRecord
from twingraph.dispatch.base import Begun, CodeRef, Lane, LogLines, NodeRun, Outcome, Report, Returned
from twingraph.dispatch.embedded import planning, protocol, spawner
from twingraph.dispatch.embedded.options import PoolOptions
from twingraph.dispatch.embedded.process import Doom, Held, WorkerProcess
from twingraph.dispatch.embedded.usage import Load
from twingraph.dispatch.embedded.watch import look_at


class Group:
    """The workers of one code version, and the lanes that wait for one."""

    def __init__(self, code: CodeRef) -> None:
        self.code = code
        self.waiting: deque[tuple[Lane, list[NodeRun], float]] = deque()
        self.workers: list[WorkerProcess] = []
        self.starting = 0
        self.failed_starts = 0


class EmbeddedPool:
    """See `dispatch.base.Dispatch`. All methods and all reports on the loop that called `start`."""

    def __init__(self, options: PoolOptions, blobs_path: str, secret_key: bytes | None) -> None:
        self.options = options
        self._blobs_path = blobs_path
        self._secret = secret_key
        self._groups: dict[str, Group] = {}
        self._load = Load()
        self._cores = planning.cores()
        self._pumping = False
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop
        self._report: Callable[[Report], None]

    async def start(self, report: Callable[[Report], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._report = report

    # -- wishes of the conductor -----------------------------------------------------------------

    def submit(self, lane: Lane) -> None:
        group = self._groups.get(lane.code.version)
        if group is None:
            group = self._groups[lane.code.version] = Group(lane.code)
        group.waiting.append((lane, list(lane.runs), time.monotonic()))
        self._soon()

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        self._take_back(execution, nodes, "return")

    def cancel(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        self._take_back(execution, nodes, "cancel")

    def _take_back(self, execution: str, nodes: Sequence[str] | None, wish: str) -> None:
        wanted = None if nodes is None else frozenset(nodes)
        for group in self._groups.values():
            found: list[Held] = []
            for lane, runs, _ in group.waiting:
                if lane.execution == execution:
                    found += [Held(lane, run, wish) for run in runs if wanted is None or run.node in wanted]
                    runs[:] = [run for run in runs if wanted is not None and run.node not in wanted]
            group.waiting = deque(entry for entry in group.waiting if entry[1])
            if found:
                self._loop.call_soon(self._hand_back, group, found)
            for worker in list(group.workers):
                self._take_back_begun(worker, execution, wanted, wish)

    def _take_back_begun(self, worker: WorkerProcess, execution: str, wanted: frozenset[str] | None, wish: str) -> None:
        begun, behind = worker.marks.begun, False
        for number, held in worker.pending.items():
            if held.lane.execution != execution or (wanted is not None and held.run.node not in wanted):
                continue
            if wish == "cancel" or held.wish is None:
                held.wish = wish
            if number > begun:
                behind = True
            elif number == begun and wish == "cancel":
                self._kill_cancelled(worker, number, held)
        if behind:
            worker.recall()

    def _kill_cancelled(self, worker: WorkerProcess, number: int, held: Held) -> None:
        error = _error(held.run, "cancelled", "Cancelled", f"{held.run.node} was cancelled while it ran")
        worker.kill(Doom(number, "cancelled", error))

    async def stop(self) -> None:
        self._stopped = True
        for group in self._groups.values():
            for worker in group.workers:
                worker.stop()
        self._groups.clear()

    # -- handing out -----------------------------------------------------------------------------

    def _soon(self) -> None:
        if not self._pumping and not self._stopped:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Idle workers first, then one lane ahead for quick ones, then new workers."""
        self._pumping = False
        if self._stopped:
            return
        for group in self._groups.values():
            if group.waiting:
                self._hand_out(group)
            if group.waiting:
                self._grow(group)
        self._tick_in(self.options.tick_seconds)

    def _hand_out(self, group: Group) -> None:
        now = time.time()
        for worker in group.workers:
            if not group.waiting:
                return
            if not worker.pending and not worker.retired and worker.doom is None:
                self._give(group, worker)
        for worker in group.workers:
            if not group.waiting:
                return
            if (
                not worker.retired
                and worker.doom is None
                and planning.may_hand_ahead(worker.lanes, worker.average, now - worker.marks.at)
            ):
                self._give(group, worker)

    def _give(self, group: Group, worker: WorkerProcess) -> None:
        lane, runs, _ = group.waiting.popleft()
        worker.give(lane, runs)

    def _grow(self, group: Group) -> None:
        everyone = [worker for other in self._groups.values() for worker in other.workers]
        starting = sum(other.starting for other in self._groups.values())
        booting = sum(not worker.is_ready for worker in everyone)
        pressure = planning.Pressure(
            waiting=len(group.waiting),
            waited=time.monotonic() - group.waiting[0][2],
            workers=len(group.workers) + group.starting,
            all_workers=len(everyone) + starting,
            starting=starting + booting,
            load=self._measured(everyone),
        )
        if pressure.all_workers >= self.options.workers and not group.workers and not group.starting:
            self._make_room(everyone)
        for _ in range(planning.workers_to_start(pressure, self.options, self._cores)):
            group.starting += 1
            spawner.in_spawner_thread(partial(self._spawn, group))

    def _measured(self, everyone: list[WorkerProcess]) -> float:
        """Cores that are in use by running nodes and by this process, which feeds them."""
        return self._load.look([os.getpid(), *(worker.pid for worker in everyone if worker.is_ready)])

    def _make_room(self, everyone: list[WorkerProcess]) -> None:
        """Another version's idle worker goes, the one that was idle longest."""
        idle = [worker for worker in everyone if not worker.pending and not worker.retired]
        if idle:
            worker = min(idle, key=lambda worker: worker.idle_since)
            worker.retired = True
            worker.kill()

    # -- processes -------------------------------------------------------------------------------

    def _spawn(self, group: Group) -> None:
        """In the spawner's thread."""
        try:
            started = spawner.spawn(group.code.interpreter or sys.executable, group.code.working_dir)
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
        hello = protocol.first_message(group.code.bundle_path, self._blobs_path, self._secret, group.code.sys_path)
        worker = WorkerProcess(self._loop, _GroupOwner(self, group), started, hello)
        if self._stopped:
            worker.stop()
            return
        group.workers.append(worker)
        self._soon()

    def _not_started(self, group: Group, why: str) -> None:
        group.starting -= 1
        self._start_failed(group, why)

    def _start_failed(self, group: Group, why: str) -> None:
        group.failed_starts += 1
        if group.failed_starts >= self.options.failed_starts and not group.workers:
            group.failed_starts = 0
            waiting, group.waiting = group.waiting, deque()
            for lane, runs, _ in waiting:
                for run in runs:
                    message = f"no process could be started with {group.code.interpreter} in {group.code.working_dir}: "
                    error = _error(run, "code_unavailable", "WorkerStartError", message + why)
                    self._report(_ending(Held(lane, run), "failed", None, error, None))
        self._soon()

    def worker_exited(self, group: Group, worker: WorkerProcess, returncode: int) -> None:
        group.workers.remove(worker)
        current = worker.current()
        if current is not None:
            number, held = current
            del worker.pending[number]
            self._report_death(worker, held, number, returncode)
        rest = list(worker.pending.values())
        worker.pending.clear()
        if not worker.is_ready:
            requeued = [held for held in rest if held.wish is None]
            self._requeue(group, requeued)
            self._hand_back(group, [held for held in rest if held.wish is not None])
            self._start_failed(group, worker.captured[1].tail() or f"it ended with {returncode}")
            return
        for held in rest:
            held.wish = held.wish or "return"
        self._hand_back(group, rest)
        self._soon()

    def _report_death(self, worker: WorkerProcess, held: Held, number: int, returncode: int) -> None:
        tail = worker.captured[1].tail()
        self.read_captured(worker, held, None, whole=True)
        doom = worker.doom
        if doom is not None and doom.number == number:
            self._report(_ending(held, doom.status, worker.marks.at, doom.error, worker))
            return
        status, what, code = planning.ending_of(returncode)
        if worker.fault is not None:
            status, what, code = "crashed", worker.fault, None
        where = tail[tail.rfind("Fatal Python error") :] if "Fatal Python error" in tail else None
        kind = "WorkerCrashed" if status == "crashed" else "WorkerLost"
        error = _error(
            held.run, "crashed" if status == "crashed" else "worker_lost", kind,
            f"{what} while {held.run.node} ran", exit_code=code, traceback=where,
        )  # fmt: skip
        self._report(_ending(held, status, worker.marks.at, error, worker))

    # -- what workers say ------------------------------------------------------------------------

    def run_ended(self, group: Group, worker: WorkerProcess, held: Held, head: list[Any], texts: list[str]) -> None:
        if head[9] is not None:
            self.read_captured(worker, held, head[9], whole=True)
        outcome = protocol.outcome_of(head, texts, held.lane, held.run, worker.name)
        if held.peak > (outcome.memory or 0):
            outcome.memory = held.peak
        group.failed_starts = 0
        if not worker.pending:
            self._replace_if_due(worker)
        self._report(outcome)
        if group.waiting:
            self._soon()

    def _replace_if_due(self, worker: WorkerProcess) -> None:
        options = self.options
        if (options.runs_per_worker is not None and worker.runs >= options.runs_per_worker) or (
            options.bytes_per_worker is not None and worker.memory > options.bytes_per_worker
        ):
            worker.retired = True
            worker.kill()

    def read_captured(self, worker: WorkerProcess, held: Held, ends: list[int] | None, *, whole: bool) -> None:
        out_end, err_end = ends if ends is not None else (None, None)
        lines = worker.captured[0].read("info", "stdout", out_end, whole)
        lines += worker.captured[1].read("warning", "stderr", err_end, whole)
        if lines:
            self.run_said(held, lines)

    def run_said(self, held: Held, lines: list[Any]) -> None:
        self._report(LogLines(held.lane.execution, held.run.node, held.run.attempt, [tuple(line) for line in lines]))

    def runs_returned(self, group: Group, worker: WorkerProcess, found: list[Held]) -> None:
        self._requeue(group, [held for held in found if held.wish is None])
        self._hand_back(group, [held for held in found if held.wish is not None])
        for number, held in worker.pending.items():  # it began in the moment of the recall
            if held.wish == "cancel" and number == worker.marks.begun:
                self._kill_cancelled(worker, number, held)
        self._soon()

    def _requeue(self, group: Group, found: list[Held]) -> None:
        """To the front again, lane by lane, in the old order."""
        lanes: dict[int, tuple[Lane, list[NodeRun]]] = {}
        for held in found:
            lanes.setdefault(id(held.lane), (held.lane, []))[1].append(held.run)
        for lane, runs in reversed(list(lanes.values())):
            group.waiting.appendleft((lane, runs, time.monotonic()))

    def _hand_back(self, group: Group, found: list[Held]) -> None:
        returned: dict[str, list[tuple[str, int]]] = {}
        for held in found:
            if held.wish == "cancel":
                error = _error(held.run, "cancelled", "Cancelled", f"{held.run.node} was cancelled before it began")
                self._report(_ending(held, "cancelled", None, error, None))
            else:
                returned.setdefault(held.lane.execution, []).append((held.run.node, held.run.attempt))
        for execution, runs in returned.items():
            self._report(Returned(execution, runs))

    # -- time ------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._timer = None
        if self._stopped:
            return
        busy = False
        now, moment = time.time(), time.monotonic()
        for group in self._groups.values():
            for worker in list(group.workers):
                if worker.pending:
                    busy = True
                    self._watch(group, worker, now)
                else:
                    self._end_if_idle(worker, moment)
            if group.waiting:
                busy = True
        if busy:
            self._tick_in(self.options.tick_seconds)
            self._soon()
        elif any(group.workers for group in self._groups.values()):
            self._tick_in(max(self.options.tick_seconds, min(1.0, self.options.idle_seconds / 4)))

    def _tick_in(self, seconds: float) -> None:
        """The next look, at the latest in that many seconds."""
        due = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._tick)

    def _watch(self, group: Group, worker: WorkerProcess, now: float) -> None:
        current = worker.current()
        if current is None or worker.doom is not None:
            return
        number, held = current
        took = now - worker.marks.at
        if took > self.options.long_run_seconds:
            if not held.announced:
                held.announced = True
                run, lane = held.run, held.lane
                self._report(Begun(lane.execution, run.node, run.attempt, worker.marks.at, worker.name))
            doom = look_at(worker.pid, number, held, took)
            self.read_captured(worker, held, None, whole=False)
            if doom is not None:
                worker.kill(doom)
                return
        if took > self.options.recall_after_seconds and len(worker.pending) > 1 and self._others_could(group):
            for other, behind in worker.pending.items():
                if other > number and behind.wish is None:
                    behind.wish = "return"
            worker.recall()

    def _others_could(self, group: Group) -> bool:
        """Whether something that waits behind a busy node would begin sooner elsewhere."""
        if group.waiting:
            return False
        if any(not worker.pending and not worker.retired for worker in group.workers):
            return True
        everyone = [worker for other in self._groups.values() for worker in other.workers]
        if len(everyone) >= self.options.workers:
            return False
        load = self._measured(everyone)
        return len(group.workers) < 2 or load < self.options.grow_below_load * self._cores

    def _end_if_idle(self, worker: WorkerProcess, moment: float) -> None:
        for file in worker.captured:
            file.shrink()
        if moment - worker.idle_since < self.options.idle_seconds or not worker.is_ready or worker.retired:
            return
        alive = sum(not other.retired for group in self._groups.values() for other in group.workers)
        if alive > 1:
            worker.retired = True
            worker.kill()


class _GroupOwner:
    """Joins a worker's words with its group."""

    def __init__(self, pool: EmbeddedPool, group: Group) -> None:
        self._pool = pool
        self._group = group

    def ended(self, worker: WorkerProcess, held: Held, head: list[Any], texts: list[str]) -> None:
        self._pool.run_ended(self._group, worker, held, head, texts)

    def returned(self, worker: WorkerProcess, held: list[Held]) -> None:
        self._pool.runs_returned(self._group, worker, held)

    def said(self, held: Held, lines: list[Any]) -> None:
        self._pool.run_said(held, lines)

    def ready(self, worker: WorkerProcess) -> None:
        self._group.failed_starts = 0

    def exited(self, worker: WorkerProcess, returncode: int) -> None:
        self._pool.worker_exited(self._group, worker, returncode)


def _error(
    run: NodeRun, code: str, kind: str, message: str, *, exit_code: int | None = None, traceback: str | None = None
) -> ErrorRecord:
    return ErrorRecord(
        code=code, error_type=kind, message=message, node_id=run.node, attempt=run.attempt, types=(kind,),
        exit_code=exit_code, traceback=traceback,
    )  # fmt: skip


def _ending(
    held: Held, status: str, started: float | None, error: ErrorRecord, worker: WorkerProcess | None
) -> Outcome:
    return Outcome(
        execution=held.lane.execution,
        node=held.run.node,
        attempt=held.run.attempt,
        status=status,
        started=started,
        ended=time.time(),
        memory=held.peak or None,
        worker=worker.name if worker is not None else None,
        error=error,
        begun=started is not None,
    )
