"""Tracebacks as their author wants them: their frames, none of ours."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

_OURS = str(Path(__file__).resolve().parent.parent)
_FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line \d+')


def format_user_traceback(error: BaseException) -> str:
    """The traceback of an error that was raised while user code was loaded."""
    return strip("".join(traceback.format_exception(error)))


def strip(text: str) -> str:
    """Without the frames of TwinGraph and of the import machinery; a traceback left without frames loses its title."""
    kept: list[str] = []
    skipping = False
    for line in text.splitlines():
        frame = _FRAME.match(line)
        if frame:
            skipping = _is_ours(frame["file"])
        elif not line.startswith("    "):
            skipping = False
        if not skipping:
            kept.append(line)
    return "\n".join(_without_empty_titles(kept))


def _is_ours(file: str) -> bool:
    return file.startswith((_OURS, "<frozen importlib", "<frozen runpy"))


def _without_empty_titles(lines: list[str]) -> list[str]:
    title = "Traceback (most recent call last):"
    return [
        line for at, line in enumerate(lines) if line != title or (at + 1 < len(lines) and _FRAME.match(lines[at + 1]))
    ]
