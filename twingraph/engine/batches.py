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
    with it or before it, so that they are there when an end is. So are named limits given back, as nobody else would
    free them after an end; whoever takes the execution over between two pieces frees all of them anyway."""
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
    given_back, room = 0, max(0, room - len(logs[ahead:]))
    while len(part.freed) - given_back > room:
        yield Append(number=part.number, epoch=part.epoch, freed=part.freed[given_back : given_back + most])
        given_back += most
    if not (start or ahead or given_back):
        yield part
        return
    messages, answers = [message for message, _ in taken], [seq for _, seq in taken]
    freed = part.freed[given_back:]
    yield replace(part, rows=rows[start:], logs=logs[ahead:], taken=messages, answers=answers, freed=freed)


def _belong_together(row: Row, following: Row) -> bool:
    """The pages of a map, and the end of an execution with what led to it, are there together or not at all."""
    return following.kind == _END or (row.kind == following.kind == _PAGE)
