"""Where the program writes: two streams, what each can show, and nothing that a terminal could take for a command."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from twingraph.cli.words import columns, cut, face, pad
from twingraph.core.recordclass import recordclass

# A piece of a line: its text and its colour ('' is the terminal's own).
Span = tuple[str, str]
Line = Sequence[Span]

_CODES = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36"}
_PROBE = "✓✗●◌↻○⊘█…│"


@recordclass
class Surface:
    """One stream and what it can show."""

    stream: TextIO
    terminal: bool
    colour: bool
    unicode: bool

    def size(self) -> tuple[int, int]:
        """Columns and lines; a pipe is as wide as it needs to be."""
        if not self.terminal:
            return 120, 10_000
        try:
            width, height = os.get_terminal_size(self.stream.fileno())
        except (OSError, ValueError, io.UnsupportedOperation):
            width, height = shutil.get_terminal_size((80, 24))
        return max(width or 80, 20), max(height or 24, 6)

    def paint(self, line: Line) -> str:
        if not self.colour:
            return "".join(text for text, _ in line).rstrip()
        return "".join(f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if colour and text else text for text, colour in line)

    def icon(self, status: str) -> str:
        seen = face(status)
        return seen.icon if self.unicode else seen.plain

    def write(self, *lines: Line | str) -> None:
        text = "".join((line if isinstance(line, str) else self.paint(line)) + "\n" for line in lines)
        self.stream.write(text if self.unicode else without_unicode(text, self.stream.encoding))
        self.stream.flush()


def without_unicode(text: str, encoding: str | None) -> str:
    """Our own signs in ASCII; what else the stream cannot take, as escapes."""
    for sign, plain in (("…", "..."), ("│", "|"), ("·", "-"), ("→", "->"), ("⏎", "/"), ("─", "-"), ("—", "-")):
        text = text.replace(sign, plain)
    encoding = encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def surface(stream: TextIO, environ: Mapping[str, str] | None = None) -> Surface:
    environ = os.environ if environ is None else environ
    terminal = bool(getattr(stream, "isatty", lambda: False)()) and environ.get("TERM") != "dumb"
    return Surface(
        stream=stream,
        terminal=terminal,
        colour=terminal and not environ.get("NO_COLOR"),
        unicode=_can_encode(stream),
    )


def _can_encode(stream: TextIO) -> bool:
    try:
        _PROBE.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


@recordclass
class Console:
    """Answers go to `out`, talk about them to `err`."""

    out: Surface
    err: Surface

    @classmethod
    def of_process(cls) -> Console:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A lone surrogate in a name must not end the program.
                stream.reconfigure(errors="backslashreplace")
        return cls(out=surface(sys.stdout), err=surface(sys.stderr))

    def say(self, *lines: Line | str) -> None:
        self.out.write(*lines)

    def note(self, *lines: Line | str) -> None:
        self.err.write(*lines)


def fit(line: Iterable[Span], width: int) -> list[Span]:
    """The line, cut at `width` columns."""
    fitted: list[Span] = []
    left = width
    for text, colour in line:
        if left <= 0:
            break
        short = cut(text, left)
        fitted.append((short, colour))
        left -= columns(short)
    return fitted


def table(rows: Sequence[Sequence[Span]], width: int, *, grow: int = 0) -> list[list[Span]]:
    """Rows as aligned columns; the column `grow` gives way when the whole is too wide."""
    if not rows:
        return []
    widths = [max(columns(row[at][0]) for row in rows) for at in range(len(rows[0]))]
    over = sum(widths) + 2 * (len(widths) - 1) - width
    if over > 0:
        widths[grow] = max(widths[grow] - over, 8)
    lines = []
    for row in rows:
        line: list[Span] = []
        for at, (text, colour) in enumerate(row):
            cell = cut(text, widths[at])
            last = at == len(row) - 1
            line.append((cell if last else pad(cell, widths[at]) + "  ", colour))
        lines.append(fit(line, width))
    return lines
