"""Bringing a database to the schema that this version knows: a fresh one at once, an older one by migration.

Who uses the store holds its lock shared, so nobody is migrated under. A copy is the operator's: databases have backups.
"""

from __future__ import annotations

import time
from importlib import resources

import psycopg
from psycopg import Error

from twingraph.core.errors import StoreError
from twingraph.store.postgres.connection import (
    IN_USE,
    STAMP,
    Connection,
    first_connection,
    place,
    refusal,
)

# The migration that leads to `schema.sql`. PostgreSQL came with the third of SQLite's; the numbers go on together.
HEAD = "0005"
KNOWN = ("0003", "0004", "0005")
PATIENCE = 30.0


def current(connection: Connection) -> str | None:
    """The migration at which the database stands; None when it is fresh."""
    there = connection.execute("select to_regclass('alembic_version')").fetchone()
    row = connection.execute(STAMP).fetchone() if there is not None and there[0] is not None else None
    return row[0] if row is not None else None


def prepare(url: str, *, patience: float = PATIENCE) -> None:
    """Create or migrate the tables when that is needed. Whoever comes first does it; the others wait."""
    try:
        with first_connection(url) as connection:
            if current(connection) == HEAD:
                return
            _take_alone(connection, url, patience)
            at = current(connection)
            if at is None:
                create(connection)
            elif at != HEAD:
                _migrate(url, at)
            # The server notices the end of a session a moment late, and the next one comes at once.
            connection.execute(f"select pg_advisory_unlock({IN_USE})")
    except Error as error:
        raise refusal(error, url) from error


def create(connection: Connection) -> None:
    """The whole schema in one transaction: after a crash it is there or not."""
    script = resources.files("twingraph.store.postgres").joinpath("schema.sql").read_text(encoding="utf-8")
    with connection.transaction():
        connection.execute(script)
        connection.execute("insert into alembic_version values (%s)", (HEAD,))


def _take_alone(connection: Connection, url: str, patience: float) -> None:
    """Somebody uses the store: either makes it just now, or runs an older version that must not be migrated under."""
    deadline = time.monotonic() + patience
    while True:
        row = connection.execute(f"select pg_try_advisory_lock({IN_USE})").fetchone()
        if row is not None and row[0]:
            return
        if current(connection) == HEAD:
            return
        if time.monotonic() > deadline:
            raise StoreError(
                f"{place(url)} needs a migration, but other processes use it; end the other TwinGraph processes first"
            )
        time.sleep(0.02)


def _migrate(url: str, at: str) -> None:
    if at not in KNOWN:
        raise StoreError(
            f"{place(url)} was written by a newer TwinGraph (schema {at}, this one knows {HEAD}); upgrade TwinGraph, "
            "or choose another database"
        )
    from twingraph.store.migrations.upgrade import upgrade_postgres

    upgrade_postgres(lambda: psycopg.connect(url))
