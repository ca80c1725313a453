"""A lane that a worker holds."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TypeVar

from twingraph.core.errors import ErrorCode
from twingraph.core.records import ErrorRecord
from twingraph.dispatch.base import Dispatch, NodeRun, Outcome
from twingraph.dispatch.celery.messages import Offer

Known = TypeVar("Known")
# So many lanes that are over, or that were recalled before they came, are known.
REMEMBERED = 10_000


class Carried:
    """Changed on the worker's loop alone."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.open = {run.node: run for run in offer.runs}
        self.begun: dict[str, None] = {}
        self.waiting: list[threading.Event] = []  # threads of Celery that acknowledge at the end
        self.pool: Dispatch | None = None
        self.silent: set[str] = set()  # of these nodes nobody wants to hear
        self.given_up: set[str] = set()  # these are ended because the worker ends
        self.claimed_at: float | None = None
        self.due = threading.Event()  # it is known what becomes of it,
        self.wanted = False  # and whether it is to begin

    def release(self) -> None:
        """It has ended: those who wait for it acknowledge it."""
        self.due.set()
        for event in self.waiting:
            event.set()


def handed_back(node: str) -> ErrorRecord:
    message = f"the worker that ran {node} was asked to end; it runs again"
    return ErrorRecord(code=ErrorCode.WORKER_LOST, error_type="WorkerLost", message=message, node_id=node)


def cancelled(run: NodeRun) -> ErrorRecord:
    message = f"{run.node} was cancelled before it began"
    return ErrorRecord(code=ErrorCode.CANCELLED, error_type="Cancelled", message=message, node_id=run.node)


def refused(run: NodeRun, worker: str, error: Exception) -> ErrorRecord:
    return ErrorRecord(
        code=ErrorCode.CODE_UNAVAILABLE,
        error_type=type(error).__name__,
        message=f"{run.node} cannot run on the worker {worker}: {error}",
        node_id=run.node,
        attempt=run.attempt,
    )


def not_begun(carried: Carried, run: NodeRun, worker: str, record: ErrorRecord) -> Outcome:
    """The end of a run, cancelled or failed, that no pool has had."""
    status = "cancelled" if record.code == ErrorCode.CANCELLED else "failed"
    execution = carried.offer.execution
    return Outcome(
        execution, run.node, run.attempt, status, None, time.time(), worker=worker, error=record, begun=False
    )


def remember(kept: OrderedDict[str, Known], key: str, value: Known) -> None:
    kept[key] = value
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)
