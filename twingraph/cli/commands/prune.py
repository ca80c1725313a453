"""`twingraph prune`: take old executions away, and what nothing refers to any more."""

from __future__ import annotations

import argparse
import re
import time
from datetime import UTC, datetime

from twingraph.cli.app import App
from twingraph.cli.console import Span, table
from twingraph.cli.errors import COMPLETED, UsageError
from twingraph.cli.words import ago, count, plural, printable, size
from twingraph.cli.workflow_ids import workflow_id_of
from twingraph.store.prune import Pruned, Retention

EXAMPLE = """twingraph prune --older-than 30d --dry-run
twingraph prune --older-than 30d --keep 20
twingraph prune --keep 100 --workflow reports.py:daily"""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--older-than", metavar="AGE", help="what ended longer ago: 30d, 12h, 90m, 2w")
    parser.add_argument("--keep", metavar="N", type=int, help="but never the newest N of each workflow")
    parser.add_argument(
        "--workflow", metavar="WORKFLOW", help="only executions of this workflow, by its id or as `run` was given it"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and remove nothing")
    parser.add_argument(
        "--vacuum", action="store_true", help="make the database's file smaller too (nobody else may use it)"
    )


def run(args: argparse.Namespace, app: App) -> int:
    retention = _retention(args, time.time(), app)
    told = _Told(app, quiet=args.json)
    if retention is not None:
        pruned = app.backend.prune(app.settings, retention, dry_run=args.dry_run, progress=told)
    else:
        pruned = Pruned()
    if args.vacuum and not args.dry_run:
        app.backend.shrink(app.settings)
        pruned.free_bytes = 0
    if args.json:
        app.print_json(_document(pruned, args.dry_run))
    else:
        _print(pruned, args, app)
    return COMPLETED


def _retention(args: argparse.Namespace, now: float, app: App) -> Retention | None:
    """None when there is only the file to be made smaller."""
    if args.older_than is None and args.keep is None:
        if args.vacuum and args.workflow is None:
            return None
        raise UsageError("say what may go: --older-than 30d, --keep 100 (of each workflow), or both")
    if args.keep is not None and args.keep < 0:
        raise UsageError("--keep is a number from 0")
    age = _age(args.older_than) if args.older_than is not None else 0.0
    workflow = workflow_id_of(args.workflow, app) if args.workflow is not None else None
    return Retention(ended_before=now - age, keep=count(args.keep or 0), workflow=workflow)


def _age(text: str) -> float:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhdw]?)", text.strip().lower())
    if found is None or (not found[2] and float(found[1])):
        raise UsageError(f"--older-than {text}: is no age; write it as 30d, 12h, 90m or 2w")
    return float(found[1]) * _UNITS.get(found[2], 1)


class _Told:
    """Progress on stderr, at most one line in two seconds."""

    def __init__(self, app: App, *, quiet: bool) -> None:
        self._app, self._quiet = app, quiet
        self._at = time.monotonic()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if not self._quiet and time.monotonic() - self._at > 2:
            self._at = time.monotonic()
            self._app.console.note(f"  {what}: {done:,}{f' of {total:,}' if total is not None else ''}")


def _document(pruned: Pruned, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "executions": [one.id for one in pruned.executions],
        "kept_for_others": pruned.kept_for_others,
        "newest_stays": pruned.newest_stays,
        "rows": pruned.rows,
        "code_versions": pruned.code_versions,
        "blobs": pruned.blobs,
        "blob_bytes": pruned.blob_bytes,
        "free_bytes": pruned.free_bytes,
    }


def _print(pruned: Pruned, args: argparse.Namespace, app: App) -> None:
    if args.dry_run:
        now = app.now()
        rows: list[list[Span]] = [
            [
                (one.id, ""),
                (printable(one.name), "bold"),
                (f"ended {ago(datetime.fromtimestamp(one.ended_at, UTC), now)}", "dim"),
            ]
            for one in pruned.executions[:_SHOWN]
        ]
        app.console.say(*table(rows, app.console.out.size()[0], grow=1))
        if len(pruned.executions) > _SHOWN:
            app.console.note(f"  and {len(pruned.executions) - _SHOWN:,} more")
    would = "would remove" if args.dry_run else "removed"
    parts = [
        plural(len(pruned.executions), "execution"),
        plural(pruned.code_versions, "code version"),
        f"{plural(pruned.blobs, 'blob')} ({size(pruned.blob_bytes)})",
    ]
    app.console.say(f"{would} {', '.join(parts)}")
    if pruned.kept_for_others:
        app.console.note(
            f"  {plural(pruned.kept_for_others, 'older execution')} kept: a replay that is kept, or what runs, needs "
            + ("it" if pruned.kept_for_others == 1 else "them")
        )
    if pruned.newest_stays:
        app.console.note("  the newest execution stays until another one has begun")
    if pruned.free_bytes and not args.dry_run:
        app.console.note(
            f"  the database's file holds {size(pruned.free_bytes)} for what comes; "
            "to make it smaller, while nothing else uses it: twingraph prune --vacuum"
        )
