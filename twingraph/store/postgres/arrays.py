"""Arrays as PostgreSQL reads them. One text for a thousand values is the cheapest thing that a client can send."""

from __future__ import annotations

from collections.abc import Iterable


def of_numbers(values: Iterable[int | float | None]) -> str:
    return "{" + ",".join(["null" if value is None else repr(value) for value in values]) + "}"


def of_texts(values: Iterable[str | None]) -> str:
    return "{" + ",".join(["null" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(text: str) -> str:
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    return '"' + text.replace('"', '\\"') + '"'
