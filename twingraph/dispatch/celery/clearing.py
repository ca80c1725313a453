"""Unpacked projects that nobody has used for long are removed from a worker's home.

Whoever uses one holds a lock on its folder (`executors.project`), so that none goes which any process uses.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path

UNUSED_SECONDS = 30 * 86_400.0
AGAIN_SECONDS = 86_400.0


def clear_often(folder: Path) -> None:
    """Now and every day, as long as this process lives."""

    def clear() -> None:
        while True:
            clear_unused(folder, time.time() - UNUSED_SECONDS)
            time.sleep(AGAIN_SECONDS)

    threading.Thread(target=clear, name="twingraph-clearing", daemon=True).start()


def clear_unused(folder: Path, before: float) -> None:
    """What nobody has taken into use since then, and nobody uses now; also what a killed process left half made."""
    found: list[Path] = []
    with suppress(OSError):
        found = list(folder.iterdir())
    for place in found:
        with suppress(ImportError, OSError):  # in use, another user's, gone already; or no folder can be locked here
            _clear(place, before)


def _clear(place: Path, before: float) -> None:
    import fcntl

    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_mtime < before:
            aside = place.with_name(f"{place.name[:8]}.{os.urandom(4).hex()}")  # so that nobody finds half of it
            place.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
    finally:
        os.close(descriptor)
