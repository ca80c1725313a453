"""The schema on PostgreSQL: fresh and migrated are the same, and nobody is migrated under."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from tests.support.postgres import fresh_schema
from twingraph.core.errors import StoreError
from twingraph.store.migrations.upgrade import upgrade_postgres
from twingraph.store.postgres import schema
from twingraph.store.postgres.connection import connect
from twingraph.store.postgres.journal import PostgresJournal
from twingraph.store.postgres.store import PostgresStore
from twingraph.store.sqlite.schema import HEAD as SQLITE_HEAD

COLUMNS = """
select table_name, ordinal_position, column_name, data_type, is_nullable, column_default is not null, is_identity
from information_schema.columns where table_schema = current_schema() order by 1, 2
"""
INDEXES = (
    "select replace(indexdef, current_schema(), '') from pg_indexes where schemaname = current_schema() order by 1"
)
OPTIONS = "select relname, reloptions from pg_class where relnamespace = current_schema()::regnamespace order by 1"


@pytest.fixture
def another(postgres_server: str) -> Iterator[str]:
    with fresh_schema(postgres_server) as url:
        yield url


def shape(url: str) -> list[object]:
    with connect(url) as connection:
        return [connection.execute(question).fetchall() for question in (COLUMNS, INDEXES, OPTIONS)]


def stands_at(url: str) -> str | None:
    with connect(url) as connection:
        return schema.current(connection)


def test_a_fresh_schema_is_what_migrations_lead_to(postgres: str, another: str) -> None:
    with connect(postgres) as connection:
        schema.create(connection)
    upgrade_postgres(lambda: psycopg.connect(another))
    assert shape(postgres) == shape(another)
    assert stands_at(postgres) == stands_at(another) == schema.HEAD == schema.KNOWN[-1]


def test_both_databases_stand_at_the_same_number() -> None:
    assert schema.HEAD == SQLITE_HEAD


@pytest.mark.parametrize("at", schema.KNOWN)
def test_an_older_one_is_led_here(postgres: str, at: str) -> None:
    upgrade_postgres(lambda: psycopg.connect(postgres), at)
    schema.prepare(postgres)
    assert stands_at(postgres) == schema.HEAD


def test_a_newer_one_is_refused(postgres: str) -> None:
    PostgresStore(postgres)
    with connect(postgres) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    with pytest.raises(StoreError, match="newer TwinGraph"):
        PostgresStore(postgres)


def test_it_is_not_migrated_under_who_uses_it(postgres: str) -> None:
    journal = PostgresStore(postgres).journal()
    with connect(postgres) as connection:
        connection.execute("update alembic_version set version_num = '0001'")
    with pytest.raises(StoreError, match="end the other TwinGraph processes first"):
        schema.prepare(postgres, patience=0.1)
    journal.close()


def test_who_was_away_while_it_was_migrated_stops(postgres: str) -> None:
    journal = PostgresStore(postgres).journal()
    journal.close()
    with connect(postgres) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    with pytest.raises(StoreError, match="brought to schema 9999 meanwhile"):
        journal.code("v1")


OPEN = """
import sys
from twingraph.store.postgres.store import PostgresStore
sys.stdin.readline()
store = PostgresStore(sys.argv[1])
store.secret()
store.journal().close()
"""


def test_five_processes_make_one_fresh_database_at_once(postgres: str) -> None:
    command = [sys.executable, "-c", OPEN, postgres]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(5)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=50)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 5, told
    PostgresJournal(postgres).close()
