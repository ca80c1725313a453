"""A row of the list of executions that something else has written to: an error that says what to do."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.conducting import Rig, chain, over
from tests.support.foreign import spoiled
from twingraph.core.errors import DamagedError, StoreError
from twingraph.store.sqlite.records import SqliteRecords

ERROR = json.dumps({"code": "user_error", "error_type": "E", "message": "no", "types": ["E"]})
COLUMNS = ("status", "created_at", "started_at", "completed_at", "error", "name", "target", "owner", "reason")
BYTES = st.one_of(
    spoiled([ERROR]),
    st.binary(max_size=20),
    st.floats(allow_nan=False),
    st.integers(-(2**63), 2**63 - 1),
    st.just("failed"),
)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("rows") / "home") as rig:
        over(rig.submit(chain(1), execution="exec-a"))
        yield rig


def write(database: Path, column: str, value: object) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(f"update executions set {column} = ?", (value,))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(column=st.sampled_from(COLUMNS), value=BYTES)
def test_a_row_is_read_or_is_an_error_of_the_store(rig: Rig, column: str, value: object) -> None:
    with closing(sqlite3.connect(rig.home.database)) as connection:
        (before,) = connection.execute(f"select {column} from executions").fetchone()
    with suppress(UnicodeEncodeError, sqlite3.IntegrityError):  # what SQLite itself does not take
        write(rig.home.database, column, value)
    try:
        with closing(SqliteRecords(rig.home)) as records, suppress(StoreError):
            records.record("exec-a")
            records.page()
    finally:
        write(rig.home.database, column, before)


def test_a_damaged_row_names_its_execution_and_the_remedy(rig: Rig) -> None:
    write(rig.home.database, "error", '{"code"')
    try:
        with (
            closing(SqliteRecords(rig.home)) as records,
            pytest.raises(DamagedError, match=r"exec-a.*damaged.*restore a copy"),
        ):
            records.record("exec-a")
    finally:
        write(rig.home.database, "error", None)
