"""What becomes of a container that serves many, by how a run in it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from twingraph.core.codec_base import dumps
from twingraph.executors.base import Finished, Task
from twingraph.executors.docker.client import EngineError, Piece
from twingraph.executors.docker.compiled import Compiled
from twingraph.executors.docker.executor import DockerExecutor
from twingraph.executors.docker.request import Request, request_of, token_of
from twingraph.executors.docker.warm import WarmPlace, WarmPlaces, warm_kind
from twingraph.executors.docker.warm_job import WarmJob
from twingraph.executors.frames import MARK

KEY = b"key"
ANSWER = dumps(
    {"status": "completed", "shape": "", "outputs": [["default", "0" * 64, 1]], "error": None, "started": 1.0,
     "ended": 2.0}
) + "\n1"  # fmt: skip


class Line:
    """A container that ends each run in one way."""

    def __init__(self, name: str, *, fed: bool) -> None:
        self._token = token_of(name).encode()
        self._fed = fed
        self.is_still = True
        self.is_closed = False
        self.heard = 0
        self.meanwhile: Callable[[], object] = int

    def send(self, data: bytes) -> None:
        self.heard += len(data)

    def __iter__(self) -> Iterator[Piece]:
        self.meanwhile()
        ending = {
            "exit": 0 if self._fed else 1, "signal": None, "begun": self._fed, "doom": None, "cpu": 0.0, "memory": 0,
            "oom": 0, "fed": self._fed,
        }  # fmt: skip
        if self._fed:
            yield self._frame(["b", 1.0, "/there/1"]), None
        else:
            yield None, b"OSError: no space left\n"
        yield None, self._frame(["e"])
        if self._fed:
            yield self._frame(["a", ANSWER]), None
        yield self._frame(["e", ending, False, "/there/1"]), None

    def _frame(self, message: list[Any]) -> bytes:
        return MARK + self._token + b"w" + dumps(message).encode() + b"\n"

    def hang_up(self) -> None: ...

    def close(self) -> None:
        self.is_closed = True


class Engine:
    """One container more; nothing can be asked of one that has ended."""

    address = "here"

    def __init__(self, *, fed: bool) -> None:
        self._fed = fed
        self.refuses_at: dict[str, EngineError] = {}
        self.has = True
        self.made: list[Line] = []
        self.meanwhile: Callable[[], object] = int
        self._name = ""

    def cores(self) -> int:
        return 2

    def has_image(self, image: str) -> bool:
        return self.has

    def pull(self, image: str, credentials: object) -> None:
        self._refuse("pull")

    def _refuse(self, act: str) -> None:
        if act in self.refuses_at:
            raise self.refuses_at[act]

    def create(self, request: Request) -> str:
        self._refuse("create")
        self._name = request.name
        return "id-" + request.name

    def attach(self, container: str) -> Line:
        self.made.append(Line(self._name, fed=self._fed))
        self.made[-1].meanwhile = self.meanwhile
        return self.made[-1]

    def start(self, container: str) -> None:
        self._refuse("start")

    def signal(self, container: str, name: str) -> None:
        return

    def remove(self, container: str) -> None:
        return


class Executor:
    home, key, blobs = "home", KEY, None

    def __init__(self, engine: Engine, cache: Path) -> None:
        self.warm = WarmPlaces(patience=0.01)
        self.compiled = Compiled(cache)
        self.names: set[str] = set()
        self._engine = engine

    def engine(self, host: str | None) -> Engine:
        return self._engine


class Nobody:
    def began(self, at: float) -> None: ...
    def said(self, lines: object) -> None: ...
    def gave(self, start: int, texts: object) -> None: ...


@pytest.fixture
def task(tmp_path: Path) -> Task:
    (tmp_path / "bundle").write_text("{}")
    return Task(
        execution="e", node="n", attempt=1, component="c", entry="c", bundle_path=str(tmp_path / "bundle"),
        code_version="1", image="python:3.9", config={"warm": True},
    )  # fmt: skip


def carried_out(executor: Executor, task: Task) -> Finished:
    job = WarmJob(cast(DockerExecutor, executor), task)
    ended = job.follow(Nobody())
    job.remove()
    return ended


def waiting(executor: Executor, task: Task, *, fed: bool) -> Line:
    """One that has served a run already."""
    line = Line("used", fed=fed)
    kind = warm_kind(task, request_of(task, "home", KEY))
    executor.warm.take(kind, executor.engine(None))
    executor.warm.give(WarmPlace(kind, "used", "id-used", line))
    return line


def test_one_that_heard_its_whole_part_leaves_its_container_to_the_next(task: Task, tmp_path: Path) -> None:
    engine = Engine(fed=True)
    executor = Executor(engine, tmp_path)
    assert [carried_out(executor, replace(task, node=name)).status for name in "ab"] == ["completed"] * 2
    assert [line.is_closed for line in engine.made] == [False]


def test_one_that_did_not_begins_again_in_another_container(task: Task, tmp_path: Path) -> None:
    """The files that others left may have been in its way."""
    engine = Engine(fed=True)
    executor = Executor(engine, tmp_path)
    used = waiting(executor, task, fed=False)
    assert carried_out(executor, task).status == "completed"
    assert used.heard
    assert used.is_closed
    assert [line.is_closed for line in engine.made] == [False]


def test_in_a_container_of_its_own_that_is_how_it_ended(task: Task, tmp_path: Path) -> None:
    engine = Engine(fed=False)
    executor = Executor(engine, tmp_path)
    ended = carried_out(executor, task)
    assert ended.error is not None
    assert (ended.status, ended.error.exit_code) == ("crashed", 1)
    assert "no space left" in ended.error.message
    assert [line.is_closed for line in engine.made] == [True]
    assert carried_out(executor, task).status == "crashed"
    assert len(engine.made) == 2  # nobody was given the first again


@pytest.mark.parametrize("used", [False, True])
def test_one_that_is_cancelled_before_it_has_read_its_part_is_cancelled(task: Task, tmp_path: Path, used: bool) -> None:
    engine = Engine(fed=False)
    executor = Executor(engine, tmp_path)
    job = WarmJob(cast(DockerExecutor, executor), task)
    engine.meanwhile = lambda: job.end("cancelled")
    if used:
        waiting(executor, task, fed=False).meanwhile = engine.meanwhile
    assert job.follow(Nobody()).status == "cancelled"
    assert len(engine.made) == (0 if used else 1)


@pytest.mark.parametrize("act", ["create", "start"])
@pytest.mark.parametrize("policy", ["missing", "never"])
def test_a_network_that_is_not_there_is_no_missing_image(task: Task, tmp_path: Path, act: str, policy: str) -> None:
    engine = Engine(fed=True)
    engine.refuses_at[act] = EngineError("missing", "network n not found")
    engine.refuses_at["pull"] = EngineError("image", "manifest unknown")
    ended = carried_out(Executor(engine, tmp_path), replace(task, config={"warm": True, "pull_policy": policy}))
    assert ended.error is not None
    assert (ended.error.code, ended.error.error_type) == ("invalid_input", "ContainerRefused")
    assert ended.error.message == "the engine refused the container: network n not found"


@pytest.mark.parametrize(
    ("policy", "has", "says"),
    [
        ("missing", False, "the image 'python:3.9' is not on the engine and cannot be pulled: manifest unknown"),
        ("never", False, "'python:3.9' is not on the engine, and pull_policy is 'never': No such image"),
        ("always", True, "the image 'python:3.9' cannot be pulled, as pull_policy 'always' asks: manifest unknown"),
    ],
)
def test_an_image_that_is_not_to_be_had_is_told(task: Task, tmp_path: Path, policy: str, has: bool, says: str) -> None:
    engine = Engine(fed=True)
    engine.has = has
    if not has:
        engine.refuses_at["create"] = EngineError("missing", "No such image")
    engine.refuses_at["pull"] = EngineError("image", "manifest unknown")
    ended = carried_out(Executor(engine, tmp_path), replace(task, config={"warm": True, "pull_policy": policy}))
    assert ended.error is not None
    assert (ended.error.code, ended.error.error_type, ended.error.message) == ("code_unavailable", "ImageMissing", says)
