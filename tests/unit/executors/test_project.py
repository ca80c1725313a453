"""Whole modules in a process: what is unpacked, and what gives way to it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from twingraph.dispatch.celery.clearing import clear_unused
from twingraph.executors.project import unpacked
from twingraph.executors.slice_loader import Loaded
from twingraph.sdk.slicing.bundling import bundle
from twingraph.sdk.slicing.records import Slice
from twingraph.sdk.slicing.whole import packed


def made(folder: Path, **files: str) -> Any:
    folder.mkdir()
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return packed(str(folder))


def loaded(project: Any, folder: Path, module: str, name: str, script: str = "") -> Loaded:
    found = Slice(
        entry_module=module,
        entry_name=name,
        modules={},
        mode="project",
        code_hash="",
        project=project,
        script=script,
    )
    return Loaded(json.loads(json.dumps(bundle({"e": found}))), str(folder))


def test_it_is_unpacked_once_for_all_who_share_a_folder(tmp_path: Path) -> None:
    project = made(tmp_path / "p", whole_a="A = 1\n")
    text = base64.b64encode(project.data).decode()
    place = Path(unpacked(text, project.digest, str(tmp_path / "cache")))
    (place / "mark").touch()
    assert Path(unpacked(text, project.digest, str(tmp_path / "cache"))) == place
    assert (place / "mark").exists()
    assert [found.name for found in (tmp_path / "cache").iterdir()] == [project.digest]


@pytest.mark.parametrize("text", ["no base64!", base64.b64encode(b"no archive").decode()])
def test_a_damaged_one_is_told_and_leaves_nothing(tmp_path: Path, text: str) -> None:
    with pytest.raises(ImportError, match="damaged"):
        unpacked(text, "d" * 64, str(tmp_path / "cache"))
    assert list((tmp_path / "cache").iterdir()) == []


USES = """
import os, sys
from twingraph.executors.project import unpacked
unpacked(*sys.argv[1:])
print("used", flush=True)
sys.stdin.read()
"""


def test_what_nobody_uses_any_more_is_cleared_and_what_a_process_uses_stays(tmp_path: Path) -> None:
    """However long ago it was taken into use; a half made one goes too, and what went is made again."""
    project, folder = made(tmp_path / "p", whole_z="Z = 1\n"), tmp_path / "cache"
    text = base64.b64encode(project.data).decode()
    half = folder / "half.made"
    half.mkdir(parents=True)
    user = subprocess.Popen(
        [sys.executable, "-c", USES, text, "d" * 64, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert user.stdout is not None
    assert user.stdout.readline() == b"used\n"
    for place in (folder / ("d" * 64), half):
        os.utime(place, (1.0, 1.0))
    clear_unused(folder, 2.0)
    assert [place.name for place in folder.iterdir()] == ["d" * 64]
    user.communicate()
    clear_unused(folder, 1.0)
    assert len(list(folder.iterdir())) == 1
    clear_unused(folder, 2.0)
    assert list(folder.iterdir()) == []
    assert Path(unpacked(text, "d" * 64, str(folder))).is_dir()
    clear_unused(tmp_path / "nothing", 2.0)


def test_what_is_loaded_here_gives_way_and_is_back_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where one process runs everything, and has the author's own modules."""
    project = made(
        tmp_path / "p", whole_b="import whole_c\n\ndef word():\n    return whole_c.WORD\n", whole_c="WORD = 'new'\n"
    )
    live = type(sys)("whole_c")
    live.__file__ = str(tmp_path / "elsewhere" / "whole_c.py")
    monkeypatch.setitem(sys.modules, "whole_c", live)
    code, before = loaded(project, tmp_path / "cache", "whole_b", "word"), list(sys.path)
    for _ in range(2):
        code.install()
        try:
            assert code.get("e")() == "new"
            assert sys.modules["whole_c"] is not live
        finally:
            code.withdraw()
        assert sys.modules["whole_c"] is live
        assert "whole_b" not in sys.modules
        assert sys.path == before


def test_a_script_is_loaded_from_its_file_under_the_name_it_was_shipped_as(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = made(tmp_path / "p", **{"my.whole": "import sys\n\ndef own():\n    return sys.modules[__name__]\n"})
    live = type(sys)("my_whole")
    live.__file__ = str(tmp_path / "elsewhere" / "my_whole.py")
    monkeypatch.setitem(sys.modules, "my_whole", live)
    code, seen = loaded(project, tmp_path / "cache", "my_whole", "own", "my.whole.py"), set()
    for _ in range(2):
        code.install()
        try:
            module = code.get("e")()
            seen.add(module)
            assert module is not live
            assert Path(module.__file__).name == "my.whole.py"
        finally:
            code.withdraw()
        assert sys.modules["my_whole"] is live
    assert len(seen) == 1


def test_a_script_that_fails_is_loaded_anew(tmp_path: Path) -> None:
    project = made(tmp_path / "p", whole_e="raise ValueError('at its top')\n")
    code = loaded(project, tmp_path / "cache", "whole_e", "f", "whole_e.py")
    code.install()
    try:
        for _ in range(2):
            with pytest.raises(ValueError, match="at its top"):
                code.get("e")
    finally:
        code.withdraw()


def test_python_itself_does_not_give_way(tmp_path: Path) -> None:
    project = made(
        tmp_path / "p",
        json="raise SystemExit\n",
        twingraph="raise SystemExit\n",
        whole_d="import json, twingraph\n\ndef f():\n    return json\n",
    )
    code = loaded(project, tmp_path / "cache", "whole_d", "f")
    code.install()
    try:
        assert code.get("e")() is json
    finally:
        code.withdraw()
