"""A lane that a worker holds, and what it knows of those that it does not hold."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from twingraph.core.errors import ErrorCode
from twingraph.core.records import ErrorRecord
from twingraph.dispatch.base import Dispatch, NodeRun, Outcome
from twingraph.dispatch.celery.messages import Offer, Wish

# So many lanes that are over, or that were recalled before they came, are known.
REMEMBERED = 10_000
# So long after it was said last does a queue count as one in which something waits.
BACKLOG_SECONDS = 60.0

Kept = TypeVar("Kept")


class Carried:
    """Changed on the worker's loop alone."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.open = {run.node: run for run in offer.runs}
        self.begun: dict[str, None] = {}
        self.waiting: list[Callable[[], object]] = []  # called when it has ended,
        self.told: Callable[[], None] | None = None  # and when its conductor hears who has it
        self.shared = False  # while nobody knows that it is here, another worker may be given it
        self.pool: Dispatch | None = None
        self.silent: set[str] = set()  # of these nodes nobody wants to hear
        self.given_up: set[str] = set()  # these are ended because the worker ends
        self.claimed_at: float | None = None

    def release(self) -> None:
        """It has ended: those who wait for it acknowledge it."""
        waiting, self.waiting = self.waiting, []
        for ended in waiting:
            ended()


def picture(lanes: Sequence[Carried]) -> dict[str, object]:
    """What a status says of them."""
    return {
        "lanes": len(lanes),
        "runs": sum(len(carried.open) for carried in lanes),
        "running": [[carried.offer.execution, node] for carried in lanes for node in list(carried.begun)][:200],
    }


class Over:
    """Lanes that have ended here."""

    def __init__(self) -> None:
        self._latest: OrderedDict[str, None] = OrderedDict()

    def add(self, lane: str) -> None:
        _remember(self._latest, lane, None)

    def __contains__(self, lane: str) -> bool:
        return lane in self._latest


class Unwanted:
    """Wishes for lanes that have not come yet."""

    def __init__(self) -> None:
        self._acts: OrderedDict[str, dict[str, frozenset[str] | None]] = OrderedDict()  # by act: which nodes

    def keep(self, wish: Wish) -> None:
        acts = self._acts.get(wish.lane, {})
        known = acts.get(wish.act, frozenset())
        acts[wish.act] = None if wish.nodes is None or known is None else known.union(wish.nodes)
        _remember(self._acts, wish.lane, acts)

    def take(self, lane: str) -> list[Wish]:
        acts = self._acts.pop(lane, {})
        return [Wish(act, lane, None if nodes is None else list(nodes)) for act, nodes in acts.items()]


class Desks:
    """Which conductor has an execution that was taken over."""

    def __init__(self) -> None:
        self._latest: OrderedDict[str, tuple[str, int]] = OrderedDict()  # with the epoch

    def moves(self, execution: str, desk: str, epoch: int) -> bool:
        """Whether it is there now. One that does not know yet that it lost it is not heard."""
        if epoch < self._latest.get(execution, ("", 0))[1]:
            return False
        _remember(self._latest, execution, (desk, epoch))
        return True

    def has_left(self, execution: str, desk: str) -> bool:
        return self._latest.get(execution, (desk, 0))[0] != desk


class Backlogs:
    """Queues of which conductors say that something has been waiting there for long. On any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard: OrderedDict[str, float] = OrderedDict()

    def hear(self, names: Iterable[str]) -> None:
        for name in names:
            _remember(self._heard, name, self._clock())

    def names(self) -> list[str]:
        now = self._clock()
        return sorted(name for name, at in list(self._heard.items()) if now - at < BACKLOG_SECONDS)


def _remember(kept: OrderedDict[str, Kept], key: str, value: Kept) -> None:
    kept[key] = value
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)


def handed_back(node: str) -> ErrorRecord:
    message = f"the worker that ran {node} was asked to end; it runs again"
    return ErrorRecord(code=ErrorCode.WORKER_LOST, error_type="WorkerLost", message=message, node_id=node)


def cancelled(carried: Carried, run: NodeRun, worker: str) -> Outcome:
    message = f"{run.node} was cancelled before it began"
    record = ErrorRecord(code=ErrorCode.CANCELLED, error_type="Cancelled", message=message, node_id=run.node)
    return _not_begun(carried, run, worker, "cancelled", record)


def refused(carried: Carried, run: NodeRun, worker: str, error: Exception) -> Outcome:
    record = ErrorRecord(
        code=ErrorCode.CODE_UNAVAILABLE,
        error_type=type(error).__name__,
        message=f"{run.node} cannot run on the worker {worker}: {error}",
        node_id=run.node,
        attempt=run.attempt,
    )
    return _not_begun(carried, run, worker, "failed", record)


def _not_begun(carried: Carried, run: NodeRun, worker: str, status: str, record: ErrorRecord) -> Outcome:
    """The end of a run that no pool has had."""
    execution = carried.offer.execution
    return Outcome(
        execution, run.node, run.attempt, status, None, time.time(), worker=worker, error=record, begun=False
    )
