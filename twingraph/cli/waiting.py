"""Waiting until an execution that was asked to stop, or to stand still, has done so."""

from __future__ import annotations

import time

from twingraph.cli.app import App
from twingraph.core.execution import ExecutionRecord
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus

# What the contract allows for everything of an execution to be gone.
_PATIENCE_SECONDS = 10.0
_POLL_SECONDS = 0.1


def record_of(execution_id: str, app: App) -> ExecutionRecord:
    return app.reader.record(execution_id)


def wait_for(execution_id: str, app: App, *statuses: ExecutionStatus) -> ExecutionRecord:
    """The record once it has one of these statuses or has ended; or as it is when patience has run out."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        record = record_of(execution_id, app)
        if record.status in EXECUTION_OVER or record.status in statuses or time.monotonic() > until:
            return record
        time.sleep(_POLL_SECONDS)
