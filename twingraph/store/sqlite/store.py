"""The store of a home, on SQLite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twingraph.store.home import Home
from twingraph.store.locks import FileLock
from twingraph.store.sqlite.journal import SqliteJournal
from twingraph.store.sqlite.schema import prepare

if TYPE_CHECKING:
    from twingraph.store.sqlite.prune import SqlitePrune
    from twingraph.store.sqlite.records import SqliteRecords


class SqliteStore:
    """Keeps the promise of `store.base.Store`."""

    def __init__(self, home: Home, *, durability: str = "normal") -> None:
        prepare(home)
        self._home = home
        self._durability = durability
        self.place = str(home.path)

    def journal(self) -> SqliteJournal:
        return SqliteJournal(self._home, durability=self._durability)

    def records(self) -> SqliteRecords:
        from twingraph.store.sqlite.records import SqliteRecords  # a run that nobody looks at never pays for it

        return SqliteRecords(self._home)

    def prune(self) -> SqlitePrune:
        from twingraph.store.sqlite.prune import SqlitePrune

        return SqlitePrune(self._home)

    def begin(self, conductor: str) -> Lock:
        return Lock(self._home.run / f"{conductor}.lock")

    def secret(self) -> bytes:
        return self._home.secret()


class Lock:
    """A file lock is a sign of life: it ends with its process."""

    def __init__(self, path: Path) -> None:
        self._file = FileLock(path)
        self._file.take()

    def release(self) -> None:
        self._file.release()
        self._file.path.unlink(missing_ok=True)
