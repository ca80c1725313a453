"""Three conductors on PostgreSQL, of which some die, one sleeps past its lease, and the server restarts: in short.

The long form is `tests/soak/test_conductors.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.conductors.proof import Course, Proof
from tools.services.postgres import Postgres


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Postgres]:
    """A server of this test alone, since it is killed."""
    server = Postgres(tmp_path / "postgres")
    server.start()
    yield server
    server.stop()
    server.forget()


SHORT = Course(executions=60, seconds=16, kill_every=5, sleep_at=3, sleep_for=8, restart_at=12, node_seconds=0.3)


@pytest.mark.timeout(120)
def test_three_conductors_in_short(server: Postgres, tmp_path: Path) -> None:
    told = Proof(SHORT, server, tmp_path).run()
    assert told.wrong == []
    assert told.kills >= 2
    assert told.slowest_take_over > 0
    assert told.taken_from_sleepers > 0
