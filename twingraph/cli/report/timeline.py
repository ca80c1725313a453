"""When each attempt ran, as bars on one scale; long gaps in which nothing ran are folded. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime

from twingraph.cli.words import between, seconds
from twingraph.core.execution import NodeView
from twingraph.core.recordclass import recordclass

_MOST_ROWS = 250
# A gap is folded when it is longer than this part of the busy time, and a second.
_FOLD_FROM = 0.15
# What a folded gap takes of the width.
_FOLDED = 0.05
_TICKS = 6
_WAITS = ("sleep", "signal", "detached")


@recordclass
class Bar:
    left: float  # percent
    width: float
    status: str
    title: str


@recordclass
class Row:
    id: str
    depth: int
    status: str
    bars: tuple[Bar, ...]
    time: str


@recordclass
class Mark:
    left: float
    text: str


@recordclass
class Timeline:
    rows: tuple[Row, ...]
    ticks: tuple[Mark, ...]
    folds: tuple[Mark, ...]
    hidden: int


class Scale:
    """From a moment to a percentage, with gaps folded."""

    def __init__(self, spans: Sequence[tuple[float, float]]) -> None:
        self.pieces: list[tuple[float, float, float, bool]] = []  # start, end, weight, folded
        busy = _united(spans)
        total = sum(end - start for start, end in busy) or 1.0
        gaps = [(last, start) for (_, last), (start, _) in itertools.pairwise(busy)]
        long = {gap for gap in gaps if gap[1] - gap[0] > max(_FOLD_FROM * total, 1.0)}
        shown = total + sum(end - start for start, end in gaps if (start, end) not in long)
        for (start, end), gap in zip(busy, [*gaps, None], strict=True):
            self.pieces.append((start, end, end - start, False))
            if gap is not None:
                folded = gap in long
                self.pieces.append((*gap, _FOLDED * shown if folded else gap[1] - gap[0], folded))
        self.weight = sum(piece[2] for piece in self.pieces) or 1.0

    def percent(self, moment: float) -> float:
        passed = 0.0
        for start, end, weight, _ in self.pieces:
            if moment <= end:
                part = (moment - start) / (end - start) if end > start else 0.0
                return 100 * (passed + weight * min(max(part, 0.0), 1.0)) / self.weight
            passed += weight
        return 100.0

    def moment(self, percent: float) -> float:
        left = percent / 100 * self.weight
        for start, end, weight, _ in self.pieces:
            if left <= weight:
                return start + (end - start) * (left / weight if weight else 0.0)
            left -= weight
        return self.pieces[-1][1] if self.pieces else 0.0


def _united(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    united: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        else:
            united.append((start, end))
    return united


def draw_timeline(nodes: Sequence[NodeView], now: datetime) -> Timeline:
    ran = [node for node in nodes if _spans(node, now)]
    shown = _choose(ran)
    if not shown:
        return Timeline(rows=(), ticks=(), folds=(), hidden=0)
    # Containers last as long as their children and the waits between them; only work makes time busy.
    leaves = [node for node in ran if node.attempts] or [node for node in ran if node.kind not in _WAITS]
    origin = min(start for node in ran for start, _, _ in _spans(node, now))
    spans = [(start - origin, end - origin) for node in leaves for start, end, _ in _spans(node, now)]
    # Of a wait, its two ends: what lies between is folded when it is long.
    ends = [
        t - origin for node in ran if node.kind in _WAITS for start, end, _ in _spans(node, now) for t in (start, end)
    ]
    scale = Scale([*spans, *((moment, moment) for moment in ends)])
    rows = tuple(_row(node, scale, origin, now) for node in shown)
    ticks = tuple(Mark(left=100 * at / _TICKS, text=seconds(scale.moment(100 * at / _TICKS))) for at in range(_TICKS))
    folds = tuple(
        Mark(left=round(scale.percent(start), 2), text=f"{seconds(end - start)} in which nothing ran")
        for start, end, _, folded in scale.pieces
        if folded
    )
    return Timeline(rows=rows, ticks=ticks, folds=folds, hidden=len(ran) - len(shown))


def _choose(ran: Sequence[NodeView]) -> list[NodeView]:
    """In the order of their starts; of too many, the failed, those that hold others, then the longest."""
    if len(ran) > _MOST_ROWS:
        holders = {node.container for node in ran}
        ran = sorted(ran, key=lambda n: (n.status != "failed", n.id not in holders, -_length(n)))[:_MOST_ROWS]
    # Items stand below what holds them.
    begun = {node.id: _start(node) for node in ran}
    return sorted(
        ran,
        key=lambda node: (
            begun.get(node.container or node.id, _start(node)),
            node.container or node.id,
            node.container is not None,
            _start(node),
        ),
    )


def _length(node: NodeView) -> float:
    return between(node.started_at, node.completed_at) or 0.0


def _start(node: NodeView) -> float:
    starts = [attempt.started_at for attempt in node.attempts if attempt.started_at]
    first = min(starts) if starts else node.started_at
    return first.timestamp() if first else 0.0


def _spans(node: NodeView, now: datetime) -> list[tuple[float, float, str]]:
    """Start, end and status of each attempt; of a container, its own."""
    if node.attempts:
        return [
            (a.started_at.timestamp(), (a.ended_at or now).timestamp(), a.status)
            for a in node.attempts
            if a.started_at is not None
        ]
    # What needed no work has no length worth a row.
    if node.started_at is None or node.kind not in ("map", "scope", "sleep", "signal", "detached"):
        return []
    return [(node.started_at.timestamp(), (node.completed_at or now).timestamp(), str(node.status))]


def _row(node: NodeView, scale: Scale, origin: float, now: datetime) -> Row:
    spans = _spans(node, now)
    bars = []
    for number, (start, end, status) in enumerate(spans, 1):
        left = scale.percent(start - origin)
        width = max(scale.percent(end - origin) - left, 0.3)
        left = min(left, 100 - width)
        title = f"attempt {number}, {status}, {seconds(end - start)}, begun at {seconds(start - origin)}"
        bars.append(Bar(left=round(left, 2), width=round(width, 2), status=status, title=title))
    spent = sum(end - start for start, end, _ in spans)
    return Row(
        id=node.id,
        depth=1 if node.container else 0,
        status=str(node.status),
        bars=tuple(bars),
        time=seconds(spent),
    )
