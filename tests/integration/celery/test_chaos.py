"""Workers, conductors and brokers that end in the middle: nothing is lost, and nothing is counted twice."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from kombu import Connection

from tests.support.brokers import BROKERS, only_with_redis, own_broker, url_of
from tests.support.far.stage import Stage, stage
from tools.services.base import Service

pytestmark = pytest.mark.timeout(240)
COUNT = 300


@pytest.fixture(scope="module", params=BROKERS)
def broker(request: pytest.FixtureRequest) -> Iterator[Service]:
    """One that tests stop, kill and empty."""
    with own_broker(request.param) as service:
        yield service


@pytest.fixture(scope="module")
def redis() -> Iterator[Service]:
    with own_broker("redis") as service:
        yield service


def kill_workers(played: Stage, seed: int, kills: int) -> None:
    """At moments told by how much is done, not by a clock; another worker comes in the place of each."""
    chance = random.Random(seed)
    for moment in sorted(chance.sample(range(5, COUNT - 20), kills)):
        played.wait_until_done(moment)
        played.kill_worker(chance.choice(played.workers))
        played.add_worker()


def test_workers_that_are_killed_lose_nothing(broker: Service, tmp_path: Path) -> None:
    with stage(tmp_path, broker) as played:
        played.run(COUNT)
        kill_workers(played, seed=7, kills=5)
        played.check(played.finish(), COUNT)
        waits = sorted(played.waits_after_kills())
        print(f"{broker.name}: from a kill to user code of the next attempt: {[round(wait, 1) for wait in waits]}")


def test_a_broker_that_goes_away_for_a_while_loses_nothing(broker: Service, tmp_path: Path) -> None:
    with stage(tmp_path, broker) as played:
        played.run(COUNT)
        played.wait_until_done(40)
        broker.stop()
        time.sleep(3)
        broker.start()
        played.check(played.finish(), COUNT)


def test_what_was_in_an_emptied_broker_is_sent_again_and_a_killed_conductor_is_resumed(
    broker: Service, tmp_path: Path
) -> None:
    with stage(tmp_path, broker) as played:
        hold = played.folder / "marks" / "hold"
        hold.touch()
        played.run(COUNT)
        played.wait("nodes begin", lambda: len(played.marks("begun")) >= 2)
        empty(broker)
        hold.unlink()
        played.wait_until_done(150)
        played.kill_conductor()
        played.resume()
        played.check(played.finish(), COUNT)


def empty(broker: Service) -> None:
    with Connection(url_of(broker)) as connection:
        if broker.name == "redis":
            connection.default_channel.client.flushall()
        else:
            connection.default_channel.queue_purge("twingraph.default")


@only_with_redis
def test_a_node_that_kills_its_worker_each_time_ends_alone(redis: Service, tmp_path: Path) -> None:
    with stage(tmp_path, redis, node_seconds=0.005, concurrency=1) as played:
        poison = "all[0]"
        (played.folder / "marks" / "poison" / "0").touch()
        played.run(COUNT, "keeping")
        played.wait("the end", lambda: looked_after(played))
        view = played.finish()
        assert view.record.status == "completed", played.words()
        failed = [node for node in view.nodes if node.kind == "task" and node.status != "completed"]
        assert [node.id for node in failed] == [poison]
        assert failed[0].error is not None
        assert failed[0].error.code == "worker_lost"
        # Not each loss is charged: others may have begun too, and a killed worker may have been unable to say what had.
        assert 3 <= len([mark for mark in played.marks("begun") if mark.node == poison]) <= 10
        assert {mark.node for mark in played.marks("done")} == {f"all[{n}]" for n in range(1, COUNT)}


def looked_after(played: Stage) -> bool:
    """Whether it is over; a worker that has died is followed by another."""
    for worker in [worker for worker in played.workers if not worker.lives()]:
        played.workers.remove(worker)
        played.add_worker()
    return played.conductor is not None and played.conductor.poll() is not None


@only_with_redis
def test_what_is_signed_with_another_key_or_with_none_is_refused(redis: Service, tmp_path: Path) -> None:
    with stage(tmp_path, redis, workers=0) as played:
        stranger = played.add_worker(TWINGRAPH_WORKER_KEY="another key than that of this installation")
        played.run(20)
        played.wait("it says so", lambda: "TWINGRAPH_WORKER_KEY" in stranger.said())
        assert played.marks("begun") == []
        stranger.process.kill()
        stranger.process.wait(20)
        played.workers.remove(stranger)
        worker = played.add_worker()
        forge(redis)
        played.wait("it refuses", lambda: worker.said().count("is not signed with this installation's key") >= 2)
        played.check(played.finish(), 20)


def forge(broker: Service) -> None:
    """What a stranger may try who can reach the broker."""
    app = Celery(broker=url_of(broker), set_as_current=False)
    lane = {"id": "x", "desk": "y", "place": "z", "execution": "e", "code": {}, "settings": {}, "runs": []}
    for signature in ("", "0" * 64):
        app.send_task("twingraph.lane", (json.dumps(lane), signature), queue="twingraph.default")
    app.send_task("twingraph.lane", (json.dumps(lane), ""), queue="twingraph.default", serializer="pickle")
    app.send_task("os.system", ("true",), queue="twingraph.default")
    app.close()
