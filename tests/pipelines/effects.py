"""What components do to the world outside: a line in a file for each time that one of them really runs."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "TABLE_EFFECTS"  # a folder; a file in it per execution, in one worker or many


def effect(*what: object) -> None:
    """Leave a trace. Appending a short line is atomic, so that processes may do it at the same time."""
    folder = os.environ.get(VARIABLE)
    if folder is None:
        return
    line = " ".join(str(part) for part in what)
    name = os.environ.get("TWINGRAPH_EXECUTION_ID", "plain")
    with open(os.path.join(folder, name), "a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def effects(folder: Path, execution: str = "plain") -> list[str]:
    """All traces of an execution, sorted: nodes that run side by side leave them in any order."""
    path = folder / execution
    return sorted(path.read_text("utf-8").splitlines()) if path.exists() else []
