"""The tree of a run as lines: pure, bounded by the height and width that it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from twingraph.cli.console import Line, Span, Surface, fit
from twingraph.cli.words import (
    between,
    columns,
    cut,
    face,
    pad,
    plural,
    reason_word,
    seconds,
    signal_command,
    waiting_words,
)
from twingraph.core.execution import TreeRow, TreeSnapshot
from twingraph.core.statuses import NODE_OVER, NodeStatus

# What a full screen keeps, in this order.
_URGENCY = {
    NodeStatus.FAILED: 0,
    NodeStatus.RETRYING: 1,
    NodeStatus.RUNNING: 2,
    NodeStatus.QUEUED: 3,
    NodeStatus.CANCELLED: 4,
    NodeStatus.COMPLETED: 5,
    NodeStatus.SKIPPED: 6,
    NodeStatus.PENDING: 7,
}
# A map with no more items than this has a row for each of them.
_FEW = 5
_LOUD = frozenset({NodeStatus.FAILED, NodeStatus.RETRYING, NodeStatus.RUNNING})
_BAR = (NodeStatus.COMPLETED, NodeStatus.FAILED, NodeStatus.RETRYING, NodeStatus.RUNNING)
_BAR_WIDTH = 12
_ROOM_FOR_BAR = 64


def draw(snapshot: TreeSnapshot, now: datetime, surface: Surface, *, width: int, height: int) -> list[Line]:
    """A headline, and as many rows as the height allows; what is left out is counted."""
    telling = without_quiet_items(snapshot.rows)
    hint = _hint(snapshot)
    rows = choose(telling, max(height - 2 - len(hint), 1))
    name_width = _name_width(rows, width)
    lines: list[Line] = [headline(snapshot, now, surface, width)]
    lines += [fit(_row(row, now, surface, name_width, with_bar=width >= _ROOM_FOR_BAR), width) for row in rows]
    left_out = hidden(telling, rows)
    if left_out:
        lines.append(fit([(f"  … {left_out}", "dim")], width))
    return lines + [fit(line, width) for line in hint]


def _hint(snapshot: TreeSnapshot) -> list[Line]:
    """How to give the run the first signal that it waits for."""
    for row in snapshot.rows:
        if row.signal is not None and row.status is NodeStatus.RUNNING:
            return [[("  give it: ", "dim"), (signal_command(snapshot.record.id, row.signal), "")]]
    return []


def headline(snapshot: TreeSnapshot, now: datetime, surface: Surface, width: int) -> Line:
    record = snapshot.record
    progress = record.progress
    over, total = done(snapshot)
    spent = between(record.started_at, record.completed_at or now)
    spans: list[Span] = [
        (surface.icon(record.status) + " ", face(record.status).colour),
        (record.name, "bold"),
        (f"  {record.status}  ", face(record.status).colour),
        (f"{over:,} of {plural(total, 'node')}", ""),
    ]
    if progress.failed_nodes:
        spans.append((f", {progress.failed_nodes:,} failed", "red"))
    spans.append((f"  {seconds(spent)}", "dim"))
    return fit(spans, width)


def done(snapshot: TreeSnapshot) -> tuple[int, int]:
    """How many nodes are over, of how many. The record's own counts may be older than the rows."""
    progress = snapshot.record.progress
    tops = [row for row in snapshot.rows if row.depth == 0]
    over = sum(row.status in NODE_OVER for row in tops)
    total = len(tops)
    for row in snapshot.rows:
        over += sum(count for status, count in row.counts.items() if status in NODE_OVER)
        total += sum(row.counts.values())
    counted = progress.completed_nodes + progress.failed_nodes + progress.skipped_nodes
    return max(over, counted), max(total, progress.total_nodes)


def without_quiet_items(rows: Sequence[TreeRow]) -> list[TreeRow]:
    """Of a map with more than a few items, those that need eyes; its bar tells of the others."""
    kept: list[TreeRow] = []
    holders: list[TreeRow] = []
    for row in rows:
        del holders[row.depth :]
        many = any(holder.kind == "map" and sum(holder.counts.values()) > _FEW for holder in holders)
        holders.append(row)
        if not many or row.status in _LOUD:
            kept.append(row)
    return kept


def choose(rows: Sequence[TreeRow], most: int) -> list[TreeRow]:
    """The most urgent rows with the containers that hold them, in the tree's order."""
    if len(rows) <= most:
        return list(rows)
    parents = _parents(rows)
    kept: set[int] = set()
    for at in sorted(range(len(rows)), key=lambda at: (_URGENCY[rows[at].status], rows[at].depth, at)):
        chain = _chain(at, parents) - kept
        if len(kept) + len(chain) <= most:
            kept |= chain
        if len(kept) >= most:
            break
    return [rows[at] for at in sorted(kept)]


