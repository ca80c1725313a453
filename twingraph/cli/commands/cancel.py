"""`twingraph cancel ID`: stop an execution for good."""

from __future__ import annotations

import argparse

from twingraph.cli.app import App
from twingraph.cli.attend import execution_document
from twingraph.cli.errors import COMPLETED, FAILED
from twingraph.cli.waiting import record_of, wait_for
from twingraph.cli.words import printable
from twingraph.core.errors import ConflictError
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus

EXAMPLE = """twingraph cancel last
twingraph cancel exec-0jz3m9q2t7k4w1vh"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="an execution, or 'last'")


def run(args: argparse.Namespace, app: App) -> int:
    execution_id = app.reader.resolve(args.id)
    record = record_of(execution_id, app)
    if record.status in EXECUTION_OVER and record.status is not ExecutionStatus.CANCELLED:
        raise ConflictError(f"{execution_id} has already ended: {record.status}")
    if record.status is not ExecutionStatus.CANCELLED:
        runtime = app.runtime()
        try:
            runtime.cancel(execution_id)
            record = wait_for(execution_id, app)
        finally:
            runtime.close()
        if record.status not in EXECUTION_OVER:
            app.console.note(f"asked; {execution_id} is still stopping: twingraph show {execution_id}")
            return FAILED
    view = app.reader.view(execution_id)
    if args.json:
        app.print_json(execution_document(view, app))
    else:
        app.console.say([(f"{view.record.status} ", "magenta"), (f"{execution_id} {printable(view.record.name)}", "")])
    return COMPLETED
