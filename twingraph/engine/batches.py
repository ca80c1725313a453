"""How much goes into one transaction, so that no writer keeps the others waiting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from twingraph.core.events import KINDS, ExecutionEnded, MapExpanded
from twingraph.store.base import Append, Row

_END, _PAGE = KINDS[ExecutionEnded], KINDS[MapExpanded]
# Rows that a slow disk takes in about 5 ms.
ROWS = 1_000


def batches(parts: Sequence[Append], most: int | None = None) -> Iterator[list[Append]]:
    """The same in the same order, in transactions of about so many rows."""
    most = ROWS if most is None else most
    batch: list[Append] = []
    size = 0
    for piece in chain.from_iterable(_pieces(part, most) for part in parts):
        weight = len(piece.rows) + len(piece.logs)
        if batch and size + weight > most:
            yield batch
            batch, size = [], 0
        batch.append(piece)
        size += weight
    if batch:
        yield batch


def _pieces(part: Append, most: int) -> Iterator[Append]:
    """What changes beside the rows comes with the last of them."""
    rows = part.rows
    start = 0
    while len(rows) - start > most:
        end = start + most
        while end < len(rows) and _belong_together(rows[end - 1], rows[end]):
            end += 1
        if end == len(rows):
            break
        yield Append(number=part.number, epoch=part.epoch, rows=rows[start:end])
        start = end
    yield replace(part, rows=rows[start:]) if start else part


def _belong_together(row: Row, following: Row) -> bool:
    """The pages of a map, and the end of an execution with what led to it, are there together or not at all."""
    return following.kind == _END or (row.kind == following.kind == _PAGE)
