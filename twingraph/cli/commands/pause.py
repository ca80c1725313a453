"""`twingraph pause ID`: start nothing new of an execution; what runs may end."""

from __future__ import annotations

import argparse

from twingraph.cli.app import App
from twingraph.cli.attend import execution_document
from twingraph.cli.errors import COMPLETED, FAILED
from twingraph.cli.waiting import record_of, wait_for
from twingraph.cli.words import printable
from twingraph.core.errors import ConflictError
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus

EXAMPLE = """twingraph pause last
twingraph pause exec-0jz3m9q2t7k4w1vh"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="an execution, or 'last'")


def run(args: argparse.Namespace, app: App) -> int:
    execution_id = app.reader.resolve(args.id)
    record = record_of(execution_id, app)
    if record.status in EXECUTION_OVER:
        raise ConflictError(f"{execution_id} has already ended: {record.status}")
    if record.status is not ExecutionStatus.PAUSED:
        if record.owner != "alive":
            raise ConflictError(f"{execution_id} stands still: its process is gone; twingraph resume {execution_id}")
        app.reader.post(execution_id, "pause")
        record = wait_for(execution_id, app, ExecutionStatus.PAUSED)
    if record.status is not ExecutionStatus.PAUSED:
        app.console.note(f"asked; {execution_id} is {record.status}: twingraph show {execution_id}")
        return FAILED
    if args.json:
        app.print_json(execution_document(app.reader.view(execution_id), app))
    else:
        app.console.say([("paused ", "yellow"), (f"{execution_id} {printable(record.name)}", "")])
        app.console.note(f"  go on with it: twingraph resume {execution_id}")
    return COMPLETED
