"""Code that is not cut: what of a project travels, and what names it."""

from __future__ import annotations

import importlib
import io
import json
import os
import shutil
import sys
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from twingraph.core.errors import SliceError
from twingraph.core.plan import IMPORTED
from twingraph.executors.slice_loader import Loaded
from twingraph.sdk import packing
from twingraph.sdk.slicing.records import Project
from twingraph.sdk.slicing.whole import installed, packed, with_project
from twingraph.store.home import Home


def names(project: Project) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(project.data)).namelist()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "kit" / "deep").mkdir(parents=True)
    (folder / "kit" / "__init__.py").touch()
    (folder / "kit" / "steps.py").write_text("def step():\n    return 1\n\ndef make():\n    return lambda: 2\n")
    (folder / "kit" / "deep" / "data.bin").write_bytes(bytes(range(256)))
    (folder / "run.sh").write_text("true")
    (folder / "run.sh").chmod(0o755)
    return folder


@pytest.fixture
def steps(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(root))
    yield importlib.import_module("kit.steps")
    for name in [name for name in sys.modules if name.partition(".")[0] == "kit"]:
        del sys.modules[name]


def test_all_files_of_the_folder_from_which_its_module_is_imported_travel(root: Path, steps: ModuleType) -> None:
    found = with_project(steps.step)
    assert found.project is not None
    assert names(found.project) == ["run.sh", "kit/__init__.py", "kit/steps.py", "kit/deep/data.bin"]
    assert (found.mode, found.entry_module, found.entry_name) == ("project", "kit.steps", "step")
    assert not found.code_hash.startswith(IMPORTED)


def test_equal_files_have_one_hash_and_a_changed_one_another(root: Path, steps: ModuleType) -> None:
    first = with_project(steps.step)
    (root / "kit" / "steps.py").touch()
    again = with_project(steps.step)
    assert again.code_hash == first.code_hash
    assert again.project is not None
    assert first.project is not None
    assert again.project.data == first.project.data
    (root / "kit" / "deep" / "data.bin").write_bytes(b"other")
    assert with_project(steps.step).code_hash != first.code_hash


@pytest.mark.parametrize(
    "file",
    [
        ".git/config",
        "kit/__pycache__/steps.pyc",
        "node_modules/m/x.js",
        "env/pyvenv.cfg",
        "k.egg-info/P",
    ],
)
def test_what_nobody_means_by_a_project_stays(root: Path, file: str) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).touch()
    assert file not in names(packed(str(root)))


def used(home: Path, word: str) -> None:
    """As an execution leaves it."""
    opened = Home(home).open()
    opened.secret()
    (home / "cache" / "projects" / word).mkdir(parents=True)
    for name in ("twingraph.db", "twingraph.db-wal", "twingraph.3.db", f"cache/projects/{word}/steps.py"):
        (home / name).write_text(word)
    (opened.blobs / word).write_text(word)
    (opened.run / f"{word}.lock").touch()
    opened.close()


@pytest.mark.parametrize("place", ["home", "kit/state", "."])
def test_a_home_in_the_project_stays_with_its_key(root: Path, place: str) -> None:
    """Under any name, and where it is the project's folder: else its key would travel to all workers."""
    before = names(packed(str(root)))
    used(root / place, "one")
    first = packed(str(root))
    used(root / place, "two")
    assert names(first) == before
    assert packed(str(root)).digest == first.digest


@pytest.mark.parametrize("lacks", ["home.lock", "run", "secret.key", "twingraph.db"])
def test_a_home_is_known_though_it_lacks_something(root: Path, lacks: str) -> None:
    """One whose journal is PostgreSQL has neither key nor database, a copy of one perhaps no locks."""
    used(root / "home", "one")
    shutil.rmtree(root / "home" / lacks) if lacks == "run" else (root / "home" / lacks).unlink()
    assert not [name for name in names(packed(str(root))) if name.startswith("home")]


@pytest.mark.parametrize("pattern", ["kit/deep", "deep/", "*.bin", "kit/deep/data.*"])
def test_an_author_says_what_need_not_travel(root: Path, pattern: str) -> None:
    (root / ".twingraphignore").write_text(f"# large\n\n{pattern}\n")
    assert names(packed(str(root))) == ["run.sh", "kit/__init__.py", "kit/steps.py"]


