"""Prints and logs of nodes as lines, each with the name of its node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twingraph.cli.console import Line, Span
from twingraph.cli.words import clock, cut, printable
from twingraph.core.execution import LogRecord

_COLOURS = {"warning": "yellow", "error": "red", "critical": "red", "debug": "dim"}
NAME_WIDTH = 24


def log_lines(record: LogRecord, *, times: bool = False) -> Iterator[Line]:
    """A message of several lines keeps its prefix on each of them."""
    prefix: list[Span] = [(clock(record.timestamp) + " ", "dim")] if times else []
    name = cut(record.node_id or "body", NAME_WIDTH)
    prefix += [(name, "cyan"), (" │ ", "dim")]
    colour = "" if record.stream == "stdout" else _COLOURS.get(record.level, "")
    for text in record.message.rstrip("\n").split("\n"):
        yield [*prefix, (printable(text.rstrip("\r")), colour)]


def all_log_lines(records: Sequence[LogRecord], *, times: bool = False) -> list[Line]:
    return [line for record in records for line in log_lines(record, times=times)]
