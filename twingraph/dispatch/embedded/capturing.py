"""What a worker's C code and child processes wrote to descriptors 1 and 2: files without a name, read here alone."""

from __future__ import annotations

import codecs
import os
import time
from collections.abc import Iterable, Iterator
from typing import Protocol

from twingraph.dispatch.embedded.strand import Held
from twingraph.executors.capture import BROKEN_OFF, MAX_LINE, MAX_LINES, MAX_TOTAL, pieces

_CUT_AT = 16 * 1024 * 1024
# What one look at a run that goes on reads: a few milliseconds of work. The next look reads on.
_LOOK = 4 * MAX_LINE
# So much is made lines at a time.
_PART = 65536

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

    def read(self, level: str, stream: str, end: int | None = None, whole: bool = True) -> Iterator[Line]:
        """The new lines, each made when it is asked for: what is not asked for now is gone. With `whole` False a line
        without its end is left for later, and so is what is too much for one look."""
        size = os.fstat(self._descriptor).st_size if end is None else end
        start = self._position
        length = min(size - start, MAX_TOTAL if whole else _LOOK)
        if length <= 0:
            return self._lines(self._hidden(b"", whole=whole), level, stream) if self._flow is not None else iter(())
        data = os.pread(self._descriptor, length, start)
        is_cut = whole and size - start > MAX_TOTAL
        if not whole:
            data = data[: _end_of_lines(data)]
        self._position = size if is_cut else start + len(data)
        if self._flow is not None:
            data = self._hidden(data, whole=whole, is_cut=is_cut)
        return self._lines(data, level, stream)

    def _hidden(self, data: bytes, *, whole: bool, is_cut: bool = False) -> bytes:
        assert self._flow is not None
        text = self._flow.feed(data.decode("latin-1"))
        if is_cut:
            self._flow.cut()
        if whole:
            text += self._flow.finish()
        data, self._rest = self._rest + text.encode("latin-1"), b""
        if not whole:
            end = _end_of_lines(data)
            data, self._rest = data[:end], data[end:]
        return data

    def _lines(self, data: bytes, level: str, stream: str) -> Iterator[Line]:
        now = time.time()
        return ((now, level, stream, line) for line in split(data))

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


def _end_of_lines(data: bytes) -> int:
    """Up to where these are whole lines; all of it where one does not end that is too long to be waited for."""
    end = data.rfind(b"\n") + 1
    return end if end or len(data) < MAX_LINE else len(data)


def split(data: bytes, part: int = _PART) -> Iterator[str]:
    """The lines of a text in bearable pieces. No more is decoded than is asked for: most of a flood is dropped."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    rest, start = "", 0
    while start < len(data):
        end = start + part
        if data[end - 1 : end + 1] == b"\r\n":
            end += 1
        *lines, rest = (rest + decode(data[start:end], end >= len(data)) + "|").splitlines()
        for line in lines:
            if len(line) <= MAX_LINE:
                yield line
            else:
                yield from pieces(line)
        *parts, rest = pieces(rest[:-1])
        yield from parts
        start = end
    if rest:
        yield rest


def bounded(held: Held, lines: Iterable[Line]) -> list[Line]:
    """What of these lines still fits into the log of the attempt; no more of them is asked for."""
    kept: list[Line] = []
    if held.said > MAX_TOTAL or held.lines > MAX_LINES:
        return kept
    for line in lines:
        held.said += len(line[3]) + 16
        held.lines += 1
        if held.said > MAX_TOTAL or held.lines > MAX_LINES:
            kept.append((line[0], "warning", line[2], BROKEN_OFF))
            break
        kept.append(line)
    return kept
