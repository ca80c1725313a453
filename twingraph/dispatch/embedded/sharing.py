"""Asynchronous runs beside each other in one process: which process takes them, and which of them go alone."""

from __future__ import annotations

from twingraph.dispatch.base import Lane
from twingraph.dispatch.embedded.process import WorkerProcess
from twingraph.dispatch.embedded.staff import available
from twingraph.dispatch.embedded.strand import Held

# Of those that nobody has asked about again, this many are remembered.
_REMEMBERED = 10_000


def host(workers: list[WorkerProcess], shared: int, *, spare: bool) -> WorkerProcess | None:
    """The process for one more lane: `shared` of them fill up evenly before a further one is opened.

    `spare`: others wait for a process, so one of them is left to run empty.
    """
    hosts, idle = [], None
    for worker in available(workers):
        if not worker.pending:
            idle = worker if idle is None or (worker.is_shared and not idle.is_shared) else idle
        elif worker.is_shared and worker.has_room and not worker.is_stuck:
            hosts.append(worker)
    if idle is not None and len(hosts) < shared and not spare:
        return idle
    if spare and hosts:
        hosts.remove(min(hosts, key=_open_lanes))
    return min(hosts, key=_open_lanes, default=None if spare else idle)


def _open_lanes(worker: WorkerProcess) -> int:
    return len(worker.open)


class Suspects:
    """Runs whose process ended while several had begun in it, or that kept the loop to themselves: each goes alone,
    as if it were not asynchronous, until it has ended otherwise than with its process."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], None] = {}

    def add(self, held: Held) -> None:
        self._known[held.lane.execution, held.run.node] = None
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]

    def are_among(self, lane: Lane) -> bool:
        return bool(self._known) and any((lane.execution, run.node) in self._known for run in lane.runs)

    def clear(self, held: Held) -> None:
        if self._known:
            self._known.pop((held.lane.execution, held.run.node), None)
