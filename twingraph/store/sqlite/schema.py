"""Bringing a home's database to the schema that this version knows: a fresh one at once, an older one by migration."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from twingraph.core.errors import HomeError, StoreError
from twingraph.store.home import Home
from twingraph.store.locks import FileLock
from twingraph.store.sqlite.connection import connect, persistently, refusal

# The migration that leads to `schema.sql`.
HEAD = "0005"
KNOWN = ("0001", "0002", "0003", "0004", "0005")


def current(path: Path) -> str | None:
    """The migration at which the database stands; None when it is fresh."""
    if not path.exists():
        return None
    connection = connect(path)
    try:
        found = persistently(
            lambda: connection.execute(
                "select 1 from sqlite_master where type = 'table' and name = 'alembic_version'"
            ).fetchone(),
            path,
        )
        if found is None:
            return None
        row = connection.execute("select version_num from alembic_version").fetchone()
        return row[0] if row else None
    except sqlite3.Error as error:
        raise refusal(error, path) from error
    finally:
        connection.close()


def prepare(home: Home) -> None:
    """Create or migrate the database when that is needed. Whoever comes first does it; the others wait.

    The home is open afterwards; when it is refused it is closed.
    """
    try:
        ready = current(home.database) == HEAD
    except StoreError:
        home.close()
        raise
    if not ready:
        _bring_here(home)


def _bring_here(home: Home) -> None:
    lock = home.alone()
    try:
        if not lock.take(wait=False):
            _wait_for_creator(home, lock)
        at = current(home.database)
        if at is None:
            create(home.database)
        elif at != HEAD:
            _migrate(home, at)
    finally:
        lock.release()
    home.open()


def _wait_for_creator(home: Home, lock: FileLock) -> None:
    """Somebody uses the home: either creates it just now, or runs an older version that must not be migrated under."""
    deadline = time.monotonic() + 30
    while not lock.take(wait=False):
        if current(home.database) == HEAD:
            return
        if time.monotonic() > deadline:
            raise HomeError(
                f"{home.path} needs a migration, but another process uses it; end the other TwinGraph processes first"
            )
        time.sleep(0.005)


def create(path: Path) -> None:
    """The whole schema in one transaction: after a crash it is there or not."""
    from importlib import resources  # brings temporary files and archives along, and a home is made once

    script = resources.files("twingraph.store.sqlite").joinpath("schema.sql").read_text(encoding="utf-8")
    connection = connect(path)
    try:
        stamp = f"insert into alembic_version values ('{HEAD}');"
        persistently(lambda: connection.executescript(f"begin exclusive; {script} {stamp} commit;"), path)
    finally:
        connection.close()


def _migrate(home: Home, at: str) -> None:
    if at not in KNOWN:
        raise HomeError(
            f"{home.path} was written by a newer TwinGraph (schema {at}, this one knows {HEAD}); "
            "upgrade TwinGraph, or point TWINGRAPH_HOME elsewhere"
        )
    copy = home.path / f"twingraph.{at}.db"
    if not copy.exists():
        _copy(home.database, copy)
    from twingraph.store.migrations.upgrade import upgrade

    upgrade(home.database)


def _copy(database: Path, copy: Path) -> None:
    """A copy to go back to, whole or not there at all."""
    import shutil

    connection = connect(database)
    try:
        connection.execute("pragma wal_checkpoint(truncate)")
    finally:
        connection.close()
    part = copy.with_suffix(".part")
    shutil.copy2(database, part)
    part.replace(copy)
