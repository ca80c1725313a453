"""How executions and their parts are written for programs: the shapes that the reference document shows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from twingraph.core.execution import (
    ExecutionRecord,
    LogRecord,
    Progress,
    record_to_wire,
)


def time_to_wire(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC with `Z`; fractions of a second where there are any."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def duration(record: ExecutionRecord) -> float | None:
    """Seconds from start to end; None while it is not over."""
    if record.started_at is None or record.completed_at is None:
        return None
    return round((record.completed_at - record.started_at).total_seconds(), 6)


def progress_to_wire(progress: Progress) -> dict[str, int]:
    return {
        "total_nodes": progress.total_nodes,
        "completed_nodes": progress.completed_nodes,
        "running_nodes": progress.running_nodes,
        "failed_nodes": progress.failed_nodes,
        "skipped_nodes": progress.skipped_nodes,
    }


def execution_to_wire(record: ExecutionRecord, outputs: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The body of GET execution. `outputs` are decoded values; lists of executions leave them out."""
    return {
        "execution_id": record.id,
        "workflow_id": record.workflow_id,
        "name": record.name,
        "status": str(record.status),
        "reason": record.reason,
        "created_at": time_to_wire(record.created_at),
        "started_at": time_to_wire(record.started_at),
        "completed_at": time_to_wire(record.completed_at),
        "duration": duration(record),
        "progress": progress_to_wire(record.progress),
        "outputs": dict(outputs) if outputs else None,
        "error": record_to_wire(record.error),
        "owner": record.owner,
        "replay_of": record.replay_of,
    }


def log_to_wire(record: LogRecord) -> dict[str, Any]:
    return {
        "seq": record.seq,
        "timestamp": time_to_wire(record.timestamp),
        "level": record.level,
        "component_id": record.component,
        "node_id": record.node_id,
        "attempt": record.attempt,
        "stream": record.stream,
        "message": record.message,
    }
