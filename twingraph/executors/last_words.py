"""What a process says, kept where it outlives the process: in memory that its parent shares. Python 3.8.

What user code prints goes to the parent within a moment, by a thread. A process that ends without a word (`os._exit`, a
crash, a kill) has no such moment, and its author's thread must not send by itself: a handler of a signal may end any
call in its midst. So each record is written here too, by whoever says it, and the parent reads what it has not heard.

Two halves are filled in turn, so at least the newest half is there. A line is there once its half's length counts it.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any, Dict, List, Optional, Tuple

from twingraph.core.codec_base import UNREADABLE, CodecError, dumps, loads
from twingraph.executors.context import RealClock

Record = Tuple[float, str, str, str]
Said = List[Tuple[int, Record]]

SIZE = 1 << 19
_HEAD = 64
_TURN = 2  # after the lengths of both halves
# Of a line that takes more than half of a half so many characters are kept, and of one without its end yet.
_LONG, _OPEN = 16384, 4096
_CUT = " ...(cut)"
# In the place of a record's index: a line that goes on.
_UNFINISHED = -1
# No calendar goes on for longer.
_LATEST = 250_000_000_000


class LastWords:
    """Records are counted for each run, from 0 on."""

    def __init__(self, memory: Any) -> None:
        """`memory`: SIZE bytes, or another number; all zero at first."""
        self._bytes = memoryview(memory)
        self._half = (len(self._bytes) - _HEAD) // 2
        self._numbers = self._bytes[:_HEAD].cast("q")
        self._turn = self._end = 0  # as the process itself knows them
        self._open: Optional[Tuple[int, str]] = None  # noqa: UP006, UP045 - whose line stands last without its end,
        self._open_at = 0  # and where
        self._lock = threading.RLock()  # a signal's handler may print in the middle of a print
        self._mute = False

    def note(self, run: int, index: int, record: Record) -> None:
        if self._mute:
            return
        data = _line(run, index, record)
        if len(data) > self._half // 2:
            data = _line(run, index, (*record[:3], record[3][: min(_LONG, self._half // 8)] + _CUT))
        self._put(data, None)

    def note_unfinished(self, run: int, level: str, stream: str, text: str) -> None:
        """A line that was flushed before its end. It stands in the place of what it was before, so that many of them
        take no room of others."""
        if not self._mute:
            if len(text) > _OPEN:
                text = "... " + text[-_OPEN:]
            self._put(_line(run, _UNFINISHED, (RealClock.now(), level, stream, text)), (run, stream))

    def _put(self, data: bytes, unfinished: Optional[Tuple[int, str]]) -> None:  # noqa: UP006, UP045
        size = len(data)
        if size > self._half:
            return
        with self._lock:  # and nothing is called below, for a handler of a signal comes between calls only
            start = self._end if unfinished is None or unfinished != self._open else self._open_at
            if start + size > self._half:
                self._turn, start = 1 - self._turn, 0
                self._numbers[self._turn] = 0
                self._numbers[_TURN] = self._turn
            at = _HEAD + self._turn * self._half + start
            self._bytes[at : at + size] = data
            self._end = self._numbers[self._turn] = start + size
            self._open, self._open_at = unfinished, start

    def said(self) -> Dict[int, Said]:  # noqa: UP006
        """What is there of each run, each record with its index. None of it is trusted: a process that crashed may have
        written anywhere."""
        found: Dict[int, Said] = {}  # noqa: UP006
        turn = self._numbers[_TURN]
        for half in (1 - turn, turn) if turn in (0, 1) else ():
            start = _HEAD + half * self._half
            data = bytes(self._bytes[start : start + max(0, min(self._numbers[half], self._half))])
            for line in data.split(b"\n")[:-1]:
                with suppress(CodecError, TypeError, *UNREADABLE):
                    run, index, at, level, stream, message = loads(line.decode("utf-8"))
                    record = (float(at), str(level), str(stream), str(message))
                    if 0 <= record[0] < _LATEST:
                        found.setdefault(int(run), []).append((int(index), record))
        return found

    def in_child(self) -> None:
        """A fork speaks for itself."""
        self._mute = True

    def close(self) -> None:
        self._numbers.release()
        self._bytes.release()


def _line(run: int, index: int, record: Record) -> bytes:
    return (dumps([run, index, *record]) + "\n").encode("utf-8", "replace")


def unheard(said: Said, heard: int) -> List[Record]:  # noqa: UP006
    """What comes after the first `heard` records of a run, with a note in the place of what is gone."""
    found: List[Record] = []  # noqa: UP006
    unfinished: Dict[str, Record] = {}  # noqa: UP006
    for index, record in said:
        at, _, stream, _ = record
        if index == _UNFINISHED:
            unfinished[stream] = record
            continue
        unfinished.pop(stream, None)
        if index < heard:
            continue
        if index > heard:
            found.append((at, "warning", stream, f"({index - heard} lines before this one were lost)"))
        found.append(record)
        heard = index + 1
    return found + sorted(unfinished.values())
