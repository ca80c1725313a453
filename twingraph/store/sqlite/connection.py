"""Connections to a home's database, and the only place where SQLite's refusals become ours."""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from twingraph.core.errors import HomeError, StoreError

Result = TypeVar("Result")

# How long a writer keeps asking for the database. Transactions take milliseconds, so this is a sick machine.
PATIENCE = 30.0


class Presence:
    """Whether a database is still the file that was opened: what is written into a deleted one is lost in silence."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._now()

    def check(self) -> None:
        """Raises HomeError when the file is gone, or is another one by now."""
        now = self._now()
        if now is None or now != self._known:
            raise HomeError(
                f"the home folder {self._path.parent} was {'deleted' if now is None else 'replaced'} while it was in "
                "use: what ran is on record nowhere; put the folder back and resume, or start again"
            )

    def _now(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino


def connect(path: Path, *, durability: str = "normal") -> sqlite3.Connection:
    """A connection in WAL mode. `durability` 'full' also survives a power cut."""
    try:
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise refusal(error, path) from error
    try:
        persistently(lambda: connection.execute("pragma journal_mode=wal"), path)
        connection.execute(f"pragma synchronous={'full' if durability == 'full' else 'normal'}")
        connection.execute("pragma cache_size=-8000")
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise refusal(error, path) from error
        raise
    return connection


def close_when_forgotten(owner: object, connection: sqlite3.Connection) -> None:
    """Whoever forgets `close` leaves nothing open. Not at exit: there a thread may still be in the middle of a
    statement, and a connection that is closed under it takes the process down."""
    weakref.finalize(owner, connection.close).atexit = False


def persistently(act: Callable[[], Result], path: Path, patience: float = PATIENCE) -> Result:
    """Do it, again and again while another process holds the database. 1 to 5 ms of jitter keeps writers apart."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return act()
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise refusal(error, path) from error
            from random import uniform

            time.sleep(uniform(0.001, 0.005))
        except sqlite3.Error as error:
            raise refusal(error, path) from error


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


_REMEDIES = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space and resume",
    sqlite3.SQLITE_READONLY: "it may not be written; check its owner and permissions",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that the home folder exists and is yours",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore a copy, or move it away and start afresh",
    sqlite3.SQLITE_NOTADB: "it is not a database of TwinGraph; move it away or choose another TWINGRAPH_HOME",
    sqlite3.SQLITE_IOERR: "the disk reported an error; check the disk and its free space",
    sqlite3.SQLITE_BUSY: f"another process has held it for {PATIENCE:g} s; see `twingraph doctor`",
}


def refusal(error: sqlite3.Error, path: Path) -> StoreError:
    """What SQLite said, as an error that names the file and the remedy."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return StoreError(f"the database {path} failed: {error}; {_REMEDIES.get(code, 'see `twingraph doctor`')}")
