"""Text that a database refuses, in a form that it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twingraph.store.base import Append, LogRow, Row


def writable(part: Append) -> Append:
    """Half a surrogate pair has no UTF-8; as an escape it is the same JSON, and still readable in a log."""
    return replace(
        part,
        rows=[Row(*map(escaped, row)) for row in part.rows],
        logs=[LogRow(*map(escaped, row)) for row in part.logs],
        changes={name: escaped(value) for name, value in part.changes.items()},
    )


def escaped(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value


def without_zero(text: str) -> str:
    """PostgreSQL keeps no character zero either."""
    return str(escaped(text)).replace("\0", "\\x00")
