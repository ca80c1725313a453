"""Two processes that know of one container: who comes back does no harm to what another has gone on with."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.docker import IMAGE, Engine, only_with_docker
from twingraph.executors.base import Finished, Job, Task
from twingraph.executors.docker.executor import DockerExecutor
from twingraph.store.blobs.catalog import open_blobs

pytestmark = [only_with_docker, pytest.mark.timeout(60)]

CODE = """
def patient(x):
    import os, time
    with open("/there/lives", "a") as file:
        file.write("x")
    while not os.path.exists("/there/go"):
        time.sleep(0.02)
    return x
"""


class Process:
    """What one process has of the engine, and the run that it follows."""

    def __init__(self, folder: Path) -> None:
        self.executor = DockerExecutor(os.environ, folder.name, b"key", open_blobs(str(folder)), folder / "compiled")
        self.ended: list[Finished] = []
        self._began = threading.Event()
        self._threads: list[threading.Thread] = []
        self.job: Job

    def follow(self, task: Task) -> None:
        self._began.clear()
        job = self.job = self.executor.job(task)
        thread = threading.Thread(target=lambda: self.ended.append(job.follow(self)), daemon=True)
        self._threads.append(thread)
        thread.start()
        assert self._began.wait(30)

    def over(self) -> list[str]:
        """How its runs have ended."""
        for thread in self._threads:
            thread.join(30)
        assert len(self.ended) == len(self._threads)
        self.job.remove()
        return sorted(ended.status for ended in self.ended)

    def began(self, at: float) -> None:
        self._began.set()

    def said(self, lines: object) -> None:
        return

    def gave(self, start: int, texts: object) -> None:
        return


@pytest.fixture
def task(tmp_path: Path) -> Task:
    module = {"text": CODE, "file": "/s.py", "package": False, "main": False}
    entry: dict[str, object] = {
        "module": "s",
        "mode": "slice",
        "factory": None,
        "closure": {},
        "file": "/s.py",
        "name": "patient",
    }
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps({"format": 1, "modules": {"s": module}, "entries": {"patient": entry}}))
    return Task(
        execution=tmp_path.name, node="n", attempt=1, component="c", entry="patient", bundle_path=str(bundle),
        code_version="1", args=[("x", "7")], image=IMAGE, config={"volumes": {str(tmp_path): "/there"}},
    )  # fmt: skip


@pytest.fixture
def first(tmp_path: Path, docker_engine: Engine) -> Iterator[Process]:
    made = Process(tmp_path)
    yield made
    made.executor.close()


@pytest.fixture
def second(tmp_path: Path, docker_engine: Engine) -> Iterator[Process]:
    made = Process(tmp_path)
    yield made
    made.executor.close()


@pytest.mark.parametrize("attempt", [1, 2])
def test_who_comes_back_lets_go_of_what_another_has_gone_on_with(
    task: Task, tmp_path: Path, first: Process, second: Process, docker_engine: Engine, attempt: int
) -> None:
    first.follow(task)
    second.follow(replace(task, attempt=attempt))
    first.job.end("cancelled")
    assert first.over() == ["cancelled"]
    (name,) = docker_engine.containers(task.execution, running=True)
    assert name == second.job.name
    (tmp_path / "go").touch()
    assert second.over() == ["completed"]
    assert list(second.ended[0].texts) == ["7"]
    assert (tmp_path / "lives").read_text() == "x"
    assert docker_engine.containers(task.execution) == []


def test_who_was_not_told_hears_the_end_and_leaves_the_rest_to_the_other(
    task: Task, tmp_path: Path, first: Process, second: Process, docker_engine: Engine
) -> None:
    first.follow(task)
    second.follow(replace(task, attempt=2))
    (tmp_path / "go").touch()
    first.over()
    assert docker_engine.containers(task.execution) == [second.job.name]
    assert second.over() == ["completed"]
    assert docker_engine.containers(task.execution) == []


def test_a_cancel_reaches_one_that_was_taken_over_twice(
    task: Task, first: Process, second: Process, tmp_path: Path, docker_engine: Engine
) -> None:
    third = Process(tmp_path)
    first.follow(task)
    second.follow(replace(task, attempt=2))
    third.follow(replace(task, attempt=3))
    third.job.end("cancelled")
    assert third.over() == ["cancelled"]
    assert docker_engine.containers(task.execution) == []
    assert {*first.over(), *second.over()} <= {"lost", "cancelled"}
    third.executor.close()


def test_an_attempt_that_its_own_process_has_given_up_does_not_run_beside_the_next(
    task: Task, first: Process, tmp_path: Path, docker_engine: Engine
) -> None:
    """As when a worker was cut off: its conductor has gone on, and the next attempt comes to the same worker."""
    first.follow(task)
    first.follow(replace(task, attempt=2))
    assert docker_engine.containers(task.execution) == [first.job.name]
    (tmp_path / "go").touch()
    assert first.over() == ["completed", "lost"]
    assert docker_engine.containers(task.execution) == []
