"""`make soak`: workers behind a real broker are killed 100 times, the broker is away for 30 s, a node is poison."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.brokers import BROKERS, own_broker
from tests.support.far.stage import empty, stage
from tools.services.base import Service

pytestmark = pytest.mark.soak
COUNT = 300
LIVES, KILLS = 20, 5
LONGEST_WAIT = 10.0  # s, at p99: from a kill to user code of the next attempt


@pytest.fixture(scope="module", params=BROKERS)
def broker(request: pytest.FixtureRequest) -> Iterator[Service]:
    with own_broker(request.param) as service:
        yield service


def test_workers_killed_100_times(broker: Service, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    waits: list[float] = []
    for seed in range(LIVES):
        with stage(tmp_path / str(seed), broker) as played:
            played.run(COUNT)
            played.kill_some(seed, KILLS, COUNT)
            played.check(played.finish(), COUNT)
            waits += played.waits_after_kills()
    p99 = statistics.quantiles(waits, n=100)[98]
    told = {"median": statistics.median(waits), "p99": p99, "longest": max(waits)}
    request.node.user_properties += [
        ("broker", broker.name),
        ("kills", LIVES * KILLS),
        ("nodes struck", len(waits)),
        *((f"{name} until the next attempt (s)", round(value, 1)) for name, value in told.items()),
    ]
    assert p99 <= LONGEST_WAIT


def test_a_broker_that_is_away_for_30_s(broker: Service, tmp_path: Path) -> None:
    with stage(tmp_path, broker) as played:
        played.run(COUNT)
        played.wait_until_done(40)
        broker.stop()
        time.sleep(30)
        broker.start()
        played.check(played.finish(), COUNT)


def test_conductors_killed_and_a_broker_emptied(broker: Service, tmp_path: Path) -> None:
    with stage(tmp_path, broker) as played:
        played.run(COUNT)
        for moment in (40, 120, 200):
            played.wait_until_done(moment)
            empty(broker)
            played.kill_conductor()
            played.resume()
        played.check(played.finish(), COUNT)


def test_a_node_that_kills_its_worker_each_time(broker: Service, tmp_path: Path) -> None:
    with stage(tmp_path, broker) as played:
        played.poison(150)
        played.run(COUNT, "keeping")
        played.wait("the end", played.look_after)
        played.check_poison("all[150]", played.finish(), COUNT)
