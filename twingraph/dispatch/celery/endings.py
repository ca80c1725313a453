"""What a conductor says itself of runs that no worker speaks of any more. Pure but for the time of day."""

from __future__ import annotations

import time

from twingraph.core.errors import ErrorCode
from twingraph.core.records import ErrorRecord
from twingraph.dispatch.base import Lane, NodeRun, Outcome
from twingraph.dispatch.celery.holding import Gone, Sent


def cancelled(lane: Lane, run: NodeRun) -> Outcome:
    message = f"{run.node} was cancelled before it began"
    record = ErrorRecord(code=ErrorCode.CANCELLED, error_type="Cancelled", message=message, node_id=run.node)
    return Outcome(lane.execution, run.node, run.attempt, "cancelled", None, time.time(), error=record, begun=False)


def lost(sent: Sent, run: NodeRun, why: str, *, charged: bool) -> Outcome:
    record = ErrorRecord(
        code=ErrorCode.WORKER_LOST,
        error_type="WorkerLost",
        message=f"{why} while {run.node} was its",
        node_id=run.node,
        attempt=run.attempt,
    )
    return Outcome(
        sent.lane.execution,
        run.node,
        run.attempt,
        "lost",
        None,
        time.time(),
        worker=sent.holder,
        error=record,
        begun=charged,
    )


def vanished(one: Gone) -> Outcome:
    record = ErrorRecord(
        code=ErrorCode.WORKER_LOST,
        error_type="NobodyTookIt",
        message=f"{one.run.node} was taken out of the queue {one.sent.queue} again and again, and nobody said so: "
        "workers refuse what is not signed with their key; give conductors and workers the same TWINGRAPH_WORKER_KEY",
        node_id=one.run.node,
        attempt=one.run.attempt,
        permanent=True,
    )
    return Outcome(
        one.sent.lane.execution,
        one.run.node,
        one.run.attempt,
        "failed",
        None,
        time.time(),
        error=record,
        begun=False,
    )


def unsendable(sent: Sent, run: NodeRun, error: Exception) -> Outcome:
    record = ErrorRecord(
        code=ErrorCode.INTERNAL,
        error_type="Unsendable",
        message=f"{run.node} could not be sent to the queue {sent.queue:.100}: the broker does not take the message "
        f"({type(error).__name__}: {error})",
        node_id=run.node,
        attempt=run.attempt,
        permanent=True,
    )
    return Outcome(sent.lane.execution, run.node, run.attempt, "failed", None, time.time(), error=record, begun=False)
