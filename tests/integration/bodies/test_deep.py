"""Recursion: pipelines inside each other, deeper than Python lets functions call each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from twingraph.wiring import open_reader

ROOT = Path(__file__).parents[3]
DEEP = 300
FLOW = """
import os
from twingraph import component, pipeline

@component
def page(n: int) -> int:
    if n == 1 and not os.path.exists("mended"):
        raise ValueError("the last page")
    return n - 1

@pipeline
def down(n: int) -> int:
    return n if n == 0 else down(n - 1)

@pipeline
def crawl(n: int) -> str:
    left = page(n).result()
    return "done" if not left else f"{crawl(left)}."
"""


@pytest.fixture
def folder(home: Path, tmp_path: Path) -> Path:
    (tmp_path / "flow.py").write_text(FLOW)
    return tmp_path


def said(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "twingraph", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)
    assert "internal error" not in done.stderr, done.stderr[-2000:]
    return done.stdout


def test_all_that_lie_inside_each_other_end_with_the_innermost(folder: Path) -> None:
    document = json.loads(said(folder, "run", "flow.py:down", "-i", f"n={DEEP}", "--json"))
    assert (document["status"], document["outputs"]) == ("completed", {"output": 0})
    assert "more: " in said(folder, "show", "last")  # it shows so many
    again = json.loads(said(folder, "replay", "last", "--json"))
    assert again["outputs"] == {"output": 0}


def test_a_failure_reaches_the_outermost_and_a_resume_goes_on(folder: Path) -> None:
    failed = json.loads(said(folder, "run", "flow.py:crawl", "-i", f"n={DEEP}", "--json"))
    assert failed["status"] == "failed"
    (folder / "mended").touch()
    done = json.loads(said(folder, "resume", failed["execution_id"], "--json"))
    assert done["outputs"] == {"output": "done" + "." * (DEEP - 1)}
    with closing(open_reader()) as reader:
        nodes = reader.view(done["execution_id"]).nodes
    assert Counter(node.component for node in nodes) == {"page": DEEP, "crawl": DEEP - 1}
    assert sum(1 for node in nodes if node.attempts) == 1
