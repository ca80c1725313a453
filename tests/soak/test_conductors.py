"""`make soak`: three conductors on PostgreSQL, one killed every 5 s for five minutes, one asleep past its lease, and
the server restarted in the middle; 2,000 executions finish, and nothing is lost or counted twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.conductors.proof import Course, Proof
from tools.services.postgres import Postgres

COURSE = Course(
    executions=2_000,
    seconds=300,
    kill_every=5,
    sleep_at=73,
    sleep_for=20,
    restart_at=150,
    patience=300,
    node_seconds=0.1,
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Postgres]:
    server = Postgres(tmp_path / "postgres")
    server.start()
    yield server
    server.stop()
    server.forget()


@pytest.mark.soak
def test_three_conductors_on_postgresql(server: Postgres, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    told = Proof(COURSE, server, tmp_path).run()
    request.node.user_properties += [
        ("kills", told.kills),
        ("take-overs", told.take_overs),
        ("of them from the sleeper", told.taken_from_sleepers),
        ("nodes run again", told.runs_again),
        ("slowest take-over (s)", round(told.slowest_take_over, 1)),
        ("slowest, of several kills (s)", round(told.slowest_after_several, 1)),
    ]
    assert told.wrong == []
    assert told.taken_from_sleepers > 0
