"""One prune at a time on a real database, over all machines."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from tests.support.conducting import wait_until
from tests.support.cutting_proxy import CuttingProxy
from twingraph.core.errors import ConflictError
from twingraph.store.postgres.connection import connect
from twingraph.store.postgres.prune import PostgresPrune
from twingraph.store.postgres.schema import prepare

# What a client says last.
TERMINATE = b"X\0\0\0\4"


def test_a_second_prune_is_refused_while_one_is_at_work(postgres: str) -> None:
    prepare(postgres)
    said = r"another prune is at work in the PostgreSQL database .*; wait for it"
    with closing(PostgresPrune(postgres)), pytest.raises(ConflictError, match=said):
        PostgresPrune(postgres)
    PostgresPrune(postgres).close()


def test_the_next_one_need_not_wait_until_the_server_sees_the_session_of_the_last_one_end(
    postgres: str, proxy: CuttingProxy, through: str
) -> None:
    prepare(postgres)
    last = PostgresPrune(through)
    proxy.hold_before(TERMINATE)
    last.close()
    PostgresPrune(postgres, patience=0).close()
    wait_until(lambda: proxy.cuts == 1, "its session was ended as usual")


def test_a_killed_one_is_waited_for(postgres: str) -> None:
    prepare(postgres)
    killed = PostgresPrune(postgres)
    end = threading.Timer(0.3, killed._link.close)  # without a last word
    end.start()
    PostgresPrune(postgres).close()
    end.join()


def test_after_a_lost_connection_it_is_still_the_only_one(postgres: str) -> None:
    prepare(postgres)
    with closing(PostgresPrune(postgres)) as prune:
        with connect(postgres) as connection:
            connection.execute("select pg_terminate_backend(%s)", [prune._link._open[0].info.backend_pid])
        assert prune.newest() == 0
        with pytest.raises(ConflictError):
            PostgresPrune(postgres)


def test_a_lost_session_that_the_server_still_has_is_waited_for(postgres: str) -> None:
    prepare(postgres)
    with closing(PostgresPrune(postgres, patience=0.05)) as prune:
        [lost] = prune._link._open
        prune._link._open.clear()  # as after a reset on the way to the server
        end = threading.Timer(0.5, lost.close)
        end.start()
        assert prune.newest() == 0
        end.join()
