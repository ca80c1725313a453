"""The body of a pipeline begins a replay on the same code with the calls that it made before, told as history."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.conducting import wait_until
from twingraph import wiring
from twingraph.core.execution import ExecutionView
from twingraph.engine.sizes import USUAL
from twingraph.store.home import Home
from twingraph.store.sqlite.store import SqliteStore

ROOT = Path(__file__).parents[3]
STEPS = """
import os, time, traceback
from twingraph import component, now, pipeline

@component
def add(x: int, y: int) -> int:
    return x + y

@component
def last(x: int) -> int:
    return x

@pipeline
def steps(n: int = 6) -> int:
    x = 0
    for _ in range(n):
        x = add(int(x), 1)
    return last(x)

@component
def held(x: int) -> int:
    open("begun", "a").close()
    while not os.path.exists("go"):
        time.sleep(0.02)
    return x

@pipeline
def stops() -> int:
    x = add(1, 2)
    return held(add(int(x), 1))

@pipeline
def asks() -> int:
    x = add(1, 2)
    year = now().year
    return last(add(x, year - year))

@pipeline
def hides() -> int:
    return last(add(1, len(traceback.linecache.getlines("moved")) or 2))
"""
LOOKS = """
import os
from twingraph import component, pipeline

@component
def add(x: int, y: int) -> int:
    return x + y

@component
def last(x: int) -> int:
    return x

@pipeline
def looks() -> int:
    return last(add(1, 3 if os.path.exists("moved") else 2))
"""
CHANCE = """
from twingraph import component, pipeline, random

@component
def number(x: float) -> float:
    return x

@component
def last(x: float) -> float:
    return x

@pipeline
def chance() -> float:
    return last(number(random()))
"""
Go = Callable[..., ExecutionView]


@pytest.fixture
def go(home: Path, tmp_path: Path) -> Go:
    """Run or replay; what came of it."""
    (tmp_path / "steps.py").write_text(STEPS)
    (tmp_path / "looks.py").write_text(LOOKS)
    (tmp_path / "chance.py").write_text(CHANCE)

    def run(*words: str) -> ExecutionView:
        command = [sys.executable, "-m", "twingraph", *words, "--json"]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=50)
        assert done.stdout, done.stderr
        with closing(wiring.open_reader()) as reader:
            return reader.view(json.loads(done.stdout)["execution_id"])

    return run


def kinds(home: Path, view: ExecutionView) -> Counter[str]:
    store = SqliteStore(Home(home).open())
    with closing(store.records()) as records:
        return Counter(row.kind for row in records.rows(view.record.id))


def ran(view: ExecutionView) -> list[str]:
    return [node.id for node in view.nodes if node.attempts]


def test_the_calls_before_what_runs_are_there_when_it_begins(go: Go, home: Path) -> None:
    first = go("run", "steps.py:steps")
    second = go("replay", first.record.id, "--from", "last")
    assert (second.result, ran(second)) == ("6", ["last"])
    told = kinds(home, second)
    assert (told["outcomes_kept"], told["graph_extended"], told["node_ended"]) == (1, 2, 1)
    third = go("replay", second.record.id, "--from", "add-5")
    assert (third.result, ran(third)) == ("6", ["add-5", "add-6", "last"])
    assert {node.id: node.reused_from for node in third.nodes if node.cached} == dict.fromkeys(
        ["add", "add-2", "add-3", "add-4"], first.record.id
    )


def test_more_than_begin_in_one_turn(go: Go, home: Path) -> None:
    first = go("run", "steps.py:steps", "-i", f"n={USUAL.begun_at_once + 20}")
    second = go("replay", first.record.id, "--from", "last")
    assert (second.result, ran(second)) == (first.result, ["last"])
    assert kinds(home, second)["graph_extended"] == 2


def test_who_takes_it_over_after_a_kill_keeps_the_same(go: Go, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    first = go("run", "steps.py:stops")
    (tmp_path / "go").unlink()
    (tmp_path / "begun").unlink()
    command = [sys.executable, "-m", "twingraph", "replay", first.record.id, "--from", "held"]
    process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    wait_until(lambda: (tmp_path / "begun").exists(), "the last node has not begun", 30)
    process.kill()
    process.wait(10)
    (tmp_path / "go").touch()
    again = go("resume", "last")
    assert (again.result, again.record.replay_of, ran(again)) == ("4", first.record.id, ["held"])


def test_other_inputs_are_compared_call_by_call(go: Go) -> None:
    first = go("run", "steps.py:steps")
    second = go("replay", first.record.id, "-i", "n=7", "--from", "last")
    assert (second.result, ran(second)) == ("7", ["add-7", "last"])


def test_what_the_body_asked_for_is_asked_anew(go: Go) -> None:
    first = go("run", "steps.py:asks")
    second = go("replay", first.record.id, "--from", "last")
    assert (second.record.status, ran(second)) == ("completed", ["last"])


def test_chance_is_another_one_in_each_execution(go: Go, home: Path) -> None:
    first = go("run", "chance.py:chance")
    second = go("replay", first.record.id, "--from", "last")
    assert (second.record.status, ran(second)) == ("completed", ["number", "last"])


def test_a_body_that_looks_at_a_file_is_compared_and_may_do_something_else(go: Go, tmp_path: Path) -> None:
    first = go("run", "looks.py:looks")
    (tmp_path / "moved").touch()
    second = go("replay", first.record.id, "--from", "last")
    assert (second.result, ran(second)) == ("4", ["add", "last"])


def test_a_body_that_does_something_else_and_does_not_look_like_it_is_told_so(go: Go, tmp_path: Path) -> None:
    first = go("run", "steps.py:hides")
    (tmp_path / "moved").write_text("1\n2\n3\n")
    second = go("replay", first.record.id, "--from", "last")
    assert second.record.status == "failed"
    assert second.record.error is not None
    assert second.record.error.error_type == "ReplayMismatch"
    third = go("replay", first.record.id, "--from", "last", "--code", "current")
    assert (third.result, ran(third)) == ("4", ["add", "last"])
