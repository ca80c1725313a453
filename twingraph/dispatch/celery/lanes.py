"""The lanes that a worker holds: how each begins in a pool, what the pool says of it, and how it leaves.

On the worker's loop alone, but for `picture`. Every way out of here closes a run, and the last one its lane.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from twingraph.dispatch.base import Begun, CodeRef, Dispatch, NodeRun, Outcome, Report, Returned
from twingraph.dispatch.celery.carried import Carried, Over, cancelled, handed_back, picture, refused
from twingraph.dispatch.celery.messages import Word
from twingraph.dispatch.celery.pools import Pools
from twingraph.dispatch.celery.room import Room
from twingraph.dispatch.celery.telling import Telling

# The conductor gives an attempt up when it has not heard of it for long; more than a few are not here at once.
OLDER_ATTEMPTS = 3


class Lanes:
    def __init__(self, worker: str, loop: asyncio.AbstractEventLoop, telling: Telling, room: Room) -> None:
        self._worker = worker
        self._telling = telling
        self._room = room
        self._pools = Pools(loop, self._report)
        self._lanes: dict[str, Carried] = {}
        self._runs: dict[tuple[str, str, int], Carried] = {}
        self._over = Over()
        self.ran = 0

    # -- which are here ------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Carried]:
        """A picture of now: they may leave meanwhile."""
        return iter(list(self._lanes.values()))

    def get(self, lane: str) -> Carried | None:
        return self._lanes.get(lane)

    def is_over(self, lane: str) -> bool:
        return lane in self._over

    def picture(self) -> dict[str, object]:
        """Read from another thread."""
        return {"ran": self.ran, **picture(list(self._lanes.values()))}

    # -- coming and running --------------------------------------------------------------------------

    def hold(self, carried: Carried) -> None:
        self._lanes[carried.offer.id] = carried

    def begin(self, carried: Carried, code: CodeRef, pool: Dispatch) -> None:
        """What of it is still open."""
        runs = list(carried.open.values())
        carried.pool = pool
        for run in runs:
            self._end_older(carried.offer.execution, run)
            self._runs[carried.offer.execution, run.node, run.attempt] = carried
        lane = carried.offer.lane(code)
        lane.runs = runs
        self._with_pool(carried, pool, lambda: pool.submit(lane))

    def _end_older(self, execution: str, run: NodeRun) -> None:
        """An attempt of the same node that the conductor gave up while it could not be heard."""
        for attempt in range(run.attempt - 1, max(0, run.attempt - 1 - OLDER_ATTEMPTS), -1):
            older = self._runs.get((execution, run.node, attempt))
            if older is not None and older.pool is not None:
                older.silent.add(run.node)
                self.cancel(older, older.pool, [run.node])

    def cancel(self, carried: Carried, pool: Dispatch, nodes: Sequence[str]) -> None:
        self._with_pool(carried, pool, lambda: pool.cancel(carried.offer.execution, nodes))

    def recall(self, carried: Carried, pool: Dispatch, nodes: Sequence[str]) -> None:
        """Those of them that have not begun; the pool says which."""
        self._with_pool(carried, pool, lambda: pool.recall(carried.offer.execution, nodes))

    def _with_pool(self, carried: Carried, pool: Dispatch, act: Callable[[], None]) -> None:
        """Where that fails, what it was to do for this lane cannot be done here."""
        self._pools.use(pool, act, partial(self.refuse, carried))

    def _report(self, report: Report) -> None:
        """Of a pool."""
        if type(report) is Returned:
            for node, attempt in report.runs:
                carried = self._runs.get((report.execution, node, attempt))
                if carried is not None:
                    self.hand_back(carried, [carried.open[node]])
            return
        assert not isinstance(report, Returned)
        carried = self._runs.get((report.execution, report.node, report.attempt))
        if carried is None:
            return
        if type(report) is Outcome:
            report.worker = f"{self._worker}/{report.worker}" if report.worker else self._worker
            if report.status == "cancelled" and report.node in carried.given_up:
                report.status, report.begun, report.error = "lost", False, handed_back(report.node)
            self._ended(carried, report)
            return
        if type(report) is Begun:
            carried.begun[report.node] = None
            report.worker = f"{self._worker}/{report.worker}"
        if report.node not in carried.silent:
            self.say(carried, report)

    def say(self, carried: Carried, word: Word) -> None:
        self._telling.say(carried.offer.desk, word, more=len(self._runs) > 1)

    # -- leaving -------------------------------------------------------------------------------------

    def hand_back(self, carried: Carried, some: Sequence[NodeRun] | None = None) -> None:
        """To its conductor, uncharged: all that is open where none are named."""
        runs = list(carried.open.values()) if some is None else some
        back = [(run.node, run.attempt) for run in runs if run.node not in carried.silent]
        if back:
            self.say(carried, Returned(carried.offer.execution, back))
        self.forget(carried, runs)

    def call_off(self, carried: Carried, runs: Sequence[NodeRun]) -> None:
        """Runs that no pool has had."""
        for run in runs:
            self._ended(carried, cancelled(carried, run, self._worker))

    def refuse(self, carried: Carried, error: Exception) -> None:
        """It cannot be run on this machine."""
        for run in list(carried.open.values()):
            self._ended(carried, refused(carried, run, self._worker, error))

    def forget(self, carried: Carried, runs: Sequence[NodeRun]) -> None:
        for run in runs:
            self._close(carried, run.node)

    async def stop(self) -> None:
        await self._pools.stop()

    def _ended(self, carried: Carried, outcome: Outcome) -> None:
        self.ran += 1
        if outcome.node not in carried.silent:
            self.say(carried, outcome)
        self._close(carried, outcome.node)

    def _close(self, carried: Carried, node: str) -> None:
        run = carried.open.pop(node, None)
        if run is None:
            return
        carried.begun.pop(node, None)
        self._runs.pop((carried.offer.execution, node, run.attempt), None)
        if not carried.open:
            del self._lanes[carried.offer.id]
            self._room.give_back(carried.offer.id)
            self._over.add(carried.offer.id)
            self._telling.after(carried.offer.desk, carried.release)
