"""How much goes into one transaction, so that no writer keeps the others waiting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from twingraph.core.events import KINDS, ExecutionEnded, MapExpanded
from twingraph.store.base import Append, Row

_END, _PAGE = KINDS[ExecutionEnded], KINDS[MapExpanded]


# So many characters take a store as long as a row does.
_ROW = 4_000


def _weight(row: Row) -> int:
    return 1 + (len(row.body) + len(row.data or "")) // _ROW


def weight(part: Append) -> int:
    """In rows of a usual length."""
    return sum(map(_weight, part.rows)) + len(part.logs)


def pieces(part: Append, most: int) -> Iterator[Append]:
    """The same in the same order, each so small that it fits into a transaction. A message is taken from the inbox
    with the row that answers it; what else changes beside the rows comes with the last of them, and lines of logs
    with it or before it, so that they are there when an end is."""
    rows, logs, taken = part.rows, part.logs, list(zip(part.taken, part.answers, strict=True))
    weights = [_weight(row) for row in rows]
    start, left = 0, sum(weights)
    while left > most:
        end, size = start + 1, weights[start]
        while end < len(rows) and size + weights[end] <= most:
            size += weights[end]
            end += 1
        while end < len(rows) and _belong_together(rows[end - 1], rows[end]):
            size += weights[end]
            end += 1
        if end == len(rows):
            break
        now = [pair for pair in taken if pair[1] <= rows[end - 1].seq]
        taken = taken[len(now) :]
        yield Append(
            number=part.number,
            epoch=part.epoch,
            rows=rows[start:end],
            taken=[message for message, _ in now],
            answers=[seq for _, seq in now],
        )
        start, left = end, left - size
    ahead, room = 0, max(0, most - left)
    while len(logs) - ahead > room:
        yield Append(number=part.number, epoch=part.epoch, logs=logs[ahead : ahead + most])
        ahead += most
    if not (start or ahead):
        yield part
        return
    messages, answers = [message for message, _ in taken], [seq for _, seq in taken]
    yield replace(part, rows=rows[start:], logs=logs[ahead:], taken=messages, answers=answers)


def _belong_together(row: Row, following: Row) -> bool:
    """The pages of a map, and the end of an execution with what led to it, are there together or not at all."""
    return following.kind == _END or (row.kind == following.kind == _PAGE)
