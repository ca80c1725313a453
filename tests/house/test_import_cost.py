"""Importing twingraph loads nothing heavy, neither does declaring a workflow, and a first run only what it needs.

Modules are counted, not seconds: each of ours costs a start some 0.3 ms, and its end a little more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Clients of things outside, and libraries that a run needs but a declaration does not.
HEAVY = [
    *("alembic", "jinja2", "psutil", "pydantic", "pydantic_core", "rich", "simpleeval", "sqlalchemy"),
    *("numpy", "pandas", "polars", "pyarrow", "duckdb"),
    *("boto3", "celery", "confluent_kafka", "docker", "fastapi", "gremlin_python", "kubernetes", "psycopg", "pyspark"),
    *("asyncio", "concurrent.futures.process", "http.client", "multiprocessing", "sqlite3", "ssl", "unittest"),
    *("importlib.metadata",),  # reading entry points scans every installed distribution
]

# What most runs do without. Whoever needs one of these at every start has found a slow way.
SELDOM = [
    *("difflib", "hashlib", "hmac", "importlib.resources", "secrets", "shutil", "tempfile", "uuid", "zipfile"),
    *("alembic", "pydantic", "rich", "sqlalchemy", "importlib.metadata", "multiprocessing", "http.client", "unittest"),
    *(f"twingraph.engine.{name}" for name in ("cached_work", "identity", "keeping", "kernel.snapshot", "recovery")),
    *("twingraph.cli", "twingraph.dispatch.jobs", "twingraph.executors.mask", "twingraph.sdk.failures"),
    *(["psutil"] if sys.platform == "linux" else []),
]
# Of ours. A new one is welcome where an old one goes, or where every run needs it.
IN_THE_PROCESS = {"drawn": 180, "pipeline": 195}
IN_ITS_WORKER = 14

HELLO = """
import json
import sys

from twingraph import Workflow, component, pipeline


@component
def loaded() -> list[str]:
    return sorted(vars(sys)["modules"])  # naming it would keep the function from being cut out of this file


@pipeline
def hello() -> list[str]:
    return loaded()


if __name__ == "__main__":
    workflow = Workflow("hello")
    workflow.add_component("n0", loaded)
    there = workflow.run() if sys.argv[1] == "drawn" else hello()
    print(json.dumps([sorted(sys.modules), list(there)]))
"""

LIST_NEW_MODULES = """
import sys
before = set(sys.modules)
{statement}
print("\\n".join(sorted(set(sys.modules) - before)))
"""


def modules_loaded_by(statement: str) -> set[str]:
    command = [sys.executable, "-c", LIST_NEW_MODULES.format(statement=statement)]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    "statement", ["import twingraph", "from twingraph import Workflow, component, gather, pipeline, sleep"]
)
def test_nothing_heavy_is_loaded(statement: str) -> None:
    loaded = modules_loaded_by(statement)
    assert "twingraph" in loaded
    assert loaded.isdisjoint(HEAVY), sorted(loaded.intersection(HEAVY))


def test_the_bare_import_loads_no_room() -> None:
    assert {name for name in modules_loaded_by("import twingraph") if name.startswith("twingraph.")} == set()


def test_the_measure_would_notice() -> None:
    assert not modules_loaded_by("import sqlite3").isdisjoint(HEAVY)


def ours(modules: list[str]) -> list[str]:
    return [name for name in modules if name.partition(".")[0] == "twingraph"]


@pytest.mark.parametrize("form", ["drawn", "pipeline"])
def test_hello_loads_what_it_needs(form: str, tmp_path: Path) -> None:
    script = tmp_path / "hello.py"
    script.write_text(HELLO, encoding="utf-8")
    environment = {**os.environ, "TWINGRAPH_HOME": str(tmp_path / "home"), "TWINGRAPH_PROGRESS": "off"}
    command = [sys.executable, str(script), form]
    subprocess.run(command, env=environment, capture_output=True, check=True)  # a new home takes more
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    process, worker = json.loads(done.stdout)
    assert set(process).isdisjoint(SELDOM), sorted(set(process).intersection(SELDOM))
    assert set(worker).isdisjoint([*SELDOM, *HEAVY, "inspect", "dataclasses"])
    assert len(ours(process)) <= IN_THE_PROCESS[form], ours(process)
    assert len(ours(worker)) <= IN_ITS_WORKER, ours(worker)