def _parents(rows: Sequence[TreeRow]) -> list[int | None]:
    """For each row the row that holds it, read off the depths."""
    open_rows: list[int] = []
    parents: list[int | None] = []
    for at, row in enumerate(rows):
        while open_rows and rows[open_rows[-1]].depth >= row.depth:
            open_rows.pop()
        parents.append(open_rows[-1] if open_rows else None)
        open_rows.append(at)
    return parents


def _chain(at: int, parents: Sequence[int | None]) -> set[int]:
    chain = {at}
    holder = parents[at]
    while holder is not None:
        chain.add(holder)
        holder = parents[holder]
    return chain


def hidden(rows: Sequence[TreeRow], shown: Sequence[TreeRow]) -> str:
    """How many rows are left out, by status; '' when none is."""
    seen = {row.id for row in shown}
    counts: dict[NodeStatus, int] = {}
    for row in rows:
        if row.id not in seen:
            counts[row.status] = counts.get(row.status, 0) + 1
    return f"{sum(counts.values()):,} more: {tally(counts)}" if counts else ""


def tally(counts: Mapping[NodeStatus, int]) -> str:
    """'2 failed, 5 running', most urgent first."""
    return ", ".join(f"{counts[s]:,} {s}" for s in sorted(counts, key=_URGENCY.__getitem__) if counts[s])


def _name_width(rows: Sequence[TreeRow], width: int) -> int:
    longest = max((row.depth * 2 + columns(row.id) for row in rows), default=0)
    # The mark, the word and the time beside it take 24 columns.
    return min(longest, max(min(width * 2 // 5, width - 24), 8))


def _row(row: TreeRow, now: datetime, surface: Surface, name_width: int, *, with_bar: bool) -> list[Span]:
    colour = face(row.status).colour
    indent = "  " * row.depth
    spans: list[Span] = [
        ("  ", ""),
        (indent + surface.icon(row.status) + " ", colour),
        (pad(cut(row.id, max(name_width - len(indent), 4)), max(name_width - len(indent), 4)) + "  ", ""),
        (pad(row.status, 9) + " ", colour),
        (pad(seconds(between(row.started_at, row.completed_at or now)) if row.started_at else "", 6), "dim"),
    ]
    if row.counts:
        spans += [("  ", ""), *bar(row.counts, surface)] if with_bar else []
        spans += _count_words(row.counts)
    spans += _remarks(row, now)
    return [*spans[:-1], (spans[-1][0].rstrip(), spans[-1][1])]


def bar(counts: Mapping[NodeStatus, int], surface: Surface, width: int = _BAR_WIDTH) -> list[Span]:
    """A stacked bar: every status that has a child gets a cell, so that one failure among thousands shows."""
    total = sum(counts.values())
    cells = share([counts.get(status, 0) for status in _BAR], total, width)
    full, rest = ("█", "░") if surface.unicode else ("#", ".")
    letters = {NodeStatus.FAILED: "x", NodeStatus.RETRYING: "~", NodeStatus.RUNNING: "*"}
    spans: list[Span] = [
        ((full if surface.unicode else letters.get(status, full)) * count, face(status).colour)
        for status, count in zip(_BAR, cells, strict=True)
        if count
    ]
    return [*spans, (rest * (width - sum(cells)), "dim")]


def share(parts: Sequence[int], total: int, width: int) -> list[int]:
    """Cells for each part: at least one where there is any, never more than `width`, full only when all is there."""
    if not total:
        return [0] * len(parts)
    cells = [max(part * width // total, 1) if part else 0 for part in parts]
    while sum(cells) > width:
        cells[cells.index(max(cells))] -= 1
    if sum(parts) == total:
        cells[cells.index(max(cells))] += width - sum(cells)
    return cells


def _count_words(counts: Mapping[NodeStatus, int]) -> list[Span]:
    over = sum(count for status, count in counts.items() if status in NODE_OVER)
    spans: list[Span] = [(f" {over:,}/{sum(counts.values()):,}", "")]
    if counts.get(NodeStatus.FAILED):
        spans.append((f"  {counts[NodeStatus.FAILED]:,} failed", "red"))
    return spans


def _remarks(row: TreeRow, now: datetime) -> list[Span]:
    spans: list[Span] = []
    waits = waiting_words(row.kind, row.signal, row.until, now) if row.status is NodeStatus.RUNNING else ""
    if waits:
        spans.append((f"  {waits}", "yellow" if row.signal else "dim"))
    if row.reused:
        spans.append(("  kept", "dim"))
    if row.attempt > 1:
        spans.append((f"  attempt {row.attempt}", "yellow"))
    if row.error is not None:
        spans.append((f"  {error_line(row.error.error_type, row.error.message)}", "red"))
    elif row.reason:
        spans.append((f"  {reason_word(row.reason, row.status)}", "dim"))
    return spans


def error_line(error_type: str, message: str) -> str:
    first = message.strip().splitlines()[0] if message.strip() else ""
    return f"{error_type}: {first}" if first else error_type
