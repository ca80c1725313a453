"""`twingraph executions`: what has run, newest first."""

from __future__ import annotations

import argparse

from twingraph.cli.app import App
from twingraph.cli.console import Span, table
from twingraph.cli.errors import COMPLETED, UsageError
from twingraph.cli.words import ago, between, count, face, printable, seconds, status_word, stopped
from twingraph.core.execution import ExecutionRecord
from twingraph.core.nearest import did_you_mean
from twingraph.core.statuses import ExecutionStatus
from twingraph.core.wire import execution_to_wire

EXAMPLE = """twingraph executions
twingraph executions --status failed --limit 5
twingraph executions --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--status", metavar="STATUS", help=f"only these: {', '.join(ExecutionStatus)}")
    parser.add_argument("--limit", metavar="N", type=int, default=20, help="how many (20)")
    parser.add_argument("--offset", metavar="N", type=int, default=0, help="how many of the newest to pass over")


def run(args: argparse.Namespace, app: App) -> int:
    known = [str(status) for status in ExecutionStatus]
    if args.status is not None and args.status not in known:
        raise UsageError(f"--status {args.status}: is not a status; {did_you_mean(args.status, known)}")
    if args.limit < 1 or args.offset < 0:
        raise UsageError("--limit is a number from 1, --offset from 0")
    records, total = app.reader.executions(limit=count(args.limit), offset=count(args.offset), status=args.status)
    if args.json:
        app.print_json(
            {"executions": [execution_to_wire(record, _outputs(record, app)) for record in records], "total": total}
        )
    elif not records:
        app.console.say("nothing has run yet" if not total else "none of them")
        app.console.note("  begin with: twingraph new hello")
    else:
        _print(records, total, args.offset, app)
    return COMPLETED


def _outputs(record: ExecutionRecord, app: App) -> dict[str, object]:
    if record.status is not ExecutionStatus.COMPLETED:
        return {}
    return app.values(app.reader.view(record.id).outputs)


def _print(records: list[ExecutionRecord], total: int, offset: int, app: App) -> None:
    now = app.now()
    rows = [_row(record, app) for record in records]
    for row, record in zip(rows, records, strict=True):
        row.append((ago(record.created_at, now), "dim"))
    app.console.say(*table(rows, app.console.out.size()[0], grow=2))
    rest = total - offset - len(records)
    if rest > 0:
        app.console.note(f"  {rest:,} more: twingraph executions --offset {offset + len(records)}")
    if any(stopped(record) for record in records):
        app.console.note("  go on with all that stopped: twingraph resume --all")


def _row(record: ExecutionRecord, app: App) -> list[Span]:
    progress = record.progress
    spent = between(record.started_at, record.completed_at or (None if stopped(record) else app.now()))
    return [
        (record.id, ""),
        (f"{app.console.out.icon(record.status)} {status_word(record)}", face(record.status).colour),
        (printable(record.name), "bold"),
        (f"{progress.completed_nodes:,}/{progress.total_nodes:,}", ""),
        (seconds(spent), "dim"),
    ]
