"""Workers die, brokers go away and forget: nothing is lost, and nothing counts twice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu import Connection

from tests.support.brokers import BROKERS, only_with_redis, url_of
from tests.support.files import words
from tests.support.processes import alive
from tests.support.workers import Party, party
from twingraph import Workflow, component, wiring
from twingraph.engine.handle import Handle
from twingraph.settings import load
from twingraph.wiring.workers import workers

Open = Callable[[Party], wiring.Runtime]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[[str], Party]]:
    with ExitStack() as last:
        yield lambda broker: last.enter_context(party(broker, tmp_path / "party"))


@pytest.fixture
def opened(begin: object, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """A conductor; it is closed before its broker ends."""

    def open_(given: Party) -> wiring.Runtime:
        for name, value in given.surroundings.items():
            monkeypatch.setenv(name, value)
        return wiring.runtime(settings=load({"home": str(home), "dispatch": "celery"}))

    yield open_
    wiring.close_all(wait=False)


@component
def waits(folder: str, number: int) -> int:
    import os
    import time

    with open(f"{folder}/begun-{number}", "a") as file:
        file.write(f"{os.getpid()} ")
    while not os.path.exists(f"{folder}/go"):
        time.sleep(0.02)
    return number


@component
def quick(number: int) -> int:
    return number


def fan(count: int, what: object = quick, **more: Any) -> Workflow:
    workflow = Workflow("fan")
    for number in range(count):
        workflow.add_component(f"n{number}", what, number=number, **more)
    return workflow


def submit(runtime: wiring.Runtime, workflow: Workflow) -> Handle:
    return runtime.submit(workflow.compile(), {})


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def attempts(home: Path, handle: Any) -> list[list[str]]:
    return [
        [attempt.status for attempt in node.attempts] for node in wiring.open_reader(str(home)).view(handle.id).nodes
    ]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("broker", BROKERS)
def test_what_a_killed_worker_ran_runs_on_another(
    broker: str, begin: Callable[[str], Party], opened: Open, home: Path, tmp_path: Path
) -> None:
    here = begin(broker)
    first = here.begin("--concurrency", "2")
    first.wait_ready()
    handle = submit(opened(here), fan(2, waits, folder=str(tmp_path)))
    until(lambda: (tmp_path / "begun-0").exists() and (tmp_path / "begun-1").exists())
    until(lambda: attempts(home, handle) == [["running"]] * 2)  # else what it had done was no attempt
    here.begin("--concurrency", "2").wait_ready()
    first.kill()
    (tmp_path / "go").touch()
    assert handle.wait(60)
    assert handle.status == "completed", handle.error
    assert attempts(home, handle) == [["lost", "completed"]] * 2


@only_with_redis
@pytest.mark.timeout(150)
def test_what_a_broker_forgot_is_sent_again(begin: Callable[[str], Party], opened: Open, home: Path) -> None:
    here = begin("redis")
    runtime = opened(here)
    handle = submit(runtime, fan(3))
    until(lambda: depth(here) == 3)  # else one would come after it was emptied
    empty(here)
    here.begin("--concurrency", "2").wait_ready()
    assert handle.wait(60)
    assert handle.status == "completed", handle.error
    nodes = wiring.open_reader(str(home)).view(handle.id).nodes
    assert [[(attempt.number, attempt.status) for attempt in node.attempts] for node in nodes] == [
        [(2, "completed")]
    ] * 3


@pytest.mark.timeout(180)
@pytest.mark.parametrize("broker", BROKERS)
def test_a_worker_outlives_what_is_no_lane(
    broker: str, begin: Callable[[str], Party], opened: Open, tmp_path: Path
) -> None:
    """Whoever reaches the broker can put anything there."""
    here = begin(broker)
    worker = here.begin("--concurrency", "1")
    worker.wait_ready()
    handle = submit(opened(here), fan(1, waits, folder=str(tmp_path)))  # so that the queue is there
    until(lambda: (tmp_path / "begun-0").exists())
    lane: dict[str, object] = {"task": "twingraph.lane"}
    given: list[dict[str, object]] = [
        {"task": []},
        {"task": {}},
        {"task": "nobody"},
        {},
        {"compression": "nonsense"},
        lane,
    ]
    with Connection(url_of(here.broker)) as connection:
        for headers in given:
            connection.Producer().publish(
                b"[",
                routing_key="twingraph.default",
                exchange="",
                content_type="application/json",
                content_encoding="utf-8",
                headers=headers,
            )
        connection.Producer().publish(
            b"", routing_key="twingraph.default", exchange="", content_type="a/b", headers=lane
        )
        connection.Producer().publish(
            {}, routing_key="twingraph.default", exchange="", serializer="pickle", headers=lane
        )
    until(lambda: worker.said().count("refused: a message that is no lane") == len(given) + 2)
    (tmp_path / "go").touch()
    later = submit(wiring.runtime(), fan(2))
    assert later.wait(60)
    assert handle.wait(60)
    assert (handle.status, later.status) == ("completed", "completed")
    assert worker.process.poll() is None


@only_with_redis
@pytest.mark.timeout(150)
def test_a_worker_outlives_what_is_no_message(begin: Callable[[str], Party], opened: Open) -> None:
    """What kombu itself cannot unpack, in a queue and broadcast."""
    here = begin("redis")
    worker = here.begin("--concurrency", "1")
    worker.wait_ready()
    given = [
        b"garbage",
        b"\xff",
        b"[" * 100_000,
        b"5",
        b"[1, 2]",
        b"{}",
        b'{"properties": 5}',
        b'{"properties": {"delivery_tag": "x"}, "headers": [1]}',
        b'{"properties": {"delivery_tag": "x", "delivery_info": 5}, "body": "{}"}',
        b'{"properties": {"delivery_tag": "x", "body_encoding": "base64"}, "body": "!"}',
        b'{"properties": {"delivery_tag": "x", "body_encoding": "none"}, "body": "{}"}',
    ]
    with redis.Redis.from_url(url_of(here.broker)) as client:
        for message in given:
            client.lpush("twingraph.default", message)
            assert client.publish("/0.twingraph.pidbox", message) == 1
    until(lambda: worker.said().count("refused: what is no message") >= len(given) and depth(here) == 0)
    handle = submit(opened(here), fan(2))
    assert handle.wait(60)
    assert handle.status == "completed"
    assert worker.process.poll() is None


def depth(here: Party) -> int:
    with redis.Redis.from_url(url_of(here.broker)) as client:
        return int(client.llen("twingraph.default"))


def empty(here: Party) -> None:
    with redis.Redis.from_url(url_of(here.broker)) as client:
        client.delete("twingraph.default")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("broker", BROKERS)
def test_a_broker_that_was_away_costs_nothing_but_time(
    broker: str, begin: Callable[[str], Party], opened: Open, home: Path, tmp_path: Path
) -> None:
    here = begin(broker)
    worker = here.begin("--concurrency", "2")
    worker.wait_ready()
    runtime = opened(here)
    handle = submit(runtime, fan(2, waits, folder=str(tmp_path)))
    until(lambda: (tmp_path / "begun-0").exists() and (tmp_path / "begun-1").exists())
    here.broker.stop()
    (tmp_path / "go").touch()  # they end while nobody can be told
    time.sleep(1)
    later = submit(runtime, fan(3))
    here.broker.start()
    assert handle.wait(60)
    assert later.wait(60)
    assert (handle.status, later.status) == ("completed", "completed")
    assert worker.process.poll() is None
    assert all(len(words(tmp_path / f"begun-{number}")) <= 2 for number in range(2))


@only_with_redis
@pytest.mark.timeout(150)
def test_who_has_another_key_is_refused_and_the_conductor_says_so(
    begin: Callable[[str], Party], opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    here = begin("redis")
    stranger = here.begin(more={"TWINGRAPH_WORKER_KEY": "a key of somebody else"})
    stranger.wait_ready()
    handle = submit(opened(here), fan(1))
    stranger.until("refused: a message (lane) is not signed with this installation's key")
    until(lambda: "whoever serves the queue default has another key" in caplog.text)
    until(lambda: [one["same_key"] for one in workers(load({}))["workers"]] == [False])
    here.begin().wait_ready()
    until(lambda: [one["same_key"] for one in workers(load({}))["workers"]].count(True) == 1)
    stranger.kill()
    assert handle.wait(60)


@only_with_redis
@pytest.mark.timeout(150)
def test_a_worker_that_keeps_values_elsewhere_says_so(
    begin: Callable[[str], Party], opened: Open, tmp_path: Path
) -> None:
    here = begin("redis")
    (tmp_path / "other").mkdir()
    here.begin(more={"TWINGRAPH_BLOB_URL": f"file://{tmp_path}/other"}).wait_ready()
    handle = submit(opened(here), fan(1))
    assert handle.wait(60)
    assert handle.error is not None
    assert "TWINGRAPH_BLOB_URL" in handle.error.message
    assert handle.error.code == "code_unavailable"


@pytest.mark.timeout(150)
@pytest.mark.parametrize("broker", BROKERS)
def test_a_worker_that_ends_says_what_it_finishes_and_hears_of_a_cancel(
    broker: str, begin: Callable[[str], Party], opened: Open, tmp_path: Path
) -> None:
    here = begin(broker)
    worker = here.begin("--concurrency", "1")
    worker.wait_ready()
    handle = submit(opened(here), fan(1, waits, folder=str(tmp_path)))
    until(lambda: (tmp_path / "begun-0").exists())
    worker.process.terminate()
    settings = load({"home": os.environ["TWINGRAPH_HOME"]})

    def told() -> list[object]:
        return [(one["draining"], one["running"]) for one in workers(settings)["workers"]]

    until(lambda: told() == [(True, [[handle.id, "n0"]])])
    handle.cancel()
    assert handle.wait(60)
    assert handle.status == "cancelled"
    assert worker.process.wait(60) == 0


@only_with_redis
@pytest.mark.timeout(150)
def test_a_worker_that_is_asked_to_end_finishes_what_runs_and_hands_back_the_rest(
    begin: Callable[[str], Party], opened: Open, home: Path, tmp_path: Path
) -> None:
    here = begin("redis")
    first = here.begin("--concurrency", "1")
    first.wait_ready()
    handle = submit(opened(here), fan(6, waits, folder=str(tmp_path)))
    until(lambda: any(tmp_path.glob("begun-*")))
    first.process.terminate()
    until(lambda: depth(here) > 0)  # nobody else is there yet to take what it handed back
    (tmp_path / "go").touch()
    assert first.process.wait(60) == 0
    here.begin("--concurrency", "2").wait_ready()
    assert handle.wait(60)
    assert handle.status == "completed", handle.error
    assert {statuses[-1] for statuses in attempts(home, handle)} == {"completed"}
    assert all(len(words(path)) == 1 for path in tmp_path.glob("begun-*"))


SCRIPT = """
from pathlib import Path
from tests.integration.celery.test_losses import fan, waits
from twingraph import wiring
from twingraph.settings import load

