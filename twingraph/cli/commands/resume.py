"""`twingraph resume ID`: go on where it stopped; after a failure, keep what is finished."""

from __future__ import annotations

import argparse
from typing import Any

from twingraph.cli.app import App
from twingraph.cli.attend import attend, execution_document
from twingraph.cli.errors import COMPLETED, INTERRUPTED, UsageError
from twingraph.cli.target import load_target, made_ready
from twingraph.cli.words import printable, stopped
from twingraph.core.errors import TwinGraphError
from twingraph.core.execution import ExecutionRecord

EXAMPLE = """twingraph resume last
twingraph resume last --code current     # after a fix in the file
twingraph resume --all                   # everything that was interrupted"""

_PAGE = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", help="an execution, or 'last'")
    parser.add_argument("--all", action="store_true", help="every execution that was interrupted or lost its process")
    parser.add_argument(
        "--code",
        choices=("recorded", "current"),
        default="recorded",
        help="the code that it was started with, or the file as it is now (recorded)",
    )
    parser.add_argument("--workers", metavar="N", help="most worker processes on this machine (TWINGRAPH_WORKERS)")


def run(args: argparse.Namespace, app: App) -> int:
    if bool(args.id) == args.all:
        raise UsageError("resume which one? give an ID, or 'last', or --all")
    if args.all:
        return _resume_all(args, app)
    execution_id = app.reader.resolve(args.id)
    compiled = _current(app.reader.tree(execution_id, children=0).record, args.code)
    runtime = app.runtime()
    try:
        handle = runtime.resume(execution_id, code=args.code, compiled=compiled)
        return attend(handle, app, json=args.json)
    finally:
        runtime.close()


def _current(record: ExecutionRecord, code: str) -> Any:
    """What was run, as its file is now, when that is asked for."""
    if code != "current":
        return None
    if record.target is None:
        raise UsageError(f"{record.id} was not started from a file, so there is no current code; leave out --code")
    return made_ready(load_target(record.target))


def _resume_all(args: argparse.Namespace, app: App) -> int:
    records = _stopped(app)
    documents = []
    worst = COMPLETED
    runtime = app.runtime() if records else None
    try:
        for record in records:
            app.console.note([("resume ", "dim"), (f"{record.id} ", ""), (printable(record.name), "bold")])
            assert runtime is not None
            try:
                handle = runtime.resume(record.id, code=args.code, compiled=_current(record, args.code))
            except TwinGraphError as error:
                # One that cannot go on must not keep the others.
                app.console.note([("error: ", "red"), (str(error), "")])
                worst = max(worst, 1)
                continue
            code = attend(handle, app, json=False, quiet=args.json)
            documents.append(execution_document(app.reader.view(handle.id), app))
            worst = max(worst, code)
            if code == INTERRUPTED:
                break
    finally:
        if runtime is not None:
            runtime.close()
    if args.json:
        app.print_json({"executions": documents, "total": len(documents)})
    elif not records:
        app.console.note("nothing is waiting to be resumed")
    return worst


def _stopped(app: App) -> list[ExecutionRecord]:
    """Oldest first, as they were started."""
    found: list[ExecutionRecord] = []
    for status in ("pending", "running", "paused"):
        offset = 0
        while True:
            records, _ = app.reader.executions(limit=_PAGE, offset=offset, status=status)
            found += [record for record in records if stopped(record)]
            if len(records) < _PAGE:
                break
            offset += _PAGE
    return sorted(found, key=lambda record: record.created_at)
