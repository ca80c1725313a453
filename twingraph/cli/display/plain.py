"""A run as a log: one line per change, few of them for a huge map, no control characters."""

from __future__ import annotations

from datetime import datetime, timedelta

from twingraph.cli.console import Line, Span
from twingraph.cli.display.tree import done, error_line, tally
from twingraph.cli.words import between, clock, face, reason_word, seconds, signal_command, waiting_words
from twingraph.core.execution import TreeRow, TreeSnapshot
from twingraph.core.statuses import NODE_OVER, NodeStatus

# A container with more children than this is told as counts; its failures still get a line each, up to a bound.
_FEW = 20
_MOST_FAILURES = 20
_EVERY_SECONDS = 2.0
_LONG = timedelta(seconds=5)

_TOLD = NODE_OVER | {NodeStatus.RETRYING}


class PlainLog:
    """Remembers what it has told; each snapshot gives the lines that are new."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[NodeStatus, int]] = {}
        self._counted: dict[str, tuple[datetime, str]] = {}
        self._failures: dict[str, int] = {}

    def lines(self, snapshot: TreeSnapshot, now: datetime) -> list[Line]:
        found: list[Line] = []
        holders: list[TreeRow] = []
        for row in snapshot.rows:
            del holders[row.depth :]
            holder = holders[-1] if holders else None
            holders.append(row)
            if row.counts and row.status not in NODE_OVER:
                found += self._counts(row, now)
            if self._begins_to_wait(row):
                found.append(self._waiting(row, snapshot, now))
            if self._is_news(row) and self._is_worth_a_line(row, holder):
                found.append(self._line(row, snapshot, now))
        return found

    def _is_news(self, row: TreeRow) -> bool:
        state = (row.status, row.attempt)
        if self._told.get(row.id) == state:
            return False
        self._told[row.id] = state
        return row.status in _TOLD

    def _begins_to_wait(self, row: TreeRow) -> bool:
        """Only for a person, or long enough to be wondered at; told once."""
        long = row.until is not None and row.started_at is not None and (row.until - row.started_at) >= _LONG
        if row.status is not NodeStatus.RUNNING or not (row.signal or (row.kind == "sleep" and long)):
            return False
        return self._told.get(row.id) != (row.status, row.attempt)

    def _waiting(self, row: TreeRow, snapshot: TreeSnapshot, now: datetime) -> Line:
        words = waiting_words(row.kind, row.signal, row.until, now)
        line: Line = [(f"{clock(row.started_at or now)} ", "dim"), (f"{row.id} ", ""), (words, "yellow")]
        return [*line, (f": {signal_command(snapshot.record.id, row.signal)}", "")] if row.signal else line

    def _is_worth_a_line(self, row: TreeRow, holder: TreeRow | None) -> bool:
        if holder is None or sum(holder.counts.values()) <= _FEW:
            return True
        if row.status not in (NodeStatus.FAILED, NodeStatus.RETRYING):
            return False
        self._failures[holder.id] = self._failures.get(holder.id, 0) + 1
        return self._failures[holder.id] <= _MOST_FAILURES

    def _counts(self, row: TreeRow, now: datetime) -> list[Line]:
        words = tally(row.counts)
        since, last = self._counted.get(row.id, (row.started_at or now, ""))
        if words == last or (now - since).total_seconds() < _EVERY_SECONDS:
            return []
        self._counted[row.id] = (now, words)
        return [[(f"{clock(now)} ", "dim"), (f"{row.id} running {words}", "")]]

    def _line(self, row: TreeRow, snapshot: TreeSnapshot, now: datetime) -> Line:
        over, total = done(snapshot)
        spans: list[Span] = [
            (f"{clock(row.completed_at or now)} ", "dim"),
            (f"{row.id} ", ""),
            (str(row.status), face(row.status).colour),
        ]
        if row.started_at is not None:
            spans.append((f" {seconds(between(row.started_at, row.completed_at or now))}", ""))
        spans.append((f" ({over:,}/{total:,})", "dim"))
        if row.reused:
            spans.append((" kept from an earlier run", "dim"))
        if row.attempt > 1:
            spans.append((f" attempt {row.attempt}", "yellow"))
        if row.counts and row.status in NODE_OVER:
            spans.append((f" {tally(row.counts)}", ""))
        if row.error is not None:
            spans.append((f" {error_line(row.error.error_type, row.error.message)}", "red"))
        elif row.reason:
            spans.append((f" {reason_word(row.reason, row.status)}", "dim"))
        return [(text.replace("\n", " "), colour) for text, colour in spans]
