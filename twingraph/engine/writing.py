"""What goes into the next transaction, so that neither other writers nor other executions have to wait long.

Of an execution that has gained more than fits, one piece is written at a time; the others go with it as they come.
"""

from __future__ import annotations

from collections import deque

from twingraph.engine.batches import count, fits, pieces
from twingraph.engine.held import Held
from twingraph.engine.sizes import USUAL
from twingraph.store.base import Append


class Writing:
    """The executions that have something to write."""

    def __init__(self, rows: int = USUAL.rows) -> None:
        self._rows = rows
        self._dirty: dict[int, Held] = {}
        self._long: dict[int, Held] = {}  # some pieces of what they gained are written, the rest is not

    def add(self, held: Held) -> None:
        self._dirty[held.number] = held

    def go_on(self, held: Held) -> None:
        """Of its first events some are written, and nothing of it is done before all are."""
        held.due += held.commanded()
        self._long[held.number] = held

    def forget(self, held: Held) -> None:
        self._dirty.pop(held.number, None)
        self._long.pop(held.number, None)
        held.pieces.clear()

    @property
    def due(self) -> bool:
        """Whether there is anything that may be written now."""
        return bool(self._long) or any(_ready(held) for held in self._dirty.values())

    def unwritten(self) -> set[str]:
        """The executions of which something is not written, whether it may be now or not."""
        return {held.state.execution for known in (self._dirty, self._long) for held in known.values()}

    def keeping(self) -> list[Held]:
        """Those of which something may be written now, and which know outcomes from before."""
        return [held for held in self._dirty.values() if held.kept and _ready(held)]

    def turn(self, now: float) -> list[tuple[Held, Append]]:
        """What is to be written together, next."""
        parts: list[tuple[Held, Append]] = []
        if self._long:
            number, held = next(iter(self._long.items()))
            del self._long[number]
            self._next_piece(held, parts)
        room = self._rows
        for held in [held for held in self._dirty.values() if _ready(held)]:
            del self._dirty[held.number]
            held.due += held.commanded()
            part = held.take(now)
            if fits(part, self._rows):
                parts.append((held, part))
            else:
                held.pieces = deque(pieces(part, self._rows))
                self._next_piece(held, parts)
            room -= count(parts[-1][1])
            if room <= 0:
                break
        return parts

    def _next_piece(self, held: Held, parts: list[tuple[Held, Append]]) -> None:
        if not fits(held.pieces[0], self._rows):
            held.pieces.extendleft(reversed(list(pieces(held.pieces.popleft(), self._rows, by_size=True))))
        parts.append((held, held.pieces.popleft()))
        if held.pieces:
            self._long[held.number] = held


def _ready(held: Held) -> bool:
    return held.waiting is None and not held.pieces
