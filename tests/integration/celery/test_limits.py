"""A worker keeps to what it may use."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.brokers import only_with_redis
from tests.support.conducting import wait_until
from tests.support.workers import party
from twingraph import Workflow, component, wiring
from twingraph.settings import load

LIMITS = ("--concurrency", "4", "--max-nodes-per-process", "1", "--max-memory", "2G")


@pytest.fixture
def conductor(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[wiring.Runtime]:
    with party("redis", tmp_path / "party") as given:
        given.begin(*LIMITS).wait_ready()
        for name, value in given.surroundings.items():
            monkeypatch.setenv(name, value)
        yield wiring.runtime(settings=load({"home": str(home), "dispatch": "celery"}))
        wiring.close_all(wait=False)


@component(resources={"memory": "1.5G"})
def is_alone(folder: str) -> bool:
    import os
    import time

    try:
        os.mkdir(folder + "/busy")
    except FileExistsError:
        return False
    time.sleep(0.2)
    os.rmdir(folder + "/busy")
    return True


@component
def who() -> int:
    import os

    return os.getpid()


def result(runtime: wiring.Runtime, workflow: Workflow) -> object:
    handle = runtime.submit(workflow.compile(), {})
    assert handle.wait(60)
    assert handle.result is not None, handle.error
    return json.loads(handle.result)


@only_with_redis
def test_nodes_share_its_memory_and_processes_are_replaced(conductor: wiring.Runtime, tmp_path: Path) -> None:
    large = Workflow("large")
    for number in range(4):
        large.add_component(f"n{number}", is_alone, folder=str(tmp_path))
    assert result(conductor, large) == {f"n{number}": True for number in range(4)}
    served = [result(conductor, Workflow("who").add_component("n", who)) for _ in range(3)]
    assert len({json.dumps(process) for process in served}) == 3


@only_with_redis
def test_it_clears_away_projects_that_nobody_has_used_for_long(tmp_path: Path) -> None:
    with party("redis", tmp_path / "party") as given:
        projects = given.folder / "home-0" / "cache" / "projects"
        for name in ("old", "young"):
            (projects / name).mkdir(parents=True)
        os.utime(projects / "old", (1.0, 1.0))
        given.begin("--concurrency", "1").wait_ready()
        wait_until(lambda: [place.name for place in projects.iterdir()] == ["young"], "the old one stays")
