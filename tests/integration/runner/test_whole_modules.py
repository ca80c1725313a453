"""A project, and what is installed, as a place runs them: on 3.8, 3.9 and the newest Python of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.contained import PYTHONS, Box, names
from tools.pythons import Python
from twingraph.sdk.slicing.bundling import bundle
from twingraph.sdk.slicing.records import Slice
from twingraph.sdk.slicing.whole import packed

STEPS = """
from pathlib import Path
from twingraph import component, pipeline
import json

@component(ship="bundle")
def reads(x):
    from kit import late
    return [Path(__file__).with_name("data.txt").read_text(), late.WORD, globals()["BASE"] + x, json.dumps(x)]

BASE = 40

@pipeline
def flow():
    return reads(1)
"""

pytestmark = pytest.mark.parametrize("python", PYTHONS, ids=names(PYTHONS))


def project(folder: Path, **entries: str) -> dict[str, Any]:
    """A bundle of a project with these entries: name to module."""
    made = packed(str(folder))
    return bundle(
        {
            key: Slice(entry_module=module, entry_name=key, modules={}, mode="project", code_hash="", project=made)
            for key, module in entries.items()
        }
    )


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "kit").mkdir(parents=True)
    (folder / "kit" / "__init__.py").touch()
    (folder / "kit" / "late.py").write_text("WORD = 'late'\n")
    (folder / "kit" / "data.txt").write_text("beside")
    (folder / "kit" / "steps.py").write_text(STEPS)
    (folder / "kit" / "runs.py").write_text(
        "from kit.steps import flow\n\nprint(flow())\n\ndef step():\n    return 1\n"
    )
    (folder / "json").mkdir()  # as some have it: a folder of data, which is no module
    return folder


def test_a_project_is_there_with_its_files(python: Python, tmp_path: Path, kit: Path) -> None:
    box = Box(tmp_path, python, "", bundle=project(kit, reads="kit.steps"))
    told = box.run("reads", {"x": 2})
    assert told.head["status"] == "completed", told.head
    assert json.loads(told.texts[0]) == ["beside", "late", 42, "2"]


def test_a_module_that_runs_a_pipeline_at_its_top_says_where_that_belongs(
    python: Python, tmp_path: Path, kit: Path
) -> None:
    told = Box(tmp_path, python, "", bundle=project(kit, step="kit.runs")).run("step")
    assert told.head["status"] == "failed"
    assert "put the statement that runs it below `if __name__ == '__main__':`" in told.head["error"]["message"]


def test_a_script_is_found_by_its_file(python: Python, tmp_path: Path, kit: Path) -> None:
    (kit / "my.flow.py").write_text("from kit.late import WORD\n\ndef step():\n    return __name__, WORD\n")
    made = project(kit, step="my_flow")
    made["entries"]["step"]["script"] = "my.flow.py"
    told = Box(tmp_path, python, "", bundle=made).run("step")
    assert told.head["status"] == "completed", told.head
    assert "my_flow" in "".join(told.texts)
    assert "late" in "".join(told.texts)


def test_what_is_installed_is_imported(python: Python, tmp_path: Path) -> None:
    found = Slice(entry_module="statistics", entry_name="mean", modules={}, mode="image", code_hash="")
    told = Box(tmp_path, python, "", bundle=bundle({"mean": found})).run("mean", {"data": [1, 3]})
    assert told.texts == ["2"]


@pytest.mark.parametrize(
    ("found", "remedy"),
    [
        ({"mode": "image"}, "put it into the image"),
        ({"mode": "import"}, "take ship='bundle'"),
        ({"reads_file": True}, "it uses __file__"),
    ],
)
def test_what_is_not_there_is_told_with_the_remedy(
    python: Python, tmp_path: Path, found: dict[str, Any], remedy: str
) -> None:
    entry = Slice(entry_module="nowhere.kit", entry_name="step", modules={}, code_hash="", **found)
    told = Box(tmp_path, python, "", bundle=bundle({"step": entry})).run("step")
    error = told.head["error"]
    assert (told.head["status"], error["code"]) == ("failed", "code_unavailable")
    assert remedy in error["message"]
