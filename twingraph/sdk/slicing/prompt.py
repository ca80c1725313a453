"""What was typed at the prompt of a Python that keeps no source of it (3.11, 3.12): read from readline's history."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence

from twingraph.core.syntax import parse

_GOES_ON = ("else", "elif", "except", "finally", "case", ")", "]", "}")


def typed() -> str | None:
    """The statements of this session, in order; None where nobody types or nothing is remembered."""
    readline = sys.modules.get("readline")
    if readline is None or not hasattr(sys, "ps1"):
        return None
    count = readline.get_current_history_length()
    before = _of_earlier_sessions()
    first = before + 1 if before < count else 1
    lines = [readline.get_history_item(number) or "" for number in range(first, count + 1)]
    return "".join(statements(lines)) or None


def _of_earlier_sessions() -> int:
    """The file of the history is read when a session begins and written when it ends."""
    try:
        with open(os.path.expanduser("~/.python_history"), encoding="utf-8", errors="replace") as file:
            return sum(1 for line in file if not line.startswith("_HiStOrY_V2_"))
    except OSError:
        return 0


def statements(lines: Sequence[str]) -> Iterator[str]:
    """Those that parse. The history holds no empty lines, so a statement ends where the next one begins."""
    for block in _blocks(lines):
        text = "\n".join(block) + "\n"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                parse(text)
        except SyntaxError:
            continue
        yield text


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for line in lines:
        goes_on = line[:1].isspace() or line.startswith(_GOES_ON) or (block and block[-1].startswith("@"))
        if block and not goes_on:
            yield block
            block = []
        block.append(line)
    if block:
        yield block
