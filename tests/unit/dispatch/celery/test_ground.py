"""What a worker's machine has for bodies, or says that it lacks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from twingraph.core.errors import PermanentError
from twingraph.dispatch.celery.messages import Left, Word, probe_of
from twingraph.dispatch.celery.posts import Open
from twingraph.dispatch.celery.signing import Seal
from twingraph.dispatch.celery.worker import NotSharedError, OwnGround
from twingraph.settings import load
from twingraph.store.blobs.catalog import open_blobs
from twingraph.store.home import Home

SEAL = Seal(b"key")
HERE = ".".join(map(str, sys.version_info[:3]))


class Machine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = open_blobs(f"file://{folder}/blobs")
        self.blobs.put(probe_of("place"))
        settings = load({"home": str(folder / "home"), "blob_url": f"file://{folder}/blobs"})
        self.said: list[tuple[str, Word]] = []
        self.ground = OwnGround(settings, Home(folder / "home"), SEAL, self.blobs, self.say)

    def say(self, desk: str, word: Word) -> None:
        self.said.append((desk, word))

    def opening(self, place: str = "place", **world: Any) -> Open:
        described = {
            "bundle": self.blobs.put(b"components"),
            "body": self.blobs.put(b"bodies"),
            "interpreter": sys.executable,
            "python": HERE,
            "working_dir": str(self.folder),
            "sys_path": ["/there"],
            "distributions": {},
            **world,
        }
        return Open(session="s", place=place, key=SEAL.mask(b"k" * 32), version="v", description=json.dumps(described))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_bodies_are_loaded_from_what_was_recorded_of_them(machine: Machine) -> None:
    code, hello = machine.ground.world_of(machine.opening())
    assert (code.interpreter, code.working_dir) == (sys.executable, str(machine.folder))
    assert Path(hello["bodies"]).read_bytes() == b"bodies"
    assert Path(hello["components"]).read_bytes() == b"components"
    assert (hello["secret"], hello["sys_path"]) == ((b"k" * 32).hex(), ["/there"])


def test_another_path_of_the_same_python_does(machine: Machine) -> None:
    code, _ = machine.ground.world_of(machine.opening(interpreter="/nowhere/python", working_dir="/nowhere"))
    assert code.interpreter == sys.executable


@pytest.mark.parametrize(
    ("world", "why"),
    [
        ({"interpreter": "/nowhere/python", "python": "3.2.1"}, "they began on Python 3.2.1, which is not at /nowhere"),
        (
            {"distributions": {"no_such_module_here": {"name": "no-such", "version": "1"}}},
            "not installed here: no-such",
        ),
        ({"body": "0" * 32}, "cannot be fetched"),
        ({"sys_path": 7}, "cannot be read"),
        ({"distributions": 7}, "cannot be read"),
    ],
    ids=["another Python", "a package", "the bodies", "nonsense", "more of it"],
)
def test_what_is_missing_is_named(machine: Machine, world: dict[str, Any], why: str) -> None:
    with pytest.raises(PermanentError, match=why):
        machine.ground.world_of(machine.opening(**world))


def test_another_blob_store_is_told_as_such(machine: Machine) -> None:
    with pytest.raises(NotSharedError, match="TWINGRAPH_BLOB_URL"):
        machine.ground.world_of(machine.opening(place="elsewhere"))


def test_of_what_is_found_here_the_conductor_is_asked_that_spoke_last(machine: Machine) -> None:
    for desk in ("first", "second"):
        machine.ground.spoke("place", desk)
    assert machine.ground._ask("place", "e1") is False
    assert machine.said == [("second", Left("e1"))]
