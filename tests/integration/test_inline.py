"""TWINGRAPH_INLINE=1: everything in one process, where a debugger works."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

SCRIPT = """
import os, sys
from twingraph import Workflow, component, current
from twingraph.errors import ExecutionFailed
import beside

parent = os.getpid()
attempts = []

@component
def here(x: int) -> list:
    current().progress(1, 2)
    current().artifact("note", "text")
    return [os.getpid(), current().node_id, os.environ["TWINGRAPH_NODE_ID"], beside.double(x)]

@component(retry_policy={"max_attempts": 3, "initial_delay": 0.01})
def third_time(x: int) -> int:
    marker = f"attempt-{current().attempt}"
    open(marker, "w").close()
    if current().attempt < 3:
        raise ValueError(marker)
    return x

@component
def numbers(n: int) -> list:
    return list(range(n))

@component
def add(x: int) -> int:
    return x + 1

@component
def stop(x: int) -> int:
    value = x + 41
    breakpoint()
    return value

@component
def bad() -> int:
    raise ValueError("no good")
"""

ENDINGS = {
    "a result": (
        "w = Workflow('w'); w.add_component('a', here, x=4); print(w.run() == [parent, 'a', 'a', 8])",
        "True\n",
    ),
    "the modules of the program": (
        "w = Workflow('w'); w.add_component('a', here, x=4); w.run(); print(sys.modules['beside'] is beside)",
        "True\n",
    ),
    "a failure": (
        "w = Workflow('w'); w.add_component('a', bad)\n"
        "try:\n    w.run()\nexcept ValueError as error:\n    print(isinstance(error, ExecutionFailed), error)",
        "True a: ValueError: no good\n",
    ),
    "retries": ("w = Workflow('w'); w.add_component('a', third_time, x=7); print(w.run())", "7\n"),
    "a map": (
        "w = Workflow('w'); w.add_component('n', numbers, n=3); w.add_map('m', component=add); w.connect('n', 'm'); "
        "print(w.run())",
        "[1, 2, 3]\n",
    ),
}


def run(folder: Path, ending: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "beside.py").write_text("def double(x):\n    return 2 * x\n")
    (folder / "script.py").write_text(f"{SCRIPT}\n{ending}\n")
    root = str(Path(__file__).parents[2])
    variables = {"TWINGRAPH_INLINE": "1", "TWINGRAPH_HOME": str(folder / "home"), "PYTHONPATH": root}
    return subprocess.run(
        [sys.executable, "script.py"], cwd=folder, input=stdin, capture_output=True, text=True, check=False,
        env={**os.environ, **variables},
    )  # fmt: skip


@pytest.mark.parametrize("name", ENDINGS)
def test_inline_gives(tmp_path: Path, name: str) -> None:
    ending, expected = ENDINGS[name]
    answer = run(tmp_path, ending)
    assert (answer.stdout, answer.returncode) == (expected, 0), answer.stderr


def test_what_is_recorded_has_the_time_of_the_real_clock(tmp_path: Path) -> None:
    ending = """
import time
@component
def frozen() -> int:
    time.time = lambda: -1e11
    return 1
w = Workflow('w'); w.add_component('a', frozen); print(w.run())
"""
    answer = run(tmp_path, ending)
    assert answer.returncode == 0, answer.stderr
    with closing(sqlite3.connect(tmp_path / "home" / "twingraph.db")) as records:
        told = [body for (body,) in records.execute("select body from events")]
    assert told
    assert "-100000000000" not in "".join(told)


def test_a_breakpoint_reaches_the_terminal(tmp_path: Path) -> None:
    ending = "w = Workflow('w'); w.add_component('a', stop, x=1); print('result', w.run())"
    answer = run(tmp_path, ending, stdin="p value\nw\nc\n")
    assert "42" in answer.stdout, answer.stderr
    assert "script.py" in answer.stdout
    assert "result 42" in answer.stdout
