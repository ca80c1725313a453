"""Follows one execution on one stream: reads what is new, draws it."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from typing import Protocol

from twingraph.cli.console import Surface
from twingraph.cli.display.logs import all_log_lines
from twingraph.cli.display.plain import PlainLog
from twingraph.cli.display.screen import Screen
from twingraph.cli.display.tree import draw
from twingraph.core.execution import LogRecord, TreeSnapshot

# A run that is over before this is told in one line.
PATIENCE_SECONDS = 0.3
TICK_SECONDS = 0.1
# What may be left standing when the run is over; the rest is in `twingraph show`.
_LEFT_STANDING = 24
_PAGE = 1000
# Pages of logs that are written between two looks at the keyboard: nodes may print faster than anybody writes.
_PAGES_AT_ONCE = 5


class Watched(Protocol):
    """What a display reads; `cli.backend.Reader` is one."""

    def tree(self, execution_id: str, *, children: int = 20) -> TreeSnapshot: ...

    def logs(
        self,
        execution_id: str,
        *,
        after: int = 0,
        node: str | None = None,
        level: str | None = None,
        limit: int = 1000,
    ) -> list[LogRecord]: ...


def choose_mode(setting: str, surface: Surface) -> str:
    """'live', 'plain' or 'off'. Live needs a terminal that can move its cursor."""
    if setting == "auto" or (setting == "live" and not surface.terminal):
        return "live" if surface.terminal else "plain"
    return setting


class Follower:
    """One per run; `tick` often, `finish` once. Used on one thread at a time."""

    def __init__(self, reader: Watched, execution_id: str, surface: Surface, *, mode: str) -> None:
        self._reader = reader
        self._id = execution_id
        self._surface = surface
        self._mode = mode
        self._screen = Screen(surface)
        self._plain = PlainLog()
        self._log_seq = 0
        self._began: datetime | None = None
        self._drawing = False

    def tick(self, now: datetime) -> None:
        if self._mode == "off":
            return
        self._began = self._began or now
        if self._mode == "plain":
            self._write_plain(now, over=False)
        else:
            self._drawing = self._drawing or (now - self._began).total_seconds() >= PATIENCE_SECONDS
            self._draw_live(now, over=False)

    def finish(self, now: datetime) -> None:
        if self._mode == "plain":
            self._write_plain(now, over=True)
        elif self._mode == "live":
            self._draw_live(now, over=True)
            self._screen.leave()

    def interject(self, *lines: str) -> None:
        """Words of our own, above what is being drawn."""
        if self._mode == "live":
            self._screen.clear()
        self._surface.write(*lines)

    def _write_plain(self, now: datetime, *, over: bool) -> None:
        # The snapshot is read first: a node that it calls completed has its prints in the logs by then.
        snapshot = self._reader.tree(self._id)
        for pages in count(1):
            records = self._new_logs()
            self._surface.write(*all_log_lines(records, times=True))
            if len(records) < _PAGE:
                break
            if pages == _PAGES_AT_ONCE and not over:
                return
        self._surface.write(*self._plain.lines(snapshot, now))

    def _draw_live(self, now: datetime, *, over: bool) -> None:
        snapshot = self._reader.tree(self._id) if self._drawing else None
        for pages in count(1):
            records = self._new_logs()
            if len(records) < _PAGE or (pages == _PAGES_AT_ONCE and not over):
                break
            self._screen.draw(all_log_lines(records), [])
        above = all_log_lines(records)
        if snapshot is None:
            if above:
                self._screen.draw(above, [])
            return
        width, height = self._surface.size()
        most = min(height - 1, _LEFT_STANDING) if over else height - 1
        lines = draw(snapshot, now, self._surface, width=width, height=most)
        # The last words repeat the headline.
        self._screen.draw(above, lines[1:] if over else lines)

    def _new_logs(self) -> list[LogRecord]:
        records = self._reader.logs(self._id, after=self._log_seq, limit=_PAGE)
        if records:
            self._log_seq = max(record.seq for record in records)
        return records