@pytest.mark.parametrize(("files", "size"), [(3, 1 << 20), (100, 200)])
def test_too_much_is_told_with_the_remedy(root: Path, files: int, size: int) -> None:
    with pytest.raises(SliceError, match=r"name what need not travel in .*\.twingraphignore"):
        packed(str(root), files, size)


@pytest.mark.only_where(sys.platform == "linux", "needs a file system whose names are any bytes")
def test_a_name_that_cannot_travel_is_told(root: Path) -> None:
    (root / "kit" / os.fsdecode(b"caf\xe9.txt")).touch()
    with pytest.raises(SliceError, match=r"caf\S+udce9\.txt' is not UTF-8"):
        packed(str(root))
    (root / ".twingraphignore").write_text("kit/caf*\n")
    assert "kit/steps.py" in names(packed(str(root)))


def test_a_link_to_a_folder_is_told_with_the_remedy(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / "kit" / "weights").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SliceError, match=r"kit/weights is a link to a folder.* name it in .*\.twingraphignore"):
        packed(str(root))
    (root / ".twingraphignore").write_text("weights\n")
    assert "kit/steps.py" in names(packed(str(root)))
    (tmp_path / "elsewhere" / "pyvenv.cfg").touch()
    (root / ".twingraphignore").unlink()
    assert "kit/steps.py" in names(packed(str(root)))


def test_a_folder_that_cannot_be_read_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here because its path is too long: root may read all others."""
    monkeypatch.chdir(root)
    for _ in range(20):
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
    with pytest.raises(SliceError, match=r"cannot be read.* name it in \.twingraphignore"):
        packed(str(root))


def test_of_a_large_file_no_more_is_read_than_may_travel(root: Path) -> None:
    with (root / "kit" / "large").open("wb") as file:
        file.truncate(1 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(SliceError, match="1 MiB"):
            packed(str(root), most_bytes=1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


def test_a_file_that_comes_or_changes_is_noticed(root: Path, steps: ModuleType) -> None:
    made = packing.pack({"bundle kit.steps:step": steps.step})
    assert made.is_fresh()
    (root / "kit" / "more.py").touch()
    assert not made.is_fresh()


def test_what_is_packed_at_once_has_one_project(root: Path, steps: ModuleType) -> None:
    """Though a file changes meanwhile: code that is made of two states of it was never written."""

    class Changing(dict[str, Any]):
        def items(self) -> Any:
            for item in super().items():
                yield item
                (root / "kit" / "more.py").touch()

    made = packing.pack(Changing({"bundle kit.steps:step": steps.step, "bundle kit.steps:make": steps.make}))
    assert len(json.loads(made.data)["projects"]) == 1


def test_an_entry_says_how_its_code_travels(steps: ModuleType) -> None:
    made = packing.pack(
        {"kit.steps:step": steps.step, "bundle kit.steps:step": steps.step, "image kit.steps:step": steps.step}
    )
    assert len(set(made.hashes.values())) == 3
    assert made.hashes["image kit.steps:step"].startswith(IMPORTED)


def test_a_library_of_the_image_need_not_be_there_in_source() -> None:
    found = installed(importlib.import_module("statistics").mean)
    assert (found.mode, found.entry_module, found.entry_name) == ("image", "statistics", "mean")


def test_what_is_installed_has_no_project() -> None:
    with pytest.raises(SliceError, match="take ship='image'"):
        with_project(importlib.import_module("statistics").mean)


@pytest.mark.parametrize("travels", [with_project, installed])
def test_what_no_import_reaches_cannot_be_taken_whole(steps: ModuleType, travels: object) -> None:
    assert callable(travels)
    with pytest.raises(SliceError, match="move it to module level"):
        travels(steps.make())


def test_recorded_code_has_no_project_any_more() -> None:
    """What a body asks for that goes on elsewhere: on the disk there may be another version by now."""
    module = {"text": "def step():\n    return 1\n", "file": __file__, "package": False, "main": False, "search": []}
    loaded = Loaded({"format": 1, "modules": {"recorded_kit": module}, "entries": {}})
    loaded.install()
    try:
        step = importlib.import_module("recorded_kit").step
        with pytest.raises(SliceError, match="say ship='bundle' in its"):
            with_project(step)
        assert installed(step).entry_module == "recorded_kit"
    finally:
        loaded.withdraw()
