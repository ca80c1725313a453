"""From rows of the tables to what readers are given: the same on every database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from twingraph.core.events import error_from_json
from twingraph.core.execution import ExecutionRecord, LogRecord, Progress
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus
from twingraph.store.levels import NAMES

RECORD_COLUMNS = (
    "id, workflow_id, name, status, reason, created_at, started_at, completed_at, total, completed, running, failed, "
    "skipped, error, owner, target, origin, code_version, replay_of, seq"
)
OWNER = 14  # the place of `owner` among them
LOG_COLUMNS = "seq, at, level, node, component, attempt, stream, message"


def record_of(row: Sequence[Any], *, lives: bool) -> ExecutionRecord:
    """`lives`: whether the conductor that is written down as its owner is alive."""
    (
        execution_id, workflow_id, name, status, reason, created, started, completed_at, total, completed, running,
        failed, skipped, error, owner, target, origin, code_version, replay_of, seq,
    ) = row  # fmt: skip
    return ExecutionRecord(
        id=execution_id,
        workflow_id=workflow_id,
        name=name,
        status=ExecutionStatus(status),
        reason=reason,
        created_at=datetime.fromtimestamp(created, UTC),
        started_at=_moment(started),
        completed_at=_moment(completed_at),
        progress=Progress(
            total_nodes=total,
            completed_nodes=completed,
            running_nodes=running,
            failed_nodes=failed,
            skipped_nodes=skipped,
        ),
        error=error_from_json(json.loads(error)) if error else None,
        owner=_owner(ExecutionStatus(status), owner, lives),
        target=target,
        origin=origin,
        code_version=code_version,
        replay_of=replay_of,
        seq=seq,
    )


def log_of(row: Sequence[Any]) -> LogRecord:
    seq, at, number, node_id, component, attempt, stream, message = row
    return LogRecord(
        seq=seq,
        timestamp=datetime.fromtimestamp(at, UTC),
        level=NAMES.get(number, "info"),
        node_id=node_id,
        component=component,
        attempt=attempt,
        stream=stream,
        message=message,
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _owner(status: ExecutionStatus, owner: str | None, lives: bool) -> str:
    """Whether a process looks after it. A pause may last without one; whatever else is not over has lost it."""
    if status in EXECUTION_OVER:
        return "none"
    if owner is None:
        return "none" if status is ExecutionStatus.PAUSED else "gone"
    return "alive" if lives else "gone"
