"""What a process leaves that died: the next one goes on with it, and nothing stays that nobody wants any more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.conducting import wait_until
from tests.support.contained import wait_for
from tests.support.docker import IMAGE, Engine, Runs, only_with_docker
from twingraph import component, wiring
from twingraph.executors.base import Task
from twingraph.executors.docker.executor import DockerExecutor
from twingraph.executors.docker.request import request_of
from twingraph.store.blobs.catalog import open_blobs

pytestmark = [only_with_docker, pytest.mark.timeout(120)]

SCRIPT = """
from twingraph import component, pipeline

@component(platform="docker", docker_image="{image}", config={{"volumes": {{"{folder}": "/there"}}}})
def patient() -> int:
    import os, time
    with open("/there/lives", "a") as file:
        file.write("x")
    print("begun", flush=True)
    while not os.path.exists("/there/go"):
        time.sleep(0.02)
    print("done")
    with open("/there/lives") as file:
        return len(file.read())

@pipeline
def flow() -> int:
    return patient()

print("result", flow())
"""

DIES_UNNOTED = """
import os
from twingraph.dispatch import jobs

jobs._Hearing.began = lambda *_: os.kill(os.getpid(), 9)
"""


class Story:
    """A script whose node runs in a container, and which is killed then."""

    def __init__(self, folder: Path, engine: Engine, *, unnoted: bool = False) -> None:
        """`unnoted`: it is killed before its journal says that the node began."""
        self.folder = folder
        script_text = SCRIPT.format(image=IMAGE, folder=folder)
        (folder / "flow.py").write_text(DIES_UNNOTED + script_text if unnoted else script_text)
        script = subprocess.Popen([sys.executable, "flow.py"], cwd=folder)
        wait_for(folder / "lives")
        os.kill(script.pid, signal.SIGKILL)
        script.wait()
        self.execution = wiring.open_reader(os.environ["TWINGRAPH_HOME"]).resolve("last")
        assert engine.containers(self.execution, running=True)

    def ask(self, *words: str, env: Mapping[str, str] = os.environ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "twingraph", *words]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, env=env)


@pytest.fixture
def story(tmp_path: Path, home: Path, docker_engine: Engine) -> Story:
    return Story(tmp_path, docker_engine)


@pytest.mark.parametrize("ends", ["before", "after"])
def test_a_resumed_execution_goes_on_with_its_container(story: Story, docker_engine: Engine, ends: str) -> None:
    if ends == "before":  # nobody listens when it is done
        (story.folder / "go").touch()
        while docker_engine.containers(story.execution, running=True):
            time.sleep(0.05)
    else:
        later = subprocess.Popen(["sh", "-c", "sleep 3; touch go"], cwd=story.folder)
    told = story.ask("resume", story.execution)
    if ends == "after":
        later.wait()
    assert told.returncode == 0, told.stderr
    assert (story.folder / "lives").read_text() == "x"
    assert docker_engine.none_left(story.execution)
    messages = [record.message for record in wiring.open_reader(os.environ["TWINGRAPH_HOME"]).logs(story.execution)]
    assert "done" in messages


TALKS = """
from twingraph import component, pipeline

@component(platform="docker", docker_image="{image}", config={{"volumes": {{"{folder}": "/there"}}}})
def talks() -> None:
    import os, subprocess, sys, time

    def say(*texts):
        for text in texts:
            print(text, flush=True)
            subprocess.run(["sh", "-c", "echo child " + text], check=True)
            print("aside", text, file=sys.stderr, flush=True)
    say("one", "same", "same")
    open("/there/lives", "w").close()
    while not os.path.exists("/there/unheard"):
        time.sleep(0.02)
    say("same", "two")
    open("/there/said", "w").close()
    while not os.path.exists("/there/go"):
        time.sleep(0.02)
    say("same", "three")

@pipeline
def flow() -> None:
    return talks()

