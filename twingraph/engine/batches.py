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


def count(part: Append) -> int:
    return len(part.rows) + len(part.logs) + len(part.freed)


def fits(part: Append, most: int) -> bool:
    """Whether it is no more than so many rows of a usual length."""
    whole = count(part)
    return whole <= most and whole - len(part.rows) + sum(map(_weight, part.rows)) <= most


def pieces(part: Append, most: int, *, by_size: bool = False) -> Iterator[Append]:
    """The same in the same order, each so small that it fits into a transaction. A message is taken from the inbox
    with the row that answers it; what else changes beside the rows comes with the last of them, and lines of logs
    with it or before it, so that they are there when an end is. Named limits are given back with the last of the rows
    or after it; but with an end, since nobody would free them then. Who takes the execution over frees all of them.
    Rows are counted; `by_size` weighs them, which of very many takes a while."""
    rows, logs, taken = part.rows, part.logs, list(zip(part.taken, part.answers, strict=True))
    weights = [_weight(row) for row in rows] if by_size else [1] * len(rows)
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
    with_rows = max(0, room - len(logs[ahead:]))
    if len(part.freed) <= with_rows or (rows and rows[-1].kind == _END):
        with_rows = len(part.freed)
    if not (start or ahead or with_rows < len(part.freed)):
        yield part
        return
    messages, answers = [message for message, _ in taken], [seq for _, seq in taken]
    freed = part.freed[:with_rows]
    yield replace(part, rows=rows[start:], logs=logs[ahead:], taken=messages, answers=answers, freed=freed)
    for at in range(with_rows, len(part.freed), most):
        yield Append(number=part.number, epoch=part.epoch, freed=part.freed[at : at + most])


def _belong_together(row: Row, following: Row) -> bool:
    """The pages of a map, and the end of an execution with what led to it, are there together or not at all."""
    return following.kind == _END or (row.kind == following.kind == _PAGE)
