"""What components do to the world outside, noted each time that one of them really runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

VARIABLE = "TABLE_EFFECTS"  # a file to which worker processes append


class Effect(NamedTuple):
    node: str | None  # None: no node ran, but the plain program, or a body
    attempt: int
    what: str


# Where those of this process are noted while somebody looks.
_noted: list[list[Effect]] = []


def effect(*what: object) -> None:
    """Leave a trace."""
    line = " ".join(str(part) for part in what)
    if _noted:
        _noted[-1].append(Effect(*_place(), line))
    elif VARIABLE in os.environ:
        # Appending a short line is atomic, so that processes may do it at the same time.
        with open(os.environ[VARIABLE], "a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def _place() -> tuple[str | None, int]:
    from twingraph.core.errors import TwinGraphError
    from twingraph.executors.context import current

    try:
        run = current()
    except TwinGraphError:
        return None, 0
    return run.node_id, run.attempt


@contextmanager
def noted() -> Iterator[list[Effect]]:
    """All traces that this process leaves meanwhile."""
    effects: list[Effect] = []
    _noted.append(effects)
    try:
        yield effects
    finally:
        _noted.remove(effects)
