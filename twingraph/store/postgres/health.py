"""How a database stands, for people: nothing is made, migrated or changed."""

from __future__ import annotations

import time
from typing import NamedTuple

import psycopg

from twingraph.store.postgres.connection import Connection, first_connection, place, refusal
from twingraph.store.postgres.schema import HEAD, KNOWN, current

LEAST_SERVER = 140_000  # the version as a number
_CONDUCTORS = "select count(*) filter (where until > clock_timestamp()), count(*) from conductors"
# What goes on, and nobody alive is at it.
_LEFT = """
select count(*) from executions where status in ('pending', 'running') and not exists (
    select 1 from conductors where conductors.name = executions.owner and until > clock_timestamp()
)
"""


class Health(NamedTuple):
    place: str
    server: str  # the version in words,
    too_old: bool
    schema: str | None  # None: no tables yet
    schema_known: bool
    writes: bool  # else it is one that only reads
    clock_ahead: float  # seconds by which the server's clock is ahead of this machine's
    alive: int  # conductors with a lease that holds,
    dead: int  # and without
    left: int  # executions that nobody alive carries out


def look(url: str) -> Health:
    """StoreError says why it cannot be reached."""
    try:
        with first_connection(url) as connection:
            return _look(connection, url)
    except psycopg.Error as error:
        raise refusal(error, url) from error


def _look(connection: Connection, url: str) -> Health:
    before = time.time()
    row = connection.execute(
        "select extract(epoch from clock_timestamp())::float8, current_setting('server_version'),"
        " current_setting('server_version_num')::integer, pg_is_in_recovery()"
    ).fetchone()
    assert row is not None
    clock, server, number, recovers = row
    ahead = clock - (before + time.time()) / 2
    schema = current(connection)
    alive = every = left = 0
    if schema == HEAD:
        counted, lost = connection.execute(_CONDUCTORS).fetchone(), connection.execute(_LEFT).fetchone()
        assert counted is not None
        assert lost is not None
        (alive, every), left = counted, lost[0]
    return Health(
        place=place(url),
        server=server.split(" ")[0],
        too_old=number < LEAST_SERVER,
        schema=schema,
        schema_known=schema is None or schema in KNOWN,
        writes=not recovers,
        clock_ahead=ahead,
        alive=alive,
        dead=every - alive,
        left=left,
    )
