"""A process that somebody else kills costs the author no attempt, and three in a row end the node."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from twingraph import Workflow, component
from twingraph.errors import ExecutionFailed


@component
def killed(folder: str, times: int, number: int) -> int:
    """Its own process is ended from outside, as the out-of-memory killer would, so many times."""
    mark = Path(folder) / "killed"
    before = len(mark.read_text()) if mark.exists() else 0
    if before < times:
        mark.write_text("x" * (before + 1))
        os.kill(os.getpid(), number)
        signal.pause()
    return before


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINGRAPH_HOME", str(tmp_path / "home"))


def run(folder: Path, times: int, number: int) -> object:
    workflow = Workflow("losses")
    workflow.add_component("n", killed, folder=str(folder), times=times, number=number)
    return workflow.run()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_two_losses_cost_nothing(tmp_path: Path, number: int) -> None:
    assert run(tmp_path, 2, int(number)) == 2


def test_the_third_in_a_row_ends_the_node(tmp_path: Path) -> None:
    with pytest.raises(ExecutionFailed) as told:
        run(tmp_path, 99, int(signal.SIGKILL))
    assert told.value.code == "worker_lost"
    assert "3 times in a row" in str(told.value)
    assert (tmp_path / "killed").read_text() == "xxx"


@component
def leaves() -> int:
    os._exit(5)


def test_a_process_that_ends_itself_is_a_crash(tmp_path: Path) -> None:
    workflow = Workflow("crash")
    workflow.add_component("n", leaves)
    with pytest.raises(ExecutionFailed, match="exit code 5") as told:
        workflow.run()
    assert told.value.code == "crashed"
