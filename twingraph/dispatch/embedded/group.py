"""The workers of one code version, and the lanes that wait for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from twingraph.dispatch.base import CodeRef, Lane, NodeRun
from twingraph.dispatch.embedded.admission import Need
from twingraph.dispatch.embedded.process import WorkerProcess
from twingraph.dispatch.embedded.strand import Held


class Batch:
    """What of a lane waits, and what it needs."""

    __slots__ = ("is_beside", "lane", "need", "priority", "runs", "since")

    def __init__(self, lane: Lane, runs: list[NodeRun], need: Need, since: float, *, beside: bool = False) -> None:
        self.lane = lane
        self.runs = runs
        self.need = need
        self.is_beside = beside
        self.since = since
        self.priority = lane.settings.priority

    def split(self, count: int) -> Batch | None:
        """What is beyond so many runs, taken out of it."""
        if len(self.runs) <= count:
            return None
        rest = Batch(self.lane, self.runs[count:], self.need, self.since, beside=self.is_beside)
        self.runs = self.runs[:count]
        return rest

    def goes_before(self, other: Batch) -> bool:
        return (-self.priority, self.since) <= (-other.priority, other.since)


class Group:
    def __init__(self, code: CodeRef) -> None:
        self.code = code
        self.free: deque[Batch] = deque()  # they need nothing but a process
        self.beside: deque[Batch] = deque()  # they may go beside others in one
        self.needing: deque[Batch] = deque()  # they wait for cores or devices too
        self.workers: list[WorkerProcess] = []
        self.starting = 0
        self.failed_starts = 0
        self.shares = False  # some of its runs go beside each other
        self.idle_at = 0.0  # when a process last waited for work: then it is this side that is late
        self.averages: dict[str, float] = {}  # seconds that a run takes, by entry

    @property
    def is_waiting(self) -> bool:
        return bool(self.free or self.needing or self.beside)

    def put(self, batch: Batch) -> None:
        self.shares = self.shares or batch.is_beside
        queue = self._queue(batch)
        if not queue or queue[-1].priority >= batch.priority:
            queue.append(batch)
        else:
            queue.insert(sum(other.priority >= batch.priority for other in queue), batch)

    def _queue(self, batch: Batch) -> deque[Batch]:
        return self.needing if any(batch.need) else self.beside if batch.is_beside else self.free

    def put_back(self, found: Iterable[Held], need: Need, now: float) -> None:
        """To the front again, lane by lane, in the old order."""
        lanes: dict[int, Batch] = {}
        for held in found:
            batch = lanes.get(id(held.lane))
            if batch is None:
                batch = lanes[id(held.lane)] = Batch(held.lane, [], need, now, beside=held.strand is not None)
            batch.runs.append(held.run)
        for batch in reversed(list(lanes.values())):
            self.put_first(batch)

    def put_first(self, batch: Batch) -> None:
        """Before all that is as important."""
        queue = self._queue(batch)
        queue.insert(sum(other.priority > batch.priority for other in queue), batch)

    def next(self, take: Callable[[Need], bool]) -> Batch | None:
        """The most important that may begin, of these the oldest. `take` says whether what it needs is to be had, and
        takes it."""
        free = self.free[0] if self.free else None
        if self.needing:
            needing = self.needing[0]
            if (free is None or needing.goes_before(free)) and take(needing.need):
                return self.needing.popleft()
        if free is not None:
            return self.free.popleft()
        return None

    def remove(self, execution: str, wanted: frozenset[str] | None) -> list[Held]:
        """What of an execution waits here is taken out."""
        found: list[Held] = []
        for queue in (self.free, self.needing, self.beside):
            if not any(batch.lane.execution == execution for batch in queue):
                continue
            for batch in queue:
                if batch.lane.execution == execution:
                    found += [Held(batch.lane, run) for run in batch.runs if wanted is None or run.node in wanted]
                    batch.runs = [run for run in batch.runs if wanted is not None and run.node not in wanted]
            left = [batch for batch in queue if batch.runs]
            queue.clear()
            queue.extend(left)
        return found

    def drain(self) -> list[Held]:
        queues = (self.free, self.needing, self.beside)
        found = [Held(batch.lane, run) for queue in queues for batch in queue for run in batch.runs]
        for queue in queues:
            queue.clear()
        return found

    def learn(self, entry: str, took: float) -> None:
        average = self.averages.get(entry)
        self.averages[entry] = took if average is None else average + 0.2 * (took - average)

    def average(self, *entries: str) -> float | None:
        """The most that a run of one of these takes, when all are known."""
        known = [self.averages.get(entry) for entry in entries]
        return max(seconds for seconds in known if seconds is not None) if None not in known else None
