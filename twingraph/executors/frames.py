"""Words of the runner among whatever else is written to the same stream. Python 3.8, standard library only.

A frame is one line: a mark that no text has, the run's token, a letter that says which piece it is of a message (the
`w`hole, the `f`irst, one in the `m`iddle, the `l`ast), and that piece, which is JSON. None is longer than what a pipe
takes as a whole, so that the words of other processes stand between frames and never in them; a line that others began
may stand before one.
"""

from __future__ import annotations

import os
import threading
from typing import Iterator, List, Tuple

MARK = b"\x1e"
LONGEST = 4000
# Without an end of line so much is held back, in case the mark is still to come.
_LONGEST_LINE = 1 << 20

_write = os.write  # user code may put another one in its place


class FrameWriter:
    """Whole messages only; silent in a forked child. Raises nothing: what cannot be said is kept in files anyway."""

    def __init__(self, descriptor: int, token: str) -> None:
        self._descriptor = descriptor
        self._mark = MARK + token.encode("ascii")
        self._room = LONGEST - len(self._mark) - 2
        self._lock = threading.Lock()
        self.mute = False

    def send(self, text: str) -> None:
        if self.mute:
            return
        data = text.encode("utf-8", "replace")
        with self._lock:
            for start in range(0, max(1, len(data)), self._room):
                piece = data[start : start + self._room]
                is_last = start + self._room >= len(data)
                kind = (b"l" if start else b"w") if is_last else b"m" if start else b"f"
                try:
                    self._all(self._mark + kind + piece + b"\n")
                except OSError:
                    self.mute = True
                    return

    def _all(self, data: bytes) -> None:
        sent = _write(self._descriptor, data)
        while sent < len(data):
            sent += _write(self._descriptor, data[sent:])

    def in_child(self) -> None:
        self.mute = True
        self._lock = threading.Lock()


class FrameReader:
    """Tells frames and everything else apart, as they come in pieces of any size."""

    def __init__(self, token: str) -> None:
        self._mark = MARK + token.encode("ascii")
        self._rest = b""
        self._begun: List[bytes] = []  # noqa: UP006

    def feed(self, data: bytes) -> Iterator[Tuple[bool, bytes]]:  # noqa: UP006
        """(True, a whole message) or (False, bytes that others wrote), in order."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            yield from self._line(line + b"\n")
        if len(self._rest) > _LONGEST_LINE:
            rest, self._rest = self._rest, b""
            yield False, rest

    def finish(self) -> Iterator[Tuple[bool, bytes]]:  # noqa: UP006
        rest, self._rest = self._rest, b""
        if rest:
            yield from self._line(rest)

    def _line(self, line: bytes) -> Iterator[Tuple[bool, bytes]]:  # noqa: UP006
        at = line.find(self._mark)
        if at < 0:
            yield False, line
            return
        if at:
            yield False, line[:at]
        kind, piece = line[at + len(self._mark) : at + len(self._mark) + 1], line[at + len(self._mark) + 1 : -1]
        if kind in (b"w", b"f"):  # whoever wrote the pieces before was ended in the middle
            self._begun = []
        self._begun.append(piece)
        if kind in (b"w", b"l"):
            whole, self._begun = b"".join(self._begun), []
            yield True, whole
