"""What a worker's C code and child processes wrote to descriptors 1 and 2: files without a name, read here alone."""

from __future__ import annotations

import os
import time
from typing import Protocol

from twingraph.dispatch.embedded.strand import Held
from twingraph.executors.capture import BROKEN_OFF, MAX_LINE, MAX_TOTAL, pieces

_CUT_AT = 16 * 1024 * 1024

Line = tuple[float, str, str, str]


class Hides(Protocol):
    """See `executors.mask.Flow`. Bytes are handed in as Latin-1."""

    def feed(self, text: str) -> str: ...
    def finish(self) -> str: ...
    def cut(self) -> None: ...


class CapturedFile:
    """Reads on from where it was. `end` bounds a reading to what a run had written when it ended."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0
        self._flow: Hides | None = None
        self._rest = b""  # a line whose end is held back

    def hide(self, flow: Hides) -> None:
        """From now on what `flow` hides is hidden."""
        if self._flow is not None:
            self._rest += self._flow.finish().encode("latin-1")
        self._flow = flow

    def read(self, level: str, stream: str, end: int | None = None, whole: bool = True) -> list[Line]:
        """The new lines. With `whole` False a line without its end is left for later."""
        size = os.fstat(self._descriptor).st_size if end is None else end
        start = self._position
        length = min(size - start, MAX_TOTAL)
        if length <= 0:
            return self._lines(self._hidden(b"", whole=whole), level, stream) if self._flow is not None else []
        data = os.pread(self._descriptor, length, start)
        if not whole and len(data) < MAX_LINE:
            data = data[: data.rfind(b"\n") + 1]
        self._position = size if size - start > MAX_TOTAL else start + len(data)
        if self._flow is not None:
            data = self._hidden(data, whole=whole, is_cut=size - start > MAX_TOTAL)
        return self._lines(data, level, stream)

    def _hidden(self, data: bytes, *, whole: bool, is_cut: bool = False) -> bytes:
        assert self._flow is not None
        text = self._flow.feed(data.decode("latin-1"))
        if is_cut:
            self._flow.cut()
        if whole:
            text += self._flow.finish()
        data, self._rest = self._rest + text.encode("latin-1"), b""
        if not whole and len(data) < MAX_LINE:
            end = data.rfind(b"\n") + 1
            data, self._rest = data[:end], data[end:]
        return data

    def _lines(self, data: bytes, level: str, stream: str) -> list[Line]:
        now = time.time()
        text = data.decode("utf-8", "replace")
        return [(now, level, stream, piece) for line in text.splitlines() for piece in pieces(line)]

    def tail(self, size: int = 4000) -> str:
        """The end of all that was ever written, for the message of a crash."""
        whole = os.fstat(self._descriptor).st_size
        return os.pread(self._descriptor, size, max(0, whole - size)).decode("utf-8", "replace")

    def shrink(self) -> bool:
        """Give the disk back. Only while nothing runs."""
        if self._position < _CUT_AT:
            return False
        os.ftruncate(self._descriptor, 0)
        self._position = 0
        return True

    def close(self) -> None:
        os.close(self._descriptor)


def bounded(held: Held, lines: list[Line]) -> list[Line]:
    """What of these lines still fits into the log of the attempt."""
    kept = []
    for line in lines:
        if held.said > MAX_TOTAL:
            break
        held.said += len(line[3]) + 16
        kept.append(line if held.said <= MAX_TOTAL else (line[0], "warning", line[2], BROKEN_OFF))
    return kept