handle = wiring.runtime(settings=load()).submit(fan(2, waits, folder={folder!r}).compile(), {{}})
handle.wait_recorded()
print(handle.id, flush=True)
handle.wait()
"""


@only_with_redis
@pytest.mark.timeout(150)
def test_another_conductor_goes_on_and_what_the_dead_one_wanted_is_ended(
    begin: Callable[[str], Party], opened: Open, home: Path, tmp_path: Path
) -> None:
    here = begin("redis")
    here.begin("--concurrency", "4").wait_ready()
    dead = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(folder=str(tmp_path))],
        env={**os.environ, **here.surroundings, "TWINGRAPH_DISPATCH": "celery"},
        stdout=subprocess.PIPE,
        text=True,
    )
    began = [tmp_path / "begun-0", tmp_path / "begun-1"]
    with dead:
        assert dead.stdout is not None
        execution = dead.stdout.readline().strip()
        until(lambda: all(words(path) for path in began))  # whose words are the first is certain then
        dead.kill()
    goes_on = opened(here).resume(execution)
    until(lambda: all(len(words(path)) == 2 for path in began))
    first = [int(words(path)[0]) for path in began]
    until(lambda: not any(alive(pid) for pid in first))
    (tmp_path / "go").touch()
    assert goes_on.wait(60)
    assert [statuses[-1] for statuses in attempts(home, goes_on)] == ["completed"] * 2


@only_with_redis
@pytest.mark.timeout(150)
def test_a_node_goes_to_the_queue_of_its_label(begin: Callable[[str], Party], opened: Open, home: Path) -> None:
    here = begin("redis")
    here.begin("--queues", "default").wait_ready()
    here.begin("--queues", "gpu").wait_ready()
    workflow = fan(1).add_component("special", quick, number=5, labels={"queue": "gpu"})
    handle = submit(opened(here), workflow)
    assert handle.wait(60)
    nodes = {node.id: node.attempts[0].worker or "" for node in wiring.open_reader(str(home)).view(handle.id).nodes}
    by_pid = {name: f"{worker.process.pid}-" for name, worker in zip(("n0", "special"), here.workers, strict=True)}
    assert all(nodes[name].startswith(pid) for name, pid in by_pid.items()), nodes


@only_with_redis
@pytest.mark.timeout(150)
def test_celerys_own_command_line_starts_a_worker_too(begin: Callable[[str], Party], opened: Open) -> None:
    here = begin("redis")
    command = [sys.executable, "-m", "celery", "-A", "twingraph.dispatch.celery", "worker", "-c", "4", "-l", "INFO"]
    worker = here.begin(command=command)
    worker.until(" ready.")
    handle = submit(opened(here), fan(3))
    assert handle.wait(60)
    assert handle.status == "completed", handle.error
    assert worker.end() == 0


@only_with_redis
@pytest.mark.timeout(150)
def test_the_status_tells_what_runs_where(begin: Callable[[str], Party], opened: Open, tmp_path: Path) -> None:
    here = begin("redis")
    worker = here.begin("--concurrency", "1")
    worker.wait_ready()
    workflow = fan(1, waits, folder=str(tmp_path)).add_component("s", quick, number=5, labels={"queue": "gpu.big"})
    handle = submit(opened(here), workflow)
    settings = load({"home": os.environ["TWINGRAPH_HOME"]})

    def told() -> tuple[object, ...]:
        """Of whom answers in time: that may take another look."""
        found = workers(settings)
        here_now = [(one["worker"].partition("-")[0], one["running"]) for one in found["workers"]]
        return here_now, found["queues"], found["unserved"]  # the last once it has waited for a while

    runs = [(str(worker.process.pid), [[handle.id, "n0"]])]
    until(lambda: told() == (runs, {"default": 0, "gpu.big": 1}, ["gpu.big"]))
    here.begin("--queues", "gpu.big").wait_ready()
    until(lambda: workers(settings)["queues"] == {"default": 0, "gpu.big": 0})
    (tmp_path / "go").touch()
    assert handle.wait(60)
