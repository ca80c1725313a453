"""Bodies of pipelines run on workers, outlive them, and hold none of their lanes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.brokers import BROKERS, only_with_rabbitmq, only_with_redis
from tests.support.files import words
from tests.support.workers import Party, party

# RabbitMQ takes long to start; where nothing is peculiar to it, the long proofs have it.
BROKERS_AT_LENGTH = [
    pytest.param("redis", marks=only_with_redis),
    pytest.param("rabbitmq", marks=[only_with_rabbitmq, pytest.mark.soak]),
]
# A conductor that waits for a busy machine's worker longer than usual before it runs bodies itself.
PATIENT = """
import sys
from twingraph.dispatch.celery import far_hosts
far_hosts.NOBODY_SECONDS = 45.0
from twingraph.cli import main
sys.exit(main(sys.argv[1:]))
"""
FLOW = """
import os
import time
from twingraph import component, pipeline, side_effect

@component
def hold(folder: str) -> int:
    with open(f"{folder}/begun", "a") as file:
        file.write(f"{os.getpid()} ")
    while not os.path.exists(f"{folder}/go"):
        time.sleep(0.02)
    return 7

def note(folder: str) -> int:
    with open(f"{folder}/effects", "a") as file:
        file.write("once ")
    return os.getppid()

@pipeline
def flow(folder: str):
    first = side_effect(note, folder)
    got = int(hold(folder))
    return {"first": first, "got": got, "last": os.getppid()}
"""


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[[str], Party]]:
    (tmp_path / "flow.py").write_text(FLOW)
    with ExitStack() as last:
        yield lambda broker: last.enter_context(party(broker, tmp_path / "party"))


def conduct(here: Party, folder: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TWINGRAPH_")}
    ours = {"TWINGRAPH_HOME": f"{folder}/home", "TWINGRAPH_PROGRESS": "off", "TWINGRAPH_DISPATCH": "celery", **more}
    return subprocess.Popen(
        [sys.executable, "-c", PATIENT, *words, "--json"],
        cwd=folder,
        env={**plain, "PYTHONWARNINGS": "ignore", **here.surroundings, **ours},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(here: Party, folder: Path, **more: str) -> subprocess.Popen[str]:
    return conduct(here, folder, "run", "flow.py:flow", "-i", f"folder={folder}", **more)


def result(process: subprocess.Popen[str]) -> Any:
    said, problems = process.communicate(timeout=60)
    assert process.returncode == 0, problems + said
    return json.loads(said)["outputs"]


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("broker", BROKERS)
def test_a_body_on_a_killed_worker_goes_on_on_another(
    broker: str, begin: Callable[[str], Party], tmp_path: Path
) -> None:
    here = begin(broker)
    first = here.begin("--concurrency", "1", "--lanes", "1")
    first.wait_ready()
    conductor = run(here, tmp_path)
    until(lambda: words(tmp_path / "begun"))  # what the body did before its call is in the journal
    second = here.begin("--concurrency", "1", "--lanes", "1")
    second.wait_ready()
    first.kill()
    until(lambda: len(words(tmp_path / "begun")) == 2)
    (tmp_path / "go").touch()
    assert result(conductor) == {"first": first.process.pid, "got": 7, "last": second.process.pid}
    assert words(tmp_path / "effects") == ["once"]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("broker", BROKERS_AT_LENGTH)
def test_a_body_goes_on_when_its_conductor_was_killed_and_its_execution_is_resumed(
    broker: str, begin: Callable[[str], Party], tmp_path: Path
) -> None:
    here = begin(broker)
    worker = here.begin("--concurrency", "1", "--lanes", "1")
    worker.wait_ready()
    killed = run(here, tmp_path)
    until(lambda: words(tmp_path / "begun"))
    killed.kill()
    killed.communicate(timeout=10)
    heir = conduct(here, tmp_path, "resume", "last")
    until(lambda: len(words(tmp_path / "begun")) == 2)
    (tmp_path / "go").touch()
    assert result(heir) == {"first": worker.process.pid, "got": 7, "last": worker.process.pid}
    assert words(tmp_path / "effects") == ["once"]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("broker", BROKERS_AT_LENGTH)
def test_a_body_waits_for_a_broker_that_is_away(broker: str, begin: Callable[[str], Party], tmp_path: Path) -> None:
    here = begin(broker)
    worker = here.begin("--concurrency", "1", "--lanes", "1")
    worker.wait_ready()
    conductor = run(here, tmp_path)
    until(lambda: words(tmp_path / "begun"))
    here.broker.stop()
    (tmp_path / "go").touch()
    here.broker.start()
    outputs = result(conductor)
    assert (outputs["first"], outputs["got"]) == (worker.process.pid, 7)
    assert words(tmp_path / "effects") == ["once"]


@only_with_redis
@pytest.mark.timeout(120)
def test_where_no_worker_takes_bodies_they_run_beside_their_conductor(
    begin: Callable[[str], Party], tmp_path: Path
) -> None:
    here = begin("redis")
    here.begin("--concurrency", "1", "--bodies", "0").wait_ready()
    (tmp_path / "go").touch()
    conductor = run(here, tmp_path)
    assert result(conductor) == {"first": conductor.pid, "got": 7, "last": conductor.pid}
    assert words(tmp_path / "effects") == ["once"]
