"""Executions that events speak of."""

from __future__ import annotations

import json
from collections.abc import Iterator


def ids_in(body: str) -> list[str]:
    """Every text in an event's body: an id among them is one."""
    return [part for part in _parts(json.loads(body)) if part.startswith("exec-")]


def _parts(tree: object) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, list):
        for part in tree:
            yield from _parts(part)
    elif isinstance(tree, dict):
        for part in tree.values():
            yield from _parts(part)
