"""`twingraph pause ID`: start nothing new of an execution; what runs may end."""

from __future__ import annotations

import argparse
import time

from twingraph.cli.app import App
from twingraph.cli.attend import execution_document
from twingraph.cli.errors import COMPLETED, FAILED
from twingraph.cli.words import printable
from twingraph.core.errors import ConflictError
from twingraph.core.execution import ExecutionRecord
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus

EXAMPLE = """twingraph pause last
twingraph pause exec-0jz3m9q2t7k4w1vh"""

_PATIENCE_SECONDS = 10.0
_POLL_SECONDS = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="an execution, or 'last'")


def run(args: argparse.Namespace, app: App) -> int:
    execution_id = app.reader.resolve(args.id)
    record = _record(execution_id, app)
    if record.status in EXECUTION_OVER:
        raise ConflictError(f"{execution_id} has already ended: {record.status}")
    if record.status is not ExecutionStatus.PAUSED:
        if record.owner != "alive":
            raise ConflictError(f"{execution_id} stands still: its process is gone; twingraph resume {execution_id}")
        app.reader.post(execution_id, "pause")
        record = _wait(execution_id, app)
    if record.status is not ExecutionStatus.PAUSED:
        app.console.note(f"asked; {execution_id} is {record.status}: twingraph show {execution_id}")
        return FAILED
    if args.json:
        app.print_json(execution_document(app.reader.view(execution_id), app))
    else:
        app.console.say([("paused ", "yellow"), (f"{execution_id} {printable(record.name)}", "")])
        app.console.note(f"  go on with it: twingraph resume {execution_id}")
    return COMPLETED


def _record(execution_id: str, app: App) -> ExecutionRecord:
    return app.reader.tree(execution_id, children=0).record


def _wait(execution_id: str, app: App) -> ExecutionRecord:
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until:
        record = _record(execution_id, app)
        if record.status is ExecutionStatus.PAUSED or record.status in EXECUTION_OVER:
            return record
        time.sleep(_POLL_SECONDS)
    return _record(execution_id, app)
