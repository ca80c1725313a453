"""`twingraph logs ID`: what nodes printed and logged."""

from __future__ import annotations

import argparse
import time

from twingraph.cli.app import App
from twingraph.cli.commands.show import find_node
from twingraph.cli.display.logs import all_log_lines
from twingraph.cli.errors import COMPLETED, INTERRUPTED, UsageError
from twingraph.cli.words import stopped
from twingraph.core.execution import LogRecord
from twingraph.core.nearest import did_you_mean
from twingraph.core.statuses import EXECUTION_OVER
from twingraph.core.wire import log_to_wire

EXAMPLE = """twingraph logs last
twingraph logs last --node load --level warning
twingraph logs last -f"""

_LEVELS = ("debug", "info", "warning", "error", "critical")
_PAGE = 1000
_POLL_SECONDS = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="an execution, or 'last'")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the execution is over")
    parser.add_argument("--node", metavar="N", help="only those of this node")
    parser.add_argument("--level", metavar="L", help=f"this level and above: {', '.join(_LEVELS)}")


def run(args: argparse.Namespace, app: App) -> int:
    level = args.level.lower() if args.level else None
    if level is not None and level not in _LEVELS:
        raise UsageError(f"--level {args.level}: is not a level; {did_you_mean(level, _LEVELS)}")
    if args.follow and args.json:
        raise UsageError("--json prints one document; leave out -f")
    execution_id = app.reader.resolve(args.id)
    node = find_node(app.reader.view(execution_id), args.node).id if args.node and not args.follow else args.node
    pages = _Pages(app, execution_id, node, level)
    if args.json:
        records = list(pages.rest())
        app.print_json({"logs": [log_to_wire(r) for r in records], "total": len(records), "next_cursor": None})
        return COMPLETED
    try:
        _print(pages, app, follow=args.follow)
    except KeyboardInterrupt:
        return INTERRUPTED
    return COMPLETED


class _Pages:
    """Reads on from where it stopped."""

    def __init__(self, app: App, execution_id: str, node: str | None, level: str | None) -> None:
        self._app = app
        self._id = execution_id
        self._node = node
        self._level = level
        self._seq = 0

    def next(self) -> list[LogRecord]:
        records = self._app.reader.logs(self._id, after=self._seq, node=self._node, level=self._level, limit=_PAGE)
        if records:
            self._seq = max(record.seq for record in records)
        return records

    def rest(self) -> list[LogRecord]:
        found: list[LogRecord] = []
        while records := self.next():
            found += records
        return sorted(found, key=lambda record: record.timestamp)

    def is_over(self) -> bool:
        record = self._app.reader.tree(self._id, children=0).record
        return record.status in EXECUTION_OVER or stopped(record)


def _print(pages: _Pages, app: App, *, follow: bool) -> None:
    any_line = False
    while True:
        # Asked before reading: what was written before the end is then read after it.
        over = not follow or pages.is_over()
        while records := pages.next():
            any_line = True
            app.console.say(*all_log_lines(records, times=True))
        if over:
            break
        time.sleep(_POLL_SECONDS)
    if not any_line:
        app.console.note("nothing was printed or logged")
