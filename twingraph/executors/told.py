"""What a container says, taken apart: the runner's own words, and the lines that anything else in it wrote. Pure."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from twingraph.core.codec_base import loads
from twingraph.core.records import as_text, check_counts, check_flags, check_moments
from twingraph.executors.base import Hears, Line
from twingraph.executors.capture import BROKEN_OFF, MAX_LINE, MAX_LINES, MAX_TOTAL, pieces
from twingraph.executors.ended import FOREIGN, ending_of_process
from twingraph.executors.frames import FrameReader
from twingraph.executors.last_words import unheard
from twingraph.executors.mask import Flow, Mask

LAST_LINES = 10
_FAULT = "Fatal Python error"
_OUR_FRAME, _BOOT_FRAME = '  File "<runner>/', '  File "<string>", line '


class Told:
    """Fed with what comes from both streams. The runner's lines bear their own times, others that of their arrival."""

    def __init__(self, token: str, secrets: Sequence[str], hears: Hears, now: Callable[[], float]) -> None:
        mask = Mask(secrets) if secrets else None
        self._frames, self._beside = FrameReader(token), FrameReader(token)
        self._out = _Lines("info", "stdout", mask)
        self._err = _Lines("warning", "stderr", mask)
        self._hears = hears
        self._now = now
        self._size = self._count = 0
        self._records = 0
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._fault: list[str] = []
        self.began: float | None = None
        self.ending: Mapping[str, Any] | None = None
        self.answer: str | None = None
        self.left_files = False
        self.folder = ""  # in its place
        self.kept = ""  # what it compiled before it began, as base64
        self._is_quiet = False
        self.heard = [0, 0]  # bytes of each stream

    @property
    def is_over(self) -> bool:
        """All was said, on both streams."""
        return self.ending is not None and self._is_quiet

    @property
    def was_fed(self) -> bool:
        """Whether it has read all of its part, so that what comes next on its standard input is the next one's."""
        return self.ending is not None and bool(self.ending.get("fed"))

    @property
    def last(self) -> list[str]:
        return list(self._last)

    @property
    def fault(self) -> str:
        """What the interpreter said of its own end."""
        return "\n".join(_of_the_author(self._fault))

    def feed(self, out: bytes | None, err: bytes | None) -> None:
        if out:
            self.heard[0] += len(out)
            for is_ours, data in self._frames.feed(out):
                self._take(is_ours, data)
        if err:
            self.heard[1] += len(err)
            for is_ours, data in self._beside.feed(err):
                self._take_beside(is_ours, data)

    def finish(self) -> None:
        """Nothing more comes."""
        for is_ours, data in self._frames.finish():
            self._take(is_ours, data)
        for is_ours, data in self._beside.finish():
            self._take_beside(is_ours, data)
        self._say(self._out.finish())
        self._say(self._err.finish())

    def _take(self, is_ours: bool, data: bytes) -> None:
        if not is_ours:
            self._say(self._out.feed(data))
            return
        try:
            kind, *rest = loads(data.decode("utf-8", "replace"))
            self._message(kind, rest)
        except FOREIGN:  # user code speaks as we do
            self._say(self._out.feed(data + b"\n"))

    def _take_beside(self, is_ours: bool, data: bytes) -> None:
        if is_ours:
            self._is_quiet = True
        else:
            self._say(self._err.feed(data))

    def _message(self, kind: str, rest: list[Any]) -> None:
        if kind == "b":
            began, folder = rest
            check_moments(began)
            self.began, self.folder = began, as_text(folder)
            self._hears.began(began)
        elif kind == "k" and self.began is None:  # later it may be user code that says so
            self.kept = as_text(rest[0])
        elif kind == "l":
            lines = [_line(*line) for line in rest[0]]
            self._records += len(lines)
            self._hear(lines)
        elif kind == "w":
            self._hear(unheard([(_index(index), _line(*line)) for index, line in rest[0]], self._records))
        elif kind == "i":
            start, texts = rest
            check_counts(start)
            self._hears.gave(start, [_value(text) for text in texts])
        elif kind == "a":
            self.answer = as_text(rest[0])
        elif kind == "e":
            ending, left_files, folder = rest
            check_flags(left_files)
            self.ending, self.left_files, self.folder = ending_of_process(ending), left_files, as_text(folder)

    def _hear(self, lines: list[Line]) -> None:
        self._last.extend(message for _, _, stream, message in lines if stream not in ("progress", "artifact"))
        self._hears.said(lines)

    def _say(self, found: Iterator[tuple[str, str, str]]) -> None:
        lines: list[Line] = []
        for level, stream, message in found:
            if stream == "stderr" and (message.startswith(_FAULT) or self._fault):
                self._fault = [*self._fault, message][:200]
            else:
                self._last.append(message[:1000])
            if self._size > MAX_TOTAL or self._count > MAX_LINES:
                continue
            self._size += len(message) + 16
            self._count += 1
            is_over = self._size > MAX_TOTAL or self._count > MAX_LINES
            lines.append((self._now(), "warning" if is_over else level, stream, BROKEN_OFF if is_over else message))
        if lines:
            self._hears.said(lines)


def _of_the_author(frames: Sequence[str]) -> Iterator[str]:
    """Without those of our runner, and of the line that began it."""
    is_ours = False
    for frame in frames:
        is_ours = frame.startswith(_OUR_FRAME) or (is_ours and frame.startswith(_BOOT_FRAME))
        if not is_ours:
            yield frame


def _line(at: Any, level: Any, stream: Any, message: Any) -> Line:
    check_moments(at)
    return at, as_text(level), as_text(stream), as_text(message)


def _index(number: Any) -> int:
    """Of a line among those of the run; that of one without its end is below 0."""
    if number != -1:
        check_counts(number)
    return int(number)


def _value(text: Any) -> str:
    if "\n" in as_text(text):
        raise ValueError("the text of a value is one line")
    return str(text)


class _Lines:
    """The lines of a stream whose pieces end anywhere, with secrets hidden."""

    def __init__(self, level: str, stream: str, mask: Mask | None) -> None:
        self._level, self._stream = level, stream
        self._flow = None if mask is None else Flow(mask.raw)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> Iterator[tuple[str, str, str]]:
        if self._flow is not None:
            data = self._flow.feed(data.decode("latin-1")).encode("latin-1")
        yield from self._taken(self._decoder.decode(data))

    def finish(self) -> Iterator[tuple[str, str, str]]:
        data = b"" if self._flow is None else self._flow.finish().encode("latin-1")
        yield from self._taken(self._decoder.decode(data, True))
        if self._rest:
            rest, self._rest = self._rest, ""
            yield self._level, self._stream, rest

    def _taken(self, text: str) -> Iterator[tuple[str, str, str]]:
        *lines, self._rest = (self._rest + text).split("\n")
        if len(self._rest) > MAX_LINE:
            lines.append(self._rest)
            self._rest = ""
        for line in lines:
            for piece in pieces(line.rstrip("\r")):
                yield self._level, self._stream, piece
