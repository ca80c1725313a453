"""Containers of workers that are killed: gone on with by another worker of the same engine, or removed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.brokers import HAS_REDIS
from tests.support.conducting import wait_until
from tests.support.contained import wait_for
from tests.support.docker import IMAGE, IS_HERE, Engine
from tests.support.workers import Party, party
from twingraph import Workflow, component, wiring
from twingraph.engine.handle import Handle
from twingraph.settings import load

pytestmark = [
    pytest.mark.only_where(IS_HERE and HAS_REDIS, "needs a Docker engine and Redis: python -m tools.services install"),
    pytest.mark.timeout(120),
]


@component
def patient(folder: str) -> int:
    import os
    import time

    print("begun")
    os.system("echo child")
    with open(folder + "/lives", "a") as file:
        file.write("x")
    while not os.path.exists(folder + "/go"):
        time.sleep(0.02)
    print("done")
    with open(folder + "/lives") as file:
        return len(file.read())


@component
def quick() -> int:
    return 1


@pytest.fixture
def here(tmp_path: Path, docker_engine: Engine) -> Iterator[Party]:
    with party("redis", tmp_path / "party") as made:
        yield made


@pytest.fixture
def conductor(here: Party, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[wiring.Runtime]:
    for name, value in here.surroundings.items():
        monkeypatch.setenv(name, value)
    yield wiring.runtime(settings=load({"home": str(home), "dispatch": "celery"}))
    wiring.close_all(wait=False)


def begin(conductor: wiring.Runtime, what: object, shared: Path, **inputs: Any) -> Handle:
    settings = {"platform": "docker", "docker_image": IMAGE, "platform_config": {"volumes": {str(shared): "/shared"}}}
    return conductor.submit(Workflow("w").add_component("n", what, **settings, **inputs).compile(), {})


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o777)
    return folder


def said(home: Path, handle: Handle) -> list[str]:
    """Children write at once, the runner a moment later."""
    return sorted(line.message for line in wiring.open_reader(str(home)).logs(handle.id))


def attempts(home: Path, handle: Handle) -> list[str]:
    return [attempt.status for attempt in wiring.open_reader(str(home)).view(handle.id).nodes[0].attempts]


def test_the_next_attempt_goes_on_with_the_container_of_a_killed_worker(
    here: Party, conductor: wiring.Runtime, home: Path, shared: Path, docker_engine: Engine
) -> None:
    first = here.begin("--concurrency", "2")
    first.wait_ready()
    handle = begin(conductor, patient, shared, folder="/shared")
    wait_for(shared / "lives")
    wait_until(lambda: attempts(home, handle) == ["running"], "it is not known to run")  # else it was no attempt
    wait_until(lambda: said(home, handle) == ["begun", "child"], "what it says is not heard")
    before = docker_engine.running(handle.id)
    here.begin("--concurrency", "2").wait_ready()
    first.kill()
    deadline = time.monotonic() + 40
    while (now := docker_engine.containers(handle.id, running=True)) == [before]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(now) == 1
    (shared / "go").touch()
    assert handle.wait(40)
    assert (handle.status, handle.result) == ("completed", "1"), handle.error
    assert attempts(home, handle) == ["lost", "completed"]
    assert said(home, handle) == ["begun", "child", "done"]
    assert docker_engine.none_left(handle.id)


def test_what_a_killed_worker_left_is_removed_once_its_execution_is_over(
    here: Party, conductor: wiring.Runtime, shared: Path, docker_engine: Engine
) -> None:
    """Also where nobody heard that it was over: the next worker asks for what it finds."""
    first = here.begin("--concurrency", "2")
    first.wait_ready()
    handle = begin(conductor, patient, shared, folder="/shared")
    wait_for(shared / "lives")
    first.kill()
    handle.cancel()
    assert handle.wait(40)
    assert docker_engine.containers(handle.id, running=True)
    here.begin("--concurrency", "2").wait_ready()
    later = begin(conductor, quick, shared)
    assert later.wait(40)
    assert later.status == "completed", later.error
    assert docker_engine.none_left(handle.id, seconds=20)


@pytest.mark.soak
def test_a_worker_that_is_there_removes_what_another_one_left(
    here: Party, conductor: wiring.Runtime, shared: Path, docker_engine: Engine
) -> None:
    """Each part of it is among the unit tests; as a whole it waits for a worker's silence."""
    first = here.begin("--concurrency", "2")
    first.wait_ready()
    handle = begin(conductor, patient, shared, folder="/shared")
    wait_for(shared / "lives")
    here.begin("--concurrency", "2").wait_ready()
    first.kill()
    handle.cancel()
    assert handle.wait(40)
    assert docker_engine.none_left(handle.id, seconds=20)
