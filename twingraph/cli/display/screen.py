"""A block of lines at the foot of a terminal that is drawn over and over; lines for good go above it."""

from __future__ import annotations

from collections.abc import Sequence

from twingraph.cli.console import Line, Surface, without_unicode
from twingraph.cli.words import columns


class Screen:
    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._drawn: list[int] = []  # columns of each line that stands there now

    def draw(self, above: Sequence[Line], block: Sequence[Line]) -> None:
        """One write: back to the first drawn line, what stays, then the block again."""
        width, _ = self._surface.size()
        # A terminal that became narrower has wrapped what stood there.
        rows = sum(max(-(-used // width), 1) for used in self._drawn)
        text = [f"\x1b[{rows}F" if rows else ""]
        # Line by line: clearing the whole screen at once would leave a copy in the history of some terminals.
        text += [self._text(line) + "\x1b[K\n" for line in (*above, *block)]
        text.append("\x1b[J")
        self._surface.stream.write("".join(text))
        self._surface.stream.flush()
        self._drawn = [sum(columns(part) for part, _ in line) for line in block]

    def clear(self) -> None:
        if self._drawn:
            self.draw([], [])

    def leave(self) -> None:
        """What stands there now stays for good."""
        self._drawn = []

    def _text(self, line: Line) -> str:
        text = self._surface.paint(line)
        return text if self._surface.unicode else without_unicode(text, self._surface.stream.encoding)
