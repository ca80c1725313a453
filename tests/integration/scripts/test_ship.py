"""A script whose components travel in different ways, on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FLOW = """
from dataclasses import dataclass
from pathlib import Path
from twingraph import BaseComponent, component, pipeline
import beside

@dataclass
class Box:
    word: str

@component(ship="bundle")
def reads(box) -> Box:
    text = Path(__file__).with_name("data.txt").read_text()
    return Box(text + box.word + globals()["HIDDEN"])

HIDDEN = "hidden"

@component
def cut(box) -> Box:
    return Box(box.word + beside.WORD)

@component(ship="image")
async def found(box) -> str:
    return box.word + beside.WORD

class Reads(BaseComponent):
    def execute(self, box):
        return self.config["more"] + globals()["HIDDEN"] + box.word

@component
def either(box) -> str:
    return box.word

@pipeline
def flow() -> list:
    box = Box(" ")
    first, second = reads(box), cut(box)
    assert isinstance(first, Box) and isinstance(second, Box)
    return [first.word, second.word, found(box), either.options(ship="bundle")(box), either(box)]

if __name__ == "__main__":
    print(flow())
"""


@pytest.fixture
def folder(tmp_path: Path, home: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    (made / "flow.py").write_text(FLOW)
    (made / "beside.py").write_text("WORD = 'beside'\n")
    (made / "data.txt").write_text("data")
    return made


def said(folder: Path, *words: str, **more: str) -> str:
    told = subprocess.run(
        [sys.executable, *words], cwd=folder, env={**os.environ, **more}, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    return told.stdout.strip()


SAID = "['data hidden', ' beside', ' beside', ' ', ' ']"


@pytest.mark.parametrize("inline", ["", "1"])
def test_each_component_has_what_it_needs(folder: Path, inline: str) -> None:
    assert said(folder, "flow.py", TWINGRAPH_INLINE=inline) == SAID


@pytest.mark.parametrize("inline", ["", "1"])
@pytest.mark.parametrize(
    ("file", "run"),
    [("this.py", "this.py"), ("my.flow.py", "my.flow.py"), ("__main__.py", "."), ("__main__.py", "../project")],
)
def test_a_script_may_be_called_otherwise_than_its_module(folder: Path, file: str, run: str, inline: str) -> None:
    """What travels is `this_main`, `my_flow` and `project`, which no import finds among the files."""
    (folder / "flow.py").rename(folder / file)
    (folder / file).write_text(FLOW.replace('ship="image"', 'ship="bundle"'))
    assert said(folder, run, TWINGRAPH_INLINE=inline) == SAID


def test_a_replay_has_the_files_that_were_recorded(folder: Path) -> None:
    assert said(folder, "flow.py") == SAID
    (folder / "data.txt").write_text("changed")
    again = said(folder, "-m", "twingraph", "replay", "last", "--node", "reads", "--json")
    assert "data hidden" in again
    now = said(folder, "-m", "twingraph", "replay", "last", "--node", "reads", "--code", "current", "--json")
    assert "changed hidden" in now


def test_a_script_that_runs_its_pipeline_at_the_top_is_told_where_that_belongs(folder: Path) -> None:
    (folder / "flow.py").write_text(FLOW.replace('if __name__ == "__main__":\n    print', "print"))
    told = subprocess.run([sys.executable, "flow.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert "a workflow is run while a worker loads the code of flow" in told.stderr
    assert "`if __name__ == '__main__':`" in told.stderr
