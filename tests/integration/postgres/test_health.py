"""How a real database stands, as `doctor` sees it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from twingraph.core.errors import StoreError
from twingraph.settings import Settings
from twingraph.store.postgres.connection import connect
from twingraph.store.postgres.health import look
from twingraph.store.postgres.schema import HEAD, prepare
from twingraph.store.postgres.store import PostgresStore
from twingraph.wiring.makers import check_database


def test_nothing_is_made_by_looking(postgres: str) -> None:
    found = look(postgres)
    assert (found.schema, found.schema_known, found.too_old, found.writes) == (None, True, False, True)
    assert look(postgres).schema is None


def test_schema_clock_and_leases_are_told(postgres: str, tmp_path: Path) -> None:
    life = PostgresStore(postgres).begin("here")
    with connect(postgres) as connection:
        connection.execute("insert into conductors values ('gone', clock_timestamp() - interval '1 minute')")
    found = check_database(Settings(home=tmp_path, database_url=postgres))
    life.release()
    assert found is not None
    assert (found.schema, found.alive, found.dead, found.left) == (HEAD, 1, 1, 0)
    assert abs(found.clock_ahead) < 5  # one machine
    assert found.place.startswith("the PostgreSQL database")


def test_a_newer_schema_is_known_as_such(postgres: str) -> None:
    prepare(postgres)
    with connect(postgres) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    assert look(postgres).schema_known is False


def test_who_does_not_answer_is_named() -> None:
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"the PostgreSQL database flows at 127\.0\.0\.1:1 failed: .*refused"):
        look("postgresql://nobody@127.0.0.1:1/flows")
    assert time.monotonic() - began < 30


def test_without_a_database_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    assert check_database(Settings(home=tmp_path)) is None
