"""Prune on a real home, beside real runs and by the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from twingraph import Workflow, component
from twingraph.core.errors import ConflictError
from twingraph.settings import load
from twingraph.store.prune import Pruned, Retention
from twingraph.wiring import close_all, open_reader, runtime
from twingraph.wiring.pruning import prune, shrink


@component
def numbers(start: int) -> list[int]:
    return list(range(start, start + 9_000))


@component
def total(numbers: list[int]) -> int:
    return sum(numbers)


def workflow(start: int) -> Workflow:
    made = Workflow("sums").add_component("numbers", numbers, start=start).add_component("total", total)
    return made.connect("numbers", "total", input="numbers")


@pytest.fixture(autouse=True)
def _home(home: Path) -> Iterator[None]:
    yield
    close_all(wait=False)


def pruned() -> Pruned:
    return prune(load(), Retention(ended_before=1e12), dry_run=False, progress=lambda *_: None)


def test_runs_go_on_while_all_that_is_over_is_pruned() -> None:
    handles = []
    for start in range(12):
        handles.append((start, workflow(start).submit()))
        pruned()
    for start, handle in handles:
        assert handle.result(timeout=30) == sum(range(start, start + 9_000))
        pruned()
    assert workflow(5).run() == sum(range(5, 9_005))  # its code is there again, though the process packed it long ago
    reader = open_reader()
    records, _ = reader.executions(limit=100)
    assert [record.status for record in records] == ["completed"]
    reader.close()


def test_the_file_is_made_smaller_only_while_nobody_uses_it(home: Path) -> None:
    for start in range(3):
        workflow(start).run()
    runtime()
    with pytest.raises(ConflictError, match="while nobody else uses"):
        shrink(load())
    close_all()
    pruned()
    before = (home / "twingraph.db").stat().st_size
    shrink(load())
    assert (home / "twingraph.db").stat().st_size < before


def twingraph(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "twingraph", *words], capture_output=True, text=True, timeout=60)


def test_the_command_says_what_would_go_and_takes_it(home: Path) -> None:
    for start in range(3):
        workflow(start).run()
    close_all()
    told = json.loads(twingraph("prune", "--keep", "1", "--dry-run", "--json").stdout)
    assert len(told["executions"]) == 2
    done = json.loads(twingraph("prune", "--keep", "1", "--json").stdout)
    assert done["executions"] == told["executions"]
    assert json.loads(twingraph("executions", "--json").stdout)["total"] == 1
    shown = twingraph("show", done["executions"][0])
    assert (shown.returncode, "no execution has the id" in shown.stderr) == (2, True)


def test_a_workflow_is_named_as_run_was_given_it(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from twingraph import pipeline\n\n@pipeline\ndef {name}():\n    return 1\n"
    for name in ("daily", "weekly"):
        (tmp_path / f"{name}.py").write_text(text.format(name=name))
    monkeypatch.chdir(tmp_path)
    for name in ("daily", "weekly", "daily"):
        assert twingraph("run", f"{name}.py:{name}").returncode == 0
    (tmp_path / "daily.py").unlink()
    wrong = twingraph("prune", "--keep", "0", "--workflow", "daily.py:dayly")
    assert (wrong.returncode, f"did you mean {tmp_path}/daily.py:daily" in wrong.stderr) == (2, True)
    done = twingraph("prune", "--keep", "0", "--workflow", "daily.py:daily", "--vacuum", "--json")
    assert len(json.loads(done.stdout)["executions"]) == 2, done.stderr
    again = json.loads(twingraph("prune", "--keep", "0", "--workflow", "weekly:weekly", "--json").stdout)
    assert len(again["executions"]) == 1


def test_counts_beyond_all_bounds(home: Path) -> None:
    workflow(1).run()
    close_all()
    huge = str(10**30)
    assert json.loads(twingraph("executions", "--limit", huge, "--json").stdout)["total"] == 1
    assert json.loads(twingraph("executions", "--offset", huge, "--json").stdout)["executions"] == []
    assert json.loads(twingraph("prune", "--keep", huge, "--json").stdout)["executions"] == []


def test_the_doctor_says_whether_blobs_can_be_kept(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TWINGRAPH_BLOB_URL", f"file://{tmp_path}/elsewhere")
    good = json.loads(twingraph("doctor", "--json").stdout)
    assert [check["state"] for check in good["checks"] if check["name"] == "blobs"] == ["ok"]
    monkeypatch.setenv("TWINGRAPH_BLOB_URL", "s3://bucket?endpoint=http://127.0.0.1:1&attempts=2")
    said = twingraph("doctor", "--json")
    (check,) = [check for check in json.loads(said.stdout)["checks"] if check["name"] == "blobs"]
    assert (said.returncode, check["state"]) == (1, "broken")
    assert "s3://bucket" in check["message"]
    monkeypatch.setenv("TWINGRAPH_BLOB_URL", "gs://bucket")
    said = twingraph("doctor")
    assert (said.returncode, "TWINGRAPH_BLOB_URL" in said.stdout) == (1, True)