flow()
"""
SAID = [line for text in ("one", "same", "same", "same", "two", "same", "three") for line in (text, f"aside {text}")]


def told(execution: str, *, by_child: bool = False) -> list[str]:
    lines = wiring.open_reader(os.environ["TWINGRAPH_HOME"]).logs(execution)
    return [line.message for line in lines if line.message.startswith("child ") is by_child]


def test_what_a_container_says_stands_once_and_in_order_however_often_it_is_taken_over(
    tmp_path: Path, home: Path, docker_engine: Engine
) -> None:
    """What was heard, what was said while nobody listened, and what comes after; of child processes too."""
    (tmp_path / "flow.py").write_text(TALKS.format(image=IMAGE, folder=tmp_path))
    process = subprocess.Popen([sys.executable, "flow.py"], cwd=tmp_path)
    wait_for(tmp_path / "lives")
    execution = wiring.open_reader(str(home)).resolve("last")
    for heard in (6, 10):
        wait_until(lambda: len(told(execution)) == heard, f"not {heard} lines")  # noqa: B023
        wait_until(lambda: len(told(execution, by_child=True)) == heard // 2, "not all of the child")  # noqa: B023
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        (tmp_path / "unheard").touch()
        wait_for(tmp_path / "said")
        process = subprocess.Popen([sys.executable, "-m", "twingraph", "resume", execution], cwd=tmp_path)
    reader = wiring.open_reader(str(home))
    wait_until(lambda: len(reader.view(execution).nodes[0].attempts) == 3, "it is not gone on with")
    (tmp_path / "go").touch()
    assert process.wait() == 0
    assert told(execution) == SAID
    assert told(execution, by_child=True) == [f"child {text}" for text in SAID[::2]]
    begun = reader.view(execution).record.created_at
    assert all(line.timestamp >= begun for line in reader.logs(execution))


@component
def waits(folder: str) -> None:
    import os
    import time

    while not os.path.exists(folder + "/over"):
        time.sleep(0.02)


@pytest.mark.parametrize("unnoted", [False, True])
def test_a_cancel_reaches_the_container_of_a_process_that_is_gone(
    tmp_path: Path, home: Path, docker_engine: Engine, unnoted: bool
) -> None:
    story = Story(tmp_path, docker_engine, unnoted=unnoted)
    assert story.ask("cancel", story.execution).returncode == 0
    assert docker_engine.containers(story.execution) == []


def test_what_nobody_wants_is_removed_by_who_comes_next(story: Story, docker_engine: Engine) -> None:
    away = {**os.environ, "DOCKER_HOST": f"unix://{story.folder}/nothing"}  # so that the cancel cannot reach it
    assert story.ask("cancel", story.execution, env=away).returncode == 0
    assert docker_engine.containers(story.execution, running=True)
    runs = Runs(Path(os.environ["TWINGRAPH_HOME"]))
    handle = runs.begin(waits, {"folder": "/there"}, platform_config={"volumes": {str(story.folder): "/there"}})
    assert docker_engine.none_left(story.execution, seconds=30)
    (story.folder / "over").touch()
    assert runs.node(handle).status == "completed"


def test_what_may_still_be_resumed_stays(story: Story, docker_engine: Engine) -> None:
    runs = Runs(Path(os.environ["TWINGRAPH_HOME"]))
    handle = runs.begin(waits, {"folder": "/there"}, platform_config={"volumes": {str(story.folder): "/there"}})
    docker_engine.running(handle.id)
    time.sleep(2.5)  # longer than until the first look at what is left
    assert docker_engine.containers(story.execution, running=True)
    (story.folder / "over").touch()
    assert runs.node(handle).status == "completed"
    docker_engine.ask("rm", "--force", *docker_engine.containers(story.execution))


class Nobody:
    """Hears what is told, and says nothing."""

    def began(self, at: float) -> None:
        return

    def said(self, lines: object) -> None:
        return

    def gave(self, start: int, texts: object) -> None:
        return


def test_one_that_was_never_told_what_to_do_is_begun_anew(tmp_path: Path, docker_engine: Engine) -> None:
    """Its process ended between starting it and speaking to it, so no user code has run."""
    module = {"text": "def same(x):\n    return x\n", "file": "/s.py", "package": False, "main": False}
    entry: dict[str, object] = {
        "module": "s",
        "mode": "slice",
        "factory": None,
        "closure": {},
        "file": "/s.py",
        "name": "same",
    }
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps({"format": 1, "modules": {"s": module}, "entries": {"same": entry}}))
    task = Task(
        execution="e", node="n", attempt=1, component="same", entry="same", bundle_path=str(bundle), code_version="1",
        args=[("x", "7")], image=IMAGE,
    )  # fmt: skip

    def executor() -> DockerExecutor:
        return DockerExecutor(os.environ, tmp_path.name, b"key", open_blobs(str(tmp_path)), tmp_path / "compiled")

    first = executor()
    container = first.engine().create(request_of(task, first.home, first.key))
    line = first.engine().attach(container)
    first.engine().start(container)
    line.close()
    first.close()
    second = executor()
    job = second.job(replace(task, attempt=2))
    ended = job.follow(Nobody())
    job.remove()
    second.close()
    assert (ended.status, list(ended.texts)) == ("completed", ["7"]), ended.error
    assert docker_engine.containers("e") == []
