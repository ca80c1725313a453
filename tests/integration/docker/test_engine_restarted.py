"""The engine is killed and started again under running containers."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.docker import IMAGE, Engine, Runs, only_with_docker
from tests.support.files import words
from tools.services.docker import Docker
from twingraph import component

pytestmark = [only_with_docker, pytest.mark.timeout(180)]


class Own(Docker):
    def furnish(self, port: int) -> None:
        return


@pytest.fixture
def own(docker_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Own]:
    folder = Path("/tmp") / f"twg-{os.getpid()}-r"
    folder.mkdir()
    service = Own(folder)
    service.start()
    surroundings = {**os.environ, **service.environment(0)}
    with subprocess.Popen(["/usr/bin/docker", "save", IMAGE], stdout=subprocess.PIPE) as saving:
        load = ["/usr/bin/docker", "load"]
        subprocess.run(load, stdin=saving.stdout, env=surroundings, check=True, capture_output=True)
    monkeypatch.setenv("DOCKER_HOST", surroundings["DOCKER_HOST"])
    yield service
    service.stop()
    service.forget()
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@component
def lives(folder: str) -> int:
    import os
    import time

    with open(folder + "/lives", "a") as file:
        file.write("x")
    for number in range(10_000):
        if os.path.exists(folder + "/go"):
            break
        if number % 50 == 0:
            print("still", number, flush=True)
        time.sleep(0.02)
    print("over", flush=True)
    with open(folder + "/lives") as file:
        return len(file.read())


def test_a_run_whose_engine_was_killed_runs_again_when_it_is_back(own: Own, home: Path, tmp_path: Path) -> None:
    runs = Runs(home)
    handle = runs.begin(lives, {"folder": "/there"}, platform_config={"volumes": {str(tmp_path): "/there"}})
    while words(tmp_path / "lives") != ["x"]:
        time.sleep(0.02)
    runs.begun(handle)  # else what it had done was no attempt
    os.kill(own.pid(), signal.SIGKILL)
    time.sleep(1)  # so long nobody answers
    own.start()
    while words(tmp_path / "lives") != ["xx"]:
        time.sleep(0.02)
    (tmp_path / "go").touch()
    node = runs.node(handle)
    assert [attempt.status for attempt in node.attempts] == ["lost", "completed"], node.error
    assert [record.message for record in runs.logs(handle) if record.attempt == 2][-1] == "over"
    gc.collect()
