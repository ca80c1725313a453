"""How much goes into one transaction, so that no writer keeps the others waiting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from twingraph.core.events import KINDS, ExecutionEnded, MapExpanded
from twingraph.store.base import Append, Row

_END, _PAGE = KINDS[ExecutionEnded], KINDS[MapExpanded]


def weight(part: Append) -> int:
    return len(part.rows) + len(part.logs)


def pieces(part: Append, most: int) -> Iterator[Append]:
    """The same in the same order, each so small that it fits into a transaction. A message is taken from the inbox
    with the row that answers it; what else changes beside the rows comes with the last of them, and lines of logs
    with it or before it, so that they are there when an end is."""
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
    if not (start or ahead):
        yield part
        return
    messages, answers = [message for message, _ in taken], [seq for _, seq in taken]
    yield replace(part, rows=rows[start:], logs=logs[ahead:], taken=messages, answers=answers)


def _belong_together(row: Row, following: Row) -> bool:
    """The pages of a map, and the end of an execution with what led to it, are there together or not at all."""
    return following.kind == _END or (row.kind == following.kind == _PAGE)
