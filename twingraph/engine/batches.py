"""How much goes into one transaction, so that no writer keeps the others waiting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from twingraph.core.events import KINDS, ExecutionEnded, MapExpanded
from twingraph.store.base import Append, Row

_END, _PAGE = KINDS[ExecutionEnded], KINDS[MapExpanded]


def weight(part: Append) -> int:
    return len(part.rows) + len(part.logs) + len(part.freed)


def pieces(part: Append, most: int) -> Iterator[Append]:
    """The same in the same order, each so small that it fits into a transaction. A message is taken from the inbox
    with the row that answers it; what else changes beside the rows comes with the last of them, and lines of logs
    with it or before it, so that they are there when an end is. Named limits are given back with the last of the rows
    or after it; but with an end, since nobody would free them then. Who takes the execution over frees all of them."""
    rows, logs, taken = part.rows, part.logs, list(zip(part.taken, part.answers, strict=True))
    start = 0
    while len(rows) - start > most:
        end = start + most
        while end < len(rows) and _belong_together(rows[end - 1], rows[end]):
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
        start = end
    ahead, room = 0, max(0, most - (len(rows) - start))
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
