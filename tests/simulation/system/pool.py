"""The pool of one process as a double: it runs lanes, loses workers, and speaks late, twice and out of turn."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twingraph.core.codec import hash_text
from twingraph.core.plan import NodeKind
from twingraph.core.records import ErrorRecord
from twingraph.dispatch.base import Begun, ItemsOut, Lane, LogLines, NodeRun, Outcome, Report, Returned

if TYPE_CHECKING:
    from tests.simulation.system.process import Process


@dataclass(eq=False)
class Worker:
    """What carries one lane out."""

    lane: Lane
    left: deque[NodeRun]
    kinds: dict[str, NodeKind | None]
    now: Going | None = None
    counted: bool = True


@dataclass(eq=False)
class Going:
    """A run whose user code has begun."""

    run: NodeRun
    began: float
    spoke: float = 0.0  # when the last report about it arrives
    items: int = 0

    def item(self, number: int) -> str:
        """What a generator yields: something else in each attempt."""
        return json.dumps([self.run.attempt, number])


@dataclass(eq=False)
class Effect:
    """User code has begun once: something outside may have happened."""

    process: Process
    epoch: int
    attempt: int
    over: bool = False  # the pool has seen its end


class Pool:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._world = process.world
        self._chance = process.world.chance
        self._report: Callable[[Report], None]
        self._workers: list[Worker] = []
        self._owed: list[tuple[Outcome, int]] = []  # what the conductor was told and has not written, and its epoch
        self.cut_off_until = 0.0

    async def start(self, report: Callable[[Report], None]) -> None:
        self._report = report

    async def stop(self) -> None:
        self._workers.clear()

    def submit(self, lane: Lane) -> None:
        self._process.before("submit")
        known = self._world.store.by_id[lane.execution]
        kinds: dict[str, NodeKind | None] = {}
        for run in lane.runs:
            node = known.shadow.nodes.get(run.node)
            if node is None or node.attempt < run.attempt:
                self._world.broken(f"attempt {run.attempt} of {run.node} of {lane.execution} is not in the journal")
            else:
                kinds[run.node] = node.kind
                ours = known.owner == self._process.name and node.attempt == run.attempt and node.owns
                if ours and node.spec is not None and known.shadow.specs[node.spec].cache:
                    self._world.store.check_owner(known.number, run.node)
        worker = Worker(lane, deque(lane.runs), kinds)
        first = known.shadow.nodes[lane.runs[0].node]
        endless = first.spec is not None and known.shadow.specs[first.spec].endless
        worker.counted = first.kind is not NodeKind.HANDLER and not endless
        self._workers.append(worker)
        self._check_lanes(lane.execution)
        self._later(self._chance.expovariate(4), lambda: self._advance(worker))

    def _check_lanes(self, execution: str) -> None:
        lanes = sum(worker.counted for worker in self._workers if worker.lane.execution == execution)
        most = self._world.store.by_id[execution].shadow.settings.max_parallel
        if lanes > most:
            self._world.broken(f"{lanes} lanes of {execution} run at once in {self._process.name}, not {most}")

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        self._process.before("recall")
        returned = [run for worker in self._of(execution) for run in self._withdraw(worker, nodes)]
        if returned:
            self._tell(Returned(execution, [(run.node, run.attempt) for run in returned]), None)

    def cancel(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        self._process.before("cancel")
        for worker in self._of(execution):
            going = worker.now
            if going is not None and (nodes is None or going.run.node in nodes):
                self._end(worker, going, self._chance.choice(("cancelled", "cancelled", "cancelled", "failed")))
            for run in self._withdraw(worker, nodes):
                self._tell(self._outcome(worker.lane, run, "cancelled", begun=False), None)

    # -- workers ---------------------------------------------------------------------------------

    def _of(self, execution: str) -> list[Worker]:
        return [worker for worker in self._workers if worker.lane.execution == execution]

    def _withdraw(self, worker: Worker, nodes: Sequence[str] | None) -> list[NodeRun]:
        taken = [run for run in worker.left if nodes is None or run.node in nodes]
        worker.left = deque(run for run in worker.left if run not in taken)
        if worker.now is None and not worker.left and worker in self._workers:
            self._workers.remove(worker)
        return taken

    def _later(self, delay: float, act: Callable[[], None]) -> None:
        self._world.agenda.after(delay, lambda: act() if not self._process.dead else None)

    def _advance(self, worker: Worker) -> None:
        if worker.now is not None or worker not in self._workers:
            return
        if not worker.left:
            self._workers.remove(worker)
            return
        run = worker.left.popleft()
        going = worker.now = Going(run, self._process.clock())
        self._world.effect(self._process, worker.lane.execution, run)
        slow = self._chance.random() < 0.3
        if slow or worker.lane.settings.generator:
            self._tell(Begun(worker.lane.execution, run.node, run.attempt, going.began, "w"), going)
        if worker.lane.settings.generator:
            self._later(self._chance.expovariate(2), lambda: self._give(worker, going))
        takes = self._chance.choice((0.0, 0.01, 1.0, 5.0)) if slow else self._chance.choice((0.0, 0.001, 0.5))
        self._later(takes, lambda: self._come_to_end(worker, going))

    def _give(self, worker: Worker, going: Going) -> None:
        if worker.now is not going:
            return
        texts = [going.item(going.items + at) for at in range(self._chance.choice((0, 1, 2, 5)))]
        if texts:
            lane, run = worker.lane, going.run
            self._tell(ItemsOut(lane.execution, run.node, run.attempt, going.items, texts), going)
            going.items += len(texts)
        self._later(self._chance.expovariate(2), lambda: self._give(worker, going))

    def _come_to_end(self, worker: Worker, going: Going) -> None:
        if worker.now is not going:
            return
        luck = self._chance.random() if self._world.hostile else 1.0
        if luck < 0.03:
            self._lose(worker, going)
        elif luck < 0.14:
            self._end(worker, going, self._chance.choice(("failed", "failed", "timeout", "crashed", "oom")))
        else:
            self._end(worker, going, "completed")

    def _lose(self, worker: Worker, going: Going) -> None:
        """Killed from outside: what had begun in it is charged, what waited in it is not."""
        waiting, worker.left = list(worker.left), deque()
        self._end(worker, going, "lost")
        for run in waiting:
            self._tell(self._outcome(worker.lane, run, "lost", begun=False), None)

    def _end(self, worker: Worker, going: Going, status: str) -> None:
        worker.now = None
        outcome = self._outcome(worker.lane, going.run, status, started=going.began)
        if status == "completed":
            named = self._outputs(worker, going)
            outcome.outputs = [(name, hash_text(text), len(text)) for name, text in named.items()]
            outcome.texts = list(named.values())
        if self._chance.random() < 0.1:
            lines = [(self._process.clock(), "info", "stdout", "a line")]
            self._tell(LogLines(worker.lane.execution, going.run.node, going.run.attempt, lines), going)
        self._tell(outcome, going)
        self._advance(worker)

    def _outputs(self, worker: Worker, going: Going) -> dict[str, str]:
        kind = worker.kinds.get(going.run.node)
        if kind is NodeKind.BRANCH:
            return {"output": self._chance.choice(("true", "false"))}
        if kind is NodeKind.MAP:
            keys = [str(number) for number in range(self._chance.choice((0, 1, 2, 3, 5)))]
            return {key: json.dumps(f"item {key}") for key in keys}
        if worker.lane.settings.generator:
            return {"output": "[" + ",".join(map(going.item, range(going.items))) + "]"}
        return {"output": json.dumps(f"{going.run.node} of {worker.lane.execution}")}

    def _outcome(
        self, lane: Lane, run: NodeRun, status: str, *, started: float | None = None, begun: bool = True
    ) -> Outcome:
        error = None
        if status not in ("completed", "lost", "cancelled"):
            kind = self._chance.choice(("ValueError", "KeyError"))
            permanent = self._chance.random() < 0.1
            error = ErrorRecord(code="user_error", error_type=kind, message="no", permanent=permanent)
        ended = self._process.clock()
        return Outcome(
            lane.execution, run.node, run.attempt, status, started, ended, shape="plain", error=error, begun=begun
        )

    # -- reports ---------------------------------------------------------------------------------

    def _tell(self, report: Report, going: Going | None) -> None:
        """It arrives after a while, and an outcome now and then once more. Words of one run keep their order."""
        now = self._world.agenda.now
        delay = self._chance.choice((0.0, 0.0, 0.001, 0.1)) if self._world.hostile else 0.0
        delay = max(delay, self.cut_off_until - now)
        if going is not None:
            delay = max(delay, going.spoke - now)
            going.spoke = now + delay
        self._deliver(report, delay)
        if isinstance(report, Outcome) and self._world.hostile and self._chance.random() < 0.05:
            self._deliver(report, delay + self._chance.uniform(0.1, 20))

    def _deliver(self, report: Report, delay: float) -> None:
        self._later(delay, lambda: self._process.loop.call_soon(self._hand_over, report))

    def _hand_over(self, report: Report) -> None:
        epoch = self._epoch_of(report.execution)
        self._report(report)
        if epoch is not None and isinstance(report, Outcome):
            self._owed.append((report, epoch))

    def _epoch_of(self, execution: str) -> int | None:
        """Under which the process holds it."""
        held = (held.epoch for held in self._process.conductor.held() if held.state.execution == execution)
        return next(held, None)

    def committed(self, unwritten: Collection[str]) -> None:
        """What is not about these may be forgotten here: it is written, or nobody's who holds the execution."""
        owed, self._owed = self._owed, []
        for outcome, epoch in owed:
            known = self._world.store.by_id[outcome.execution]
            if outcome.execution in unwritten:
                self._owed.append((outcome, epoch))
            elif known.epoch != epoch or self._epoch_of(known.id) != epoch or known.over:
                continue
            elif (outcome.node, outcome.attempt) not in known.ended:
                self._world.broken(f"the end of {outcome.node} of {known.id} counts as written, and is not")
