"""Importing twingraph loads nothing heavy, and neither does declaring a workflow."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Clients of things outside, and libraries that a run needs but a declaration does not.
HEAVY = [
    *("alembic", "jinja2", "psutil", "pydantic", "pydantic_core", "rich", "simpleeval", "sqlalchemy"),
    *("numpy", "pandas", "polars", "pyarrow", "duckdb"),
    *("boto3", "celery", "confluent_kafka", "docker", "fastapi", "gremlin_python", "kubernetes", "psycopg", "pyspark"),
    *("asyncio", "concurrent.futures.process", "http.client", "multiprocessing", "sqlite3", "ssl", "unittest"),
    *("importlib.metadata",),  # reading entry points scans every installed distribution
]

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
