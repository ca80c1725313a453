"""A script whose records are on PostgreSQL, as its author sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.conducting import wait_until

SCRIPT = """
import os, time
from twingraph import component, pipeline

@component
def square(x: int) -> int:
    print("squaring", x)
    return x * x

@component
def held(x: int) -> int:
    open("begun", "a").close()
    while not os.path.exists("go"):
        time.sleep(0.01)
    return x

@pipeline
def waits(n: int) -> int:
    return held(square(n))

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


def test_who_resumes_before_the_lease_of_a_killed_process_is_over_goes_on_after_it(
    postgres: str, tmp_path: Path
) -> None:
    (tmp_path / "flow.py").write_text(SCRIPT, encoding="utf-8")
    surroundings = {**os.environ, "TWINGRAPH_DATABASE_URL": postgres, "TWINGRAPH_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "twingraph", "run", "flow.py:waits", "-i", "n=3"]
    process = subprocess.Popen(command, env=surroundings, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: (tmp_path / "begun").exists(), "it has not begun", 30)
    finally:
        process.kill()
        process.wait(10)
    (tmp_path / "go").touch()
    resumed = run(postgres, tmp_path / "home", "-m", "twingraph", "resume", "last")
    assert (resumed.stdout, resumed.returncode) == ("9\n", 0), resumed.stderr


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
