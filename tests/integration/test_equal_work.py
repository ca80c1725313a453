"""The same work has the same keys wherever it is done: in other processes, homes, folders, Pythons and layouts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.slices.interpreters import Version, interpreter

HELPERS = """
RATE = 2


def scale(value):
    "Says what it does."
    return {'value': value * RATE}   # and how
"""
FLOW = """
from dataclasses import dataclass
from helpers import scale
from twingraph import Workflow, component, pipeline

@dataclass
class Config:
    rows: list
    share: float = 0.1

@component(cache=True, version='1', environment={'MODE': 'fast'})
def first(config: Config, n: int = 3):
    return [scale(row)['value'] for row in config.rows] + [n, config.share, (1, b'x', None)]

@component( cache = {'ttl': '1h'} )
def second(values, names=('a', "b")):
    return {name: values[0] for name in names}

@pipeline
def flow(n: int = 1):
    one = first(Config([1, 2.5]), n)
    return [second(one), second(one, names=['c']), *[first(Config([part])) for part in one[:2]]]
"""
PRINT = """
import json, os, sys
sys.path.insert(0, os.getcwd())
from flow import flow
from twingraph import wiring
execution = flow.submit()
execution.result()
reader = wiring.open_reader()
print(json.dumps({node.id: [node.cache_key, node.hash] for node in reader.view(execution.id).nodes}))
"""
PYTHONS: list[Version] = [(3, 11), (3, 12), (3, 13)]


def keys(
    folder: Path, *, flow: str = FLOW, helpers: str = HELPERS, python: Version = PYTHONS[0], formatted: bool = False
) -> dict[str, list[str]]:
    """Of every node, its key and its hash, by a fresh process in a fresh folder and home."""
    folder.mkdir()
    (folder / "flow.py").write_text(flow, "utf-8")
    (folder / "helpers.py").write_text(helpers, "utf-8")
    if formatted:
        subprocess.run([sys.executable, "-m", "ruff", "format", "-q", "--isolated", "."], cwd=folder, check=True)
        assert (folder / "flow.py").read_text("utf-8") != flow
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TWINGRAPH_HOME": str(folder / "home"),
        "PYTHONHASHSEED": str(len(folder.name)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    program = interpreter(python)
    if program != sys.executable:  # a bare Python has no pool, which measures its workers with psutil
        environment["TWINGRAPH_INLINE"] = "1"
    done = subprocess.run(
        [program, "-c", PRINT], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    assert len(found) == 5
    assert all(all(pair) for pair in found.values())
    return found


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return keys(tmp_path_factory.mktemp("usual") / "here")


@pytest.mark.parametrize("python", PYTHONS, ids=lambda version: ".".join(map(str, version)))
def test_they_are_equal_in_another_home_on_any_python(
    tmp_path: Path, usual: dict[str, list[str]], python: Version
) -> None:
    assert keys(tmp_path / "elsewhere entirely", python=python) == usual


def test_layout_does_not_count(tmp_path: Path, usual: dict[str, list[str]]) -> None:
    assert keys(tmp_path / "formatted", formatted=True) == usual


@pytest.mark.parametrize(
    ("flow", "helpers", "changed"),
    [
        (FLOW, HELPERS.replace("RATE = 2", "RATE = 3"), {"first"}),
        (FLOW, HELPERS.replace("value * RATE", "RATE + value"), {"first"}),
        (FLOW.replace("n, config.share", "config.share, n"), HELPERS, {"first"}),
        (FLOW.replace("share: float = 0.1", "share: float = 0.2"), HELPERS, {"first"}),
        (FLOW.replace("version='1'", "version='2'"), HELPERS, {"first"}),
        (FLOW.replace("'fast'", "'slow'"), HELPERS, {"first"}),
        (FLOW.replace("names=('a', \"b\")", "names=('a',)"), HELPERS, {"second"}),
        (FLOW.replace("names=['c']", "names=['d']"), HELPERS, {"second-2"}),
    ],
    ids=["constant", "helper", "code", "class", "version", "environment", "default", "input"],
)
def test_whatever_counts_gives_others(
    tmp_path: Path, usual: dict[str, list[str]], flow: str, helpers: str, changed: set[str]
) -> None:
    found = keys(tmp_path / "changed", flow=flow, helpers=helpers)
    for name in changed:
        assert found[name][0] != usual[name][0]
        assert found[name][1] != usual[name][1]
    untouched = {name for name in usual if found[name][0] == usual[name][0]}
    assert untouched or "first" in changed
