"""An argument that is not there fails the call that wants it, as any failure does, whatever is called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.bodies.test_table import surroundings

SCRIPT = """
from twingraph import component, pipeline
from twingraph.errors import NodeFailed

@component
def give() -> dict:
    return {"a": 1}

@component
def task(x):
    return x

@pipeline
def sub(x):
    return task(x)

detached = sub.options(detached=True)

@pipeline
def careful():
    given = give()
    try:
        return int(CALL(given["outputs"]["nope"]))
    except NodeFailed as failed:
        return str(failed)

@pipeline
def careless():
    return CALL(give()["outputs"]["nope"])

print(careful())
try:
    careless()
except BaseException as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("call", ["task", "sub", "detached"])
def test_the_body_meets_it_or_the_execution_fails(tmp_path: Path, call: str) -> None:
    script = tmp_path / "wrong.py"
    script.write_text(SCRIPT.replace("CALL", call), "utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=surroundings(tmp_path), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    name = "task" if call == "task" else "sub"
    said = f"{name}: ValueMissingError: give gave no output 'nope'; it gave a"
    assert done.stdout.splitlines() == [said, f"ExecutionFailed {said}"]
