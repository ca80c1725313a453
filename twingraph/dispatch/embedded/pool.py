"""The pool of warm processes: which worker gets which lane, and what becomes of each run."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from twingraph.core.quantities import byte_count
from twingraph.dispatch import spawner
from twingraph.dispatch.base import Begun, ItemsOut, Lane, LogLines, Outcome, Report, Returned
from twingraph.dispatch.embedded import endings, planning, protocol, sharing
from twingraph.dispatch.embedded.admission import NOTHING, Admission, Need, devices, need_of
from twingraph.dispatch.embedded.capturing import bounded
from twingraph.dispatch.embedded.group import Batch, Group
from twingraph.dispatch.embedded.options import PoolOptions
from twingraph.dispatch.embedded.process import Listening, WorkerProcess
from twingraph.dispatch.embedded.rounds import Rounds
from twingraph.dispatch.embedded.sharing import Suspects
from twingraph.dispatch.embedded.staff import Staff, available, untried_first
from twingraph.dispatch.embedded.strand import Doom, Held
from twingraph.dispatch.strays import end_strays
from twingraph.executors.marks import LANES


class EmbeddedPool:
    """See `dispatch.base.Dispatch`. All methods and all reports on the loop that called `start`."""

    def __init__(
        self,
        options: PoolOptions,
        blobs_path: str,
        secret_key: bytes | None,
        clock: Callable[[], float] = time.monotonic,
        *,
        projects: str = "",
    ) -> None:
        """`projects`: a folder in which whole projects are unpacked; '' lets each process have one of its own."""
        self._options = options
        self._projects = projects
        self._blobs_path = blobs_path
        self._secret = secret_key
        self._clock = clock
        self._staff = Staff(options, self, clock)
        self._rounds = Rounds(options, self._staff, self, self._soon, clock)
        self._admission: Admission | None = None
        self._suspects = Suspects()
        self._unbegun = endings.Unbegun()
        self._pumping = False
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop
        self.report: Callable[[Report], None]

    async def start(self, report: Callable[[Report], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._listening = Listening(self._loop.call_soon, time.monotonic)
        self._staff.open(self._loop)
        self._rounds.open(self._loop)
        self.report = report

    async def stop(self) -> None:
        self._stopped = True
        self._rounds.close()
        self._staff.close()
        await self._staff.all_here()

    def workers(self) -> list[str]:
        """The names of the processes that are there."""
        return [worker.name for worker in self._staff.everyone()]

    # -- wishes of the conductor -----------------------------------------------------------------

    def submit(self, lane: Lane) -> None:
        need = NOTHING
        if lane.settings.resources:
            try:
                need = self._need(lane)
            except ValueError as problem:
                self._loop.call_soon(self._refuse, lane, str(problem))
                return
        is_plain = lane.settings.resources or lane.secrets  # both are watched over by process
        beside = lane.settings.asynchronous and not is_plain and not self._suspects.are_among(lane)
        group = self._staff.of(lane.code)
        is_first = not group.is_waiting and not self._stopped
        group.put(Batch(lane, list(lane.runs), need, self._clock(), beside=beside))
        if is_first and need is NOTHING and not beside and any(not worker.pending for worker in group.workers):
            self._hand_out(group)  # nobody waits before it: a turn of the loop would only cost time
            self._rounds.soon()
        else:
            self._soon()

    def _need(self, lane: Lane) -> Need:
        if self._admission is None:
            self._admission = Admission(Need(float(planning.cores()), float(devices())))
        byte_count(lane.settings.resources.get("memory") or 0)
        return need_of(lane.settings.resources, self._admission.machine)

    def _refuse(self, lane: Lane, problem: str) -> None:
        for run in lane.runs:
            message = f"{run.node} cannot run on this machine: {problem}"
            record = endings.error(run, "invalid_input", "ResourceError", message, permanent=True)
            self.report(endings.ending(Held(lane, run), "failed", None, record, None))

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        self._take_back(execution, nodes, "return")

    def cancel(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        self._take_back(execution, nodes, "cancel")

    def _take_back(self, execution: str, nodes: Sequence[str] | None, wish: str) -> None:
        wanted = None if nodes is None else frozenset(nodes)
        for group in self._staff.groups.values():
            found = group.remove(execution, wanted)
            for held in found:
                held.wish = wish
            if found:
                self._loop.call_soon(self._hand_back, found)
            for worker in list(group.workers):
                self._take_back_begun(worker, execution, wanted, wish)

    def _take_back_begun(self, worker: WorkerProcess, execution: str, wanted: frozenset[str] | None, wish: str) -> None:
        for strand in worker.strands:
            begun, behind = strand.marks.begun, False
            for number, held in strand.pending.items():
                if held.lane.execution != execution or (wanted is not None and held.run.node not in wanted):
                    continue
                if wish == "cancel" or held.wish is None:
                    held.wish = wish
                if number > begun:
                    behind = True
                elif number == begun and wish == "cancel":
                    self._end_cancelled(worker, number, held)
            if behind:
                worker.recall(strand)

    def _end_cancelled(self, worker: WorkerProcess, number: int, held: Held) -> None:
        self.end(worker, held, Doom(number, "cancelled", endings.cancelled_while_it_ran(held.run)))

    def end(self, worker: WorkerProcess, held: Held, doom: Doom) -> None:
        """End a run that has begun: with its process, or among others by itself, unless it keeps them all waiting."""
        if held.strand is None or worker.keeps_the_loop(doom.number):
            worker.kill(doom)
        else:
            worker.ask_to_end(doom, held)

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
        for group in self._staff.groups.values():
            if group.is_waiting:
                self._hand_out(group)
        for group in self._staff.groups.values():
            if group.is_waiting:
                self._grow(group)
        self._rounds.soon()

    def _hand_out(self, group: Group) -> None:
        self._hand_out_beside(group)
        for worker in untried_first(group.workers):
            if not worker.pending:
                batch = group.next(self._admitted)
                if batch is None:
                    break
                if worker.runs:
                    group.idle_at = self._clock()
                self._give(group, worker, batch)
        now = self._clock()
        for worker in available(group.workers):
            if not group.free:
                return
            if worker.lanes <= 1 and worker.need is NOTHING and worker.entry is not None and not worker.is_shared:
                average = group.average(worker.entry, group.free[0].lane.settings.entry)
                if planning.may_hand_ahead(worker.lanes, average, now - worker.marks.since):
                    self._give(group, worker, group.free.popleft())

    def _hand_out_beside(self, group: Group) -> None:
        while group.beside:
            oldest = group.free[0].since if group.free else math.inf
            spare = self._clock() - oldest > self._options.spare_after_seconds
            host = sharing.host(group.workers, self._options.shared_workers, spare=spare)
            if host is None:
                return
            batch = group.beside.popleft()
            self._bound(group, host, batch)
            host.give_beside(batch.lane, batch.runs)
            if len(host.open) > 1 and len(group.workers) + group.starting < self._options.shared_workers:
                self._staff.grow(group, 1, batch.since)

    def _admitted(self, need: Need) -> bool:
        return self._admission is not None and self._admission.take(need)

    def _give(self, group: Group, worker: WorkerProcess, batch: Batch) -> None:
        self._bound(group, worker, batch)
        if batch.need is not NOTHING:
            worker.need = batch.need
        worker.give(batch.lane, batch.runs)

    def _bound(self, group: Group, worker: WorkerProcess, batch: Batch) -> None:
        """What is more than the process may run waits for another."""
        rest = batch.split(worker.room)
        if rest is not None:
            group.put_first(rest)

    def _grow(self, group: Group) -> None:
        """More processes for what could begin. What waits for a core or a device would find none in them.

        A process that starts is given nothing yet: another may be free before it is. But each will take a lane."""
        could = [*group.free, *itertools.islice(group.beside, 0, None, LANES)]
        if group.needing and self._admission is not None:
            could += list(group.needing)[: self._admission.room_for(batch.need for batch in group.needing)]
        if could:
            ends = (could[0], could[-1])  # in order of age, but for different priorities
            oldest = min(batch.since for batch in (ends if ends[0].priority == ends[1].priority else could))
            self._staff.grow(group, len(could), max(oldest, group.idle_at))

    # -- processes -------------------------------------------------------------------------------

    def employ(self, group: Group, started: spawner.Started) -> WorkerProcess:
        hello = protocol.first_message(
            group.code.bundle_path, self._blobs_path, self._secret, group.code.sys_path, self._projects
        )
        self._soon()
        limit = self._options.runs_per_worker
        return WorkerProcess(self._loop, _GroupOwner(self, group), started, hello, self._listening, limit)

    def cannot_start(self, group: Group, why: str) -> None:
        for held in group.drain():
            message = f"no process could be started with {group.code.interpreter} in {group.code.working_dir}: {why}"
            record = endings.error(held.run, "code_unavailable", "WorkerStartError", message)
            self.report(endings.ending(held, "failed", None, record, None))

    def worker_ready(self, group: Group, worker: WorkerProcess) -> None:
        self._staff.ready(group, worker)
        if group.shares:
            worker.open_loop()
        if group.is_waiting:
            self._soon()

    def worker_exited(self, group: Group, worker: WorkerProcess, returncode: int) -> None:
        group.workers.remove(worker)
        if worker.is_ready and worker.pending and worker.current() is None and worker.doom is None:
            self._settle_unbegun(worker, returncode)
        elif worker.is_shared:
            self._settle_shared(worker, returncode)
        elif (current := worker.current()) is not None:
            number, held = current
            del worker.pending[number]
            tail = worker.tail()
            self.read_captured(worker, held, None, whole=True)
            self.report(endings.death(worker, held, number, returncode, tail))
        rest = list(worker.pending.values())
        worker.pending.clear()
        if worker.is_ready:
            for held in rest:
                held.wish = held.wish or "return"
        group.put_back([held for held in rest if held.wish is None], worker.need, self._clock())
        self._hand_back([held for held in rest if held.wish is not None])
        self._relieve(worker)
        if worker.is_ready and not worker.retired:
            self._staff.make_up_for(group)
        if not worker.is_ready:
            self._staff.start_failed(group, worker.tail() or f"it ended with {returncode}")
        self._soon()

    def _settle_unbegun(self, worker: WorkerProcess, returncode: int) -> None:
        """It ended between two runs. Most often by chance; where it is what it was to begin with next, that is the
        first that it was given, or any of those that were to go beside each other."""
        if worker.is_shared:
            for held in worker.pending.values():
                self._suspects.add(held)
            return
        number, held = next(iter(worker.pending.items()))
        if held.wish == "cancel":
            return
        outcome = self._unbegun.charged(held, returncode, worker.tail())
        if outcome is not None:
            del worker.pending[number]
            self.report(outcome)

    def _settle_shared(self, worker: WorkerProcess, returncode: int) -> None:
        """What becomes of the runs that had begun beside each other."""
        begun = worker.begun()
        culprit = worker.doom.number if worker.doom is not None else None
        blocker = worker.steps.begun if worker.doom is not None else 0
        self.read_captured(worker, begun[0][1], None, whole=True) if begun else None
        for number, held in begun:
            del worker.pending[number]
            doom = worker.doom if number == culprit else held.doom
            if doom is not None:
                self.report(endings.doomed(worker, held, doom))
            elif culprit is None and len(begun) == 1:
                self.report(endings.death(worker, held, number, returncode, worker.tail()))
            else:
                if culprit is None or number == blocker:
                    self._suspects.add(held)
                self.report(endings.shared_death(worker, held, None if culprit is not None else returncode))

    # -- what workers say ------------------------------------------------------------------------

    def run_ended(
        self, group: Group, worker: WorkerProcess, held: Held, outcome: Outcome, written: list[int] | None
    ) -> None:
        if written is not None:
            self.read_captured(worker, held, written, whole=True)
        if held.peak > (outcome.memory or 0):
            outcome.memory = held.peak
        group.learn(held.lane.settings.entry, outcome.ended - (outcome.started or outcome.ended))
        if held.doom is not None:
            outcome = self._ended_as_asked(worker, held, outcome)
        if not worker.pending:
            self._relieve(worker)
        self._staff.replace_if_due(group, worker)
        self._suspects.clear(held)
        self._unbegun.clear(held)
        self.report(outcome)
        if group.is_waiting:
            self._soon()

    def _ended_as_asked(self, worker: WorkerProcess, held: Held, outcome: Outcome) -> Outcome:
        """It was asked to end: unless it was through in time, it has the ending that it was asked for."""
        assert held.doom is not None
        limit = held.lane.settings.timeout
        took = outcome.ended - (outcome.started or outcome.ended)
        if held.doom.status == "timeout" and outcome.status == "completed" and limit is not None and took <= limit:
            return outcome
        end_strays([worker.mark], of=f"{held.lane.execution}:{held.run.node}")
        return endings.doomed(worker, held, held.doom)

    def run_gave(self, worker: WorkerProcess, held: Held, start: int, texts: list[str], began: float) -> None:
        execution, run = held.lane.execution, held.run
        if not held.announced:
            held.announced = True
            self.report(Begun(execution, run.node, run.attempt, began, worker.name))
        self.report(ItemsOut(execution, run.node, run.attempt, start, texts))

    def _relieve(self, worker: WorkerProcess) -> None:
        """What the worker's lane needed is free again."""
        if worker.need is not NOTHING and not worker.pending and self._admission is not None:
            self._admission.give_back(worker.need)
            worker.need = NOTHING
            self._soon()

    def read_captured(self, worker: WorkerProcess, held: Held, ends: list[int] | None, *, whole: bool) -> None:
        out_end, err_end = ends if ends is not None else (None, None)
        out = worker.captured[0].read("info", "stdout", out_end, whole)
        err = worker.captured[1].read("warning", "stderr", err_end, whole)
        if bearable := bounded(held, itertools.chain(out, err)):
            self.run_said(held, bearable)

    def run_said(self, held: Held, lines: list[Any]) -> None:
        self.report(LogLines(held.lane.execution, held.run.node, held.run.attempt, [tuple(line) for line in lines]))

    def runs_returned(self, group: Group, worker: WorkerProcess, found: list[Held]) -> None:
        group.put_back([held for held in found if held.wish is None], worker.need, self._clock())
        self._hand_back([held for held in found if held.wish is not None])
        for number, held in worker.begun():  # it began in the moment of the recall
            if held.wish == "cancel":
                self._end_cancelled(worker, number, held)
        self._relieve(worker)
        self._staff.replace_if_due(group, worker)
        self._soon()

    def _hand_back(self, found: list[Held]) -> None:
        returned: dict[str, list[tuple[str, int]]] = {}
        for held in found:
            if held.wish == "cancel":
                self.report(endings.cancelled(held))
            else:
                returned.setdefault(held.lane.execution, []).append((held.run.node, held.run.attempt))
        for execution, runs in returned.items():
            self.report(Returned(execution, runs))


class _GroupOwner:
    """Joins a worker's words with its group."""

    def __init__(self, pool: EmbeddedPool, group: Group) -> None:
        self._pool = pool
        self._group = group

    def ended(self, worker: WorkerProcess, held: Held, outcome: Outcome, written: list[int] | None) -> None:
        self._pool.run_ended(self._group, worker, held, outcome, written)

    def gave(self, worker: WorkerProcess, held: Held, start: int, began: float, texts: list[str]) -> None:
        self._pool.run_gave(worker, held, start, texts, began)

    def returned(self, worker: WorkerProcess, held: list[Held]) -> None:
        self._pool.runs_returned(self._group, worker, held)

    def said(self, held: Held, lines: list[Any]) -> None:
        self._pool.run_said(held, lines)

    def ready(self, worker: WorkerProcess) -> None:
        self._pool.worker_ready(self._group, worker)

    def exited(self, worker: WorkerProcess, returncode: int) -> None:
        self._pool.worker_exited(self._group, worker, returncode)
