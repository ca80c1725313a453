"""Who holds what is known by signs of life in the database, by its clock."""

from __future__ import annotations

import pytest

from tests.integration.postgres.test_lost_connections import begun
from twingraph.core.errors import ConflictError
from twingraph.store.postgres.connection import connect
from twingraph.store.postgres.store import PostgresStore


def says(postgres: str, name: str, seconds: float) -> None:
    """A sign of life of this conductor ends in so many seconds."""
    with connect(postgres) as connection:
        connection.execute(
            "insert into conductors values (%s, clock_timestamp() + make_interval(secs => %s)) "
            "on conflict (name) do update set until = excluded.until",
            (name, seconds),
        )
        # The server was started long ago, as far as this test goes: see `lives`.
        while connection.execute(
            "select clock_timestamp() < pg_postmaster_start_time() + interval '5 s'"
        ).fetchone() == (True,):
            connection.execute("select pg_sleep(0.1)")


def test_a_lease_holds_until_it_ends_and_then_anybody_may_take_it(postgres: str) -> None:
    store = PostgresStore(postgres)
    journal, other = store.journal(), store.journal()
    begun(journal)
    says(postgres, "one", 60)
    with pytest.raises(ConflictError):
        other.claim("exec-a", "two")
    assert store.records().record("exec-a").owner == "alive"
    says(postgres, "one", -0.001)
    assert other.orphans("two", ["server"], 10) == ["exec-a"]
    assert other.claim("exec-a", "two").epoch == 2
    journal.close()
    other.close()


def test_a_conductor_renews_its_sign_and_takes_it_back_at_its_end(postgres: str) -> None:
    store = PostgresStore(postgres)
    life = store.begin("one")
    with connect(postgres) as connection:
        connection.execute("update conductors set until = clock_timestamp()")
        while connection.execute("select until > clock_timestamp() + interval '3 s' from conductors").fetchone() != (
            True,
        ):
            connection.execute("select pg_sleep(0.05)")
        life.release()
        assert connection.execute("select count(*) from conductors").fetchone() == (0,)


def test_all_machines_sign_with_the_same_key(postgres: str) -> None:
    first, second = PostgresStore(postgres).secret(), PostgresStore(postgres).secret()
    assert first == second
    assert len(first) == 32
