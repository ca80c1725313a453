"""How code comes into a container that has nothing but Python: as a slice, as a project, or with its image."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import pytest

from tests.support.docker import IMAGE, Engine, Runs, only_with_docker

pytestmark = [only_with_docker, pytest.mark.timeout(120)]

STEPS = """
from pathlib import Path

def reads(x):
    return [Path(__file__).with_name("data.txt").read_text(), globals()["BASE"] + x]

BASE = 40
"""


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    folder = tmp_path / "project" / "ship_kit"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "steps.py").write_text(STEPS)
    (folder / "data.txt").write_text("beside")
    monkeypatch.syspath_prepend(str(folder.parent))
    yield importlib.import_module("ship_kit.steps")
    for name in [name for name in sys.modules if name.partition(".")[0] == "ship_kit"]:
        del sys.modules[name]


@pytest.fixture
def image(tmp_path: Path, docker_engine: Engine, steps: ModuleType) -> Iterator[str]:
    """A bare one with the module in it."""
    folder, name = tmp_path / "project", f"twingraph-test:ship-{uuid4().hex}"
    (folder / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY ship_kit /code/ship_kit\nWORKDIR /code\n")
    docker_engine.ask("build", "--quiet", "--tag", name, str(folder))
    yield name
    docker_engine.ask("image", "rm", "--force", name)


def test_a_project_comes_with_its_files(runs: Runs, steps: ModuleType) -> None:
    assert runs.value(steps.reads, {"x": 2}, ship="bundle") == ["beside", 42]


def test_nothing_is_sent_to_an_image_that_has_the_code(runs: Runs, steps: ModuleType, image: str) -> None:
    (Path(str(steps.__file__)).with_name("data.txt")).write_text("only here")
    assert runs.value(steps.reads, {"x": 2}, ship="image", docker_image=image) == ["beside", 42]


@pytest.mark.parametrize(("ship", "remedy"), [("image", "put it into the image"), ("slice", "take ship='bundle'")])
def test_code_that_did_not_come_is_told_with_the_remedy(runs: Runs, steps: ModuleType, ship: str, remedy: str) -> None:
    error = runs.run(steps.reads, {"x": 2}, ship=ship).error
    assert error is not None
    assert error.code == "code_unavailable"
    assert remedy in error.message
