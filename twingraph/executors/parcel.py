"""What a place is told, as one stream: parts, each with a head that says its kind, size and name. Python 3.8.

Kinds: `p` the payload and `b` the code, JSON texts; `v` a large part of a value, named by its hash; `e` the end.
"""

from __future__ import annotations

import os
from typing import Callable, Iterator, Tuple

_HEAD = 1 + 16 + 64
_PIECE = 1 << 18
# So ends a process that was not told everything: whoever spoke to it is gone.
UNFED = 75


class Unfed(Exception):  # noqa: N818 - no mistake of anybody
    """The stream ended before its end."""


def head(kind: bytes, size: int, name: str = "") -> bytes:
    return kind + b"%016x" % size + name.encode("ascii").ljust(64)


class Parts:
    """Reads exactly what belongs to one run, from a descriptor on which the next may follow."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __iter__(self) -> Iterator[Tuple[bytes, str, int]]:  # noqa: UP006
        """Kind, name and size; `read` or `save` must take the part before the next is asked for."""
        while True:
            found = self.read(_HEAD)
            if found[:1] == b"e":
                return
            yield found[:1], found[17:].strip().decode("ascii"), int(found[1:17], 16)

    def read(self, size: int) -> bytes:
        pieces = []  # type: list[bytes]
        self._each(size, pieces.append)
        return b"".join(pieces)

    def save(self, size: int, path: str) -> None:
        with open(path, "wb", 0) as file:
            self._each(size, file.write)

    def _each(self, size: int, take: Callable[[bytes], object]) -> None:
        while size:
            piece = os.read(self._descriptor, min(size, _PIECE))
            if not piece:
                raise Unfed
            take(piece)
            size -= len(piece)
