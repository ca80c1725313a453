"""A script whose records are on PostgreSQL, as its author sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from twingraph import component, pipeline, sleep

@component
def square(x: int) -> int:
    print("squaring", x)
    return x * x

@pipeline
def flow(n: int) -> int:
    return sum(square(i) for i in range(n))

if __name__ == "__main__":
    print(flow(4))
"""


def run(database: str, home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    surroundings = {**os.environ, "TWINGRAPH_DATABASE_URL": database, "TWINGRAPH_HOME": str(home)}
    return subprocess.run(
        [sys.executable, *command], env=surroundings, cwd=home.parent, capture_output=True, text=True, timeout=60
    )


def test_a_script_runs_and_the_command_line_shows_it(postgres: str, tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(SCRIPT, encoding="utf-8")
    home = tmp_path / "home"
    assert run(postgres, home, "flow.py").stdout == "14\n"
    listed = run(postgres, home, "-m", "twingraph", "executions", "--json")
    assert [one["status"] for one in json.loads(listed.stdout)["executions"]] == ["completed"]
    assert "squaring 3" in run(postgres, home, "-m", "twingraph", "logs", "last").stdout
    assert not (home / "twingraph.db").exists()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://ada:hush@127.0.0.1:1/x", "check that the server runs"),
        ("{server}_none", "does not exist"),
    ],
)
def test_a_database_that_cannot_be_had_is_told_in_one_line(
    postgres_server: str, tmp_path: Path, url: str, words: str
) -> None:
    told = run(url.format(server=postgres_server), tmp_path / "home", "-m", "twingraph", "executions")
    assert told.returncode == 1
    assert words in told.stderr
    assert "hush" not in told.stderr
    assert len(told.stderr.splitlines()) == 1
