"""The whole command line over a home that cannot be written, or that is full: said plainly, and resumed later."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.conducting import fresh_home

pytestmark = pytest.mark.only_where(sys.platform == "linux", "limits its processes as Linux does")

FLOW = """
from twingraph import Workflow, component

@component
def numbers(count: int) -> list[str]:
    return [f"{n:040}" for n in range(count)]

@component
def length(text: str) -> int:
    return len(text)

@component
def total(sizes: list[int]) -> int:
    return sum(sizes)

flow = Workflow("flow")
flow.add_component("numbers", numbers, count=1200)
flow.add_map("each", length, over="text")
flow.add_component("total", total)
flow.connect("numbers", "each")
flow.connect("each", "total", input="sizes")
"""
PROJECT = Path(__file__).parents[2]
DAC_OVERRIDE, DAC_READ_SEARCH, DROP_FROM_BOUNDING_SET = 1, 2, 24


def as_anybody() -> None:
    """Root keeps to permissions as everybody does."""
    import ctypes

    for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)


def with_little_room() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000))


def twingraph(home: Path, *words: str, limits: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "twingraph", *words],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "TWINGRAPH_HOME": str(home), "TWINGRAPH_PROGRESS": "off"},
        capture_output=True,
        text=True,
        timeout=50,
        cwd=home.parent,
        preexec_fn=limits,
        check=False,
    )


@pytest.fixture
def flow(tmp_path: Path) -> str:
    file = tmp_path / "flow.py"
    file.write_text(FLOW)
    return f"{file}:flow"


@pytest.mark.parametrize("words", [["run"], ["show", "last"]])
def test_a_read_only_home_is_said(tmp_path: Path, flow: str, words: list[str]) -> None:
    home = fresh_home(tmp_path / "home")
    home.close()
    for path in [*home.path.rglob("*"), home.path]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        done = twingraph(home.path, *words, *([flow] if words == ["run"] else []), limits=as_anybody)
    finally:
        for path in [home.path, *home.path.rglob("*")]:
            path.chmod(0o755)
    assert done.returncode != 0
    assert "TWINGRAPH_HOME" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_loses_nothing(tmp_path: Path, flow: str) -> None:
    """No file may grow beyond a limit, which is how a process without rights fills its disk."""
    stopped = twingraph(tmp_path / "home", "run", flow, limits=with_little_room)
    assert stopped.returncode != 0
    assert "Traceback" not in stopped.stderr, stopped.stderr
    assert "disk" in stopped.stderr
    again = twingraph(tmp_path / "home", "resume", "--all")
    assert again.returncode == 0, again.stderr
    shown = twingraph(tmp_path / "home", "show", "last")
    assert "48000" in shown.stdout, (stopped.stderr, shown.stdout)
