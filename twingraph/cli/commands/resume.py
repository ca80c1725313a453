"""`twingraph resume ID`: go on where it stopped; after a failure, keep what is finished."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from twingraph.cli.app import App
from twingraph.cli.attend import attend, execution_document
from twingraph.cli.backend import RunHandle
from twingraph.cli.dispatching import add_dispatch
from twingraph.cli.errors import COMPLETED, FAILED, INTERRUPTED, UsageError
from twingraph.cli.target import current_code
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
    add_dispatch(parser)


def run(args: argparse.Namespace, app: App) -> int:
    if bool(args.id) == args.all:
        raise UsageError("resume which one? give an ID, or 'last', or --all")
    if args.all:
        return _resume_all(args, app)
    execution_id = app.reader.resolve(args.id)
    compiled = current_code(app.reader.tree(execution_id, children=0).record, args.code)
    runtime = app.runtime()
    try:
        handle = runtime.resume(execution_id, code=args.code, compiled=compiled)
        return attend(handle, app, json=args.json)
    finally:
        runtime.close()


def _resume_all(args: argparse.Namespace, app: App) -> int:
    """All go on at once, since one of them may wait for days; then each is followed to its end."""
    records = _stopped(app)
    documents = []
    worst = COMPLETED
    runtime = app.runtime() if records else None
    try:
        begun, worst = _begin(records, runtime, args.code, app)
        for position, (record, handle) in enumerate(begun):
            app.console.note([("resume ", "dim"), (f"{record.id} ", ""), (printable(record.name), "bold")])
            code = attend(handle, app, json=False, quiet=args.json)
            documents.append(execution_document(app.reader.view(handle.id), app))
            worst = max(worst, code)
            if code == INTERRUPTED:
                _interrupt([other for _, other in begun[position + 1 :]])
                break
    finally:
        if runtime is not None:
            runtime.close()
    if args.json:
        app.print_json({"executions": documents, "total": len(documents)})
    elif not records:
        app.console.note("nothing is waiting to be resumed")
    return worst


def _begin(
    records: Sequence[ExecutionRecord], runtime: Any, code: str, app: App
) -> tuple[list[tuple[ExecutionRecord, RunHandle]], int]:
    """Those that go on, and the worst exit code of those that cannot: one such must not keep the others."""
    begun: list[tuple[ExecutionRecord, RunHandle]] = []
    worst = COMPLETED
    for record in records:
        try:
            handle = runtime.resume(record.id, code=code, compiled=current_code(record, code))
        except TwinGraphError as error:
            app.console.note([("resume ", "dim"), (f"{record.id} ", ""), (printable(record.name), "bold")])
            app.console.note([("error: ", "red"), (str(error), "")])
            worst = FAILED
        else:
            begun.append((record, handle))
    return begun, worst


def _interrupt(handles: Sequence[RunHandle]) -> None:
    """What runs has a moment to end; after it these are left for later as well."""
    for handle in handles:
        handle.interrupt(kill=False)
    for handle in handles:
        handle.wait(None)


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
