"""Values that stand beside an event of another execution: a replay refers to what it keeps, and copies nothing.

Such a reference is the one line of an event's data. It begins as no JSON text can, and never leads to another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

_MARK = "@"


class Shared(NamedTuple):
    execution: str
    seq: int

    @property
    def text(self) -> str:
        return f"{_MARK}{self.execution}:{self.seq}"


def shared(lines: Sequence[str]) -> Shared | None:
    """Where these lines really stand, when they stand elsewhere."""
    if not lines or lines[0][:1] != _MARK:
        return None
    execution, _, seq = lines[0][1:].rpartition(":")
    return Shared(execution, int(seq))


Here = TypeVar("Here")


def by_execution(places: Mapping[Here, Shared]) -> dict[str, dict[Here, int]]:
    """For each execution that is referred to: the event there, by where it is referred to."""
    found: dict[str, dict[Here, int]] = {}
    for here, place in places.items():
        found.setdefault(place.execution, {})[here] = place.seq
    return found
