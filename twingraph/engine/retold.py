"""A log that is told once more from its beginning, since its work is gone on with: what is recorded is left out. Pure.

Each recorded line stands for one that is told, and for no more. What bears its own time is known by that; what does not
(a child process wrote it, say) by its text, so that two equal lines may change places. In doubt a line stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from twingraph.store.writable import without_zero

Line = tuple[float, str, str, str]  # time, or 0; level, stream, message


class KnownLines:
    """What is recorded and has not been told once more yet."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], deque[float]] = {}  # of each stream and message, in their order

    def add(self, at: float, stream: str, message: str) -> None:
        self._times.setdefault(_text(stream, message), deque()).append(at)

    def left_out_of(self, lines: Sequence[Line]) -> list[Line]:
        return [line for line in lines if not self._takes(line)]

    def _takes(self, line: Line) -> bool:
        at, _, stream, message = line
        times = self._times.get(_text(stream, message))
        if not times:
            return False
        if at == 0:
            times.popleft()
            return True
        try:
            times.remove(at)
        except ValueError:
            return False
        return True


def _text(stream: str, message: str) -> tuple[str, str]:
    """As any store gives it back."""
    return stream, without_zero(message)
