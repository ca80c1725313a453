"""The reference document's own examples, with nothing supplied but the names that it leaves out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SNIPPETS = Path(__file__).parent / "snippets"
ROOT = Path(__file__).parents[2]
# Beside the repository, or beside a worktree of it.
DOCUMENT = next(
    (path for folder in ROOT.parents if (path := folder / "shared" / "spec" / "twingraph.md").exists()), Path("absent")
)
NAMES = sorted(path.stem for path in SNIPPETS.glob("*.txt"))


def snippet(name: str) -> str:
    return (SNIPPETS / f"{name}.txt").read_text("utf-8")


def names_after(name: str, **supplied: Any) -> dict[str, Any]:
    """What the example defines, run in a module that has the supplied names."""
    module: dict[str, Any] = {"__name__": "example", **supplied}
    exec(compile(snippet(name), f"{name}.txt", "exec"), module)
    return module


@pytest.mark.only_where(DOCUMENT.exists(), "the reference document is not beside the repository")
@pytest.mark.parametrize("name", NAMES)
def test_the_copy_is_what_the_document_prints(name: str) -> None:
    printed = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert snippet(name) in printed


# -- declared, and called as plain functions ------------------------------------------------------------


def test_a_component_for_docker_is_the_plain_function() -> None:
    from collections import namedtuple

    example = names_after("component", namedtuple=namedtuple)
    assert example["process_data"](data=[0.1, 0.6, 0.9]) == ([0.6, 0.9], 2)
    assert example["process_data"]([0.1, 0.6], threshold=0.0).count == 2


PLATFORMS = {"docker": "docker", "kubernetes": "kubernetes", "lambda": "lambda", "batch": "batch"}


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_configuration_of_a_platform_is_accepted(name: str) -> None:
    from twingraph import component

    config = names_after(name)["config"]

    @component(platform=PLATFORMS[name], docker_image="python:3.9", config=config)
    def work(x: int) -> int:
        return x + 1

    assert work(1) == 2


def test_a_custom_component_is_registered_and_called() -> None:
    from twingraph.sdk.registry import DEFAULT

    processor = names_after("custom_component")["CustomProcessor"]
    assert DEFAULT.find("custom_processor") is processor
    assert processor({"threshold": 1})(data=[1, 2, 3]) == {"filtered": [2, 3], "count": 2, "threshold": 1}
    assert processor()(data=[1]) == {"filtered": [1], "count": 1, "threshold": 0.5}
    with pytest.raises(ValueError, match="Missing required input: data"):
        processor()(rows=[])


# -- run as pipelines, in a script of their own -----------------------------------------------------------

PIPELINE = """
from twingraph import component

@component
def load_data(source: str) -> dict:
    return {"chunks": [[1, 2], [3], []]}

@component
def process_chunk(data: list) -> dict:
    return {"data": sum(data)}

@component
def aggregate_results(results: list) -> int:
    return sum(results)

#SNIPPET
print(process_pipeline())
"""

CUSTOM = """
#SNIPPET
from twingraph import pipeline

@pipeline
def filtered(data):
    found = CustomProcessor({"threshold": 2})(data=data)
    return [found["outputs"]["filtered"], found["count"]]

print(filtered([1, 2, 3, 4]))
try:
    CustomProcessor()
    @pipeline
    def wrong():
        return CustomProcessor()(rows=[])
    wrong()
except ValueError as error:
    print(error.args[0])
"""

RETRIES = """
from pathlib import Path
from twingraph import component, pipeline

class TransientError(Exception):
    pass

#SNIPPET

@pipeline
def quiet():
    return flaky_operation({"a": 1})

print(quiet(), flaky_operation.definition.settings["retry"].max_attempts)
"""

HANDLER = """
from twingraph import component, pipeline

@component
def error_notification(component: str, message: str, error_type: str):
    with open("told", "a") as file:
        file.write(f"{component} {error_type} {message}\\n")

@component
def risky_operation():
    raise OSError("too risky")

@component
def fallback_operation():
    return "plan B"

#SNIPPET
print(fault_tolerant_pipeline())
print(open("told").read().strip())
"""

SCRIPTS = {
    "pipeline": (PIPELINE, "6\n"),
    "custom_component": (CUSTOM, "[[3, 4], 2]\nMissing required input: data\n"),
    "retry_policy": (RETRIES, "None 3\n"),
    "error_handler": (HANDLER, "plan B\nrisky_operation OSError too risky\n"),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_around_the_example_runs(name: str, tmp_path: Path) -> None:
    around, expected = SCRIPTS[name]
    script = tmp_path / f"{name}_example.py"
    script.write_text(around.replace("#SNIPPET\n", snippet(name)), "utf-8")
    variables = {"TWINGRAPH_HOME": str(tmp_path / "home"), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env={**os.environ, **variables}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr


def test_every_example_is_run() -> None:
    assert {*PLATFORMS, *SCRIPTS, "component"} == set(NAMES)
