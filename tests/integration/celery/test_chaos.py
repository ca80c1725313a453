"""A fan of 300 on processes that end in the middle: nothing is lost, and nothing is counted twice.

`tests/soak/test_celery.py` does the same for longer, asserts how soon, and has a node that kills its worker each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from tests.support.brokers import BROKERS, only_with_redis, own_broker, url_of
from tests.support.far.stage import empty, stage
from tools.services.base import Service

pytestmark = pytest.mark.timeout(300)
COUNT = 300


@pytest.fixture(scope="module", params=BROKERS)
def broker(request: pytest.FixtureRequest) -> Iterator[Service]:
    """One that tests empty."""
    with own_broker(request.param) as service:
        yield service


@pytest.fixture(scope="module")
def redis() -> Iterator[Service]:
    with own_broker("redis") as service:
        yield service


def test_workers_that_are_killed_lose_nothing(broker: Service, tmp_path: Path) -> None:
    with stage(tmp_path, broker) as played:
        played.run(COUNT)
        played.kill_some(7, 5, COUNT)
        played.check(played.finish(), COUNT)
        waits = sorted(played.waits_after_kills())
        print(f"{broker.name}: from a kill to user code of the next attempt: {[round(wait, 1) for wait in waits]}")


def test_what_was_in_an_emptied_broker_is_sent_again_and_a_killed_conductor_is_resumed(
    broker: Service, tmp_path: Path
) -> None:
    with stage(tmp_path, broker) as played:
        played.hold()
        played.run(COUNT)
        played.wait("nodes begin", lambda: len(played.marks("begun")) >= 2)
        empty(broker)
        played.go_on()
        played.wait_until_done(150)
        played.kill_conductor()
        played.resume()
        played.check(played.finish(), COUNT)


@only_with_redis
def test_what_is_not_signed_with_our_key_is_refused(redis: Service, tmp_path: Path) -> None:
    with stage(tmp_path, redis, workers=1) as played:
        worker = played.workers[0]
        forge(redis)
        played.run(20)
        played.wait("it refuses", lambda: worker.said().count("is not signed with this installation's key") >= 2)
        played.check(played.finish(), 20)
        assert worker.lives()


def forge(broker: Service) -> None:
    """What a stranger may try who can reach the broker."""
    app = Celery(broker=url_of(broker), set_as_current=False)
    lane = {"id": "x", "desk": "y", "place": "z", "execution": "e", "code": {}, "settings": {}, "runs": []}
    for signature in ("", "0" * 64):
        app.send_task("twingraph.lane", (json.dumps(lane), signature), queue="twingraph.default")
    app.send_task("twingraph.lane", (json.dumps(lane), ""), queue="twingraph.default", serializer="pickle")
    app.send_task("os.system", ("true",), queue="twingraph.default")
    app.close()
