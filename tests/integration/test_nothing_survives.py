"""Whatever ends an execution, ten seconds later none of its processes is alive, whoever started them and how."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.conducting import wait_until
from tests.support.processes import kill_all, marked, none_left

pytestmark = pytest.mark.only_where(sys.platform == "linux", "looks for processes in /proc")

SCRIPT = """
import os, subprocess, sys, time
from twingraph import Workflow, component, pipeline

@component
def family() -> None:
    subprocess.Popen(["sleep", "301"])
    subprocess.Popen(["sleep", "302"], start_new_session=True)
    subprocess.Popen(["sh", "-c", "(setsid sleep 303 &) ; sleep 304"])
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "305"])
    time.sleep(300)

@component
async def beside() -> None:
    import asyncio
    await asyncio.create_subprocess_exec("sleep", "306")
    await asyncio.sleep(300)

@pipeline
def flow() -> None:
    beside()
    return family()

@pipeline
def hasty() -> None:
    beside.options(timeout=6)()
    return family.options(timeout=6)()

drawn = Workflow("drawn").add_component("family", family).add_component("beside", beside)

if __name__ == "__main__":
    {call}
"""
SLEEPS = range(301, 307)
PROJECT = str(Path(__file__).parents[2])


class Story(NamedTuple):
    folder: Path
    mark: str

    @property
    def world(self) -> dict[str, str]:
        home = {"TWINGRAPH_HOME": str(self.folder / "home"), "TWINGRAPH_PROGRESS": "off"}
        return {**os.environ, **home, "PYTHONPATH": PROJECT}

    def begin(self, call: str, *words: str) -> subprocess.Popen[bytes]:
        file = self.folder / "story.py"
        file.write_text(SCRIPT.format(call=call))
        command = [sys.executable, *(words or [str(file)])]
        return subprocess.Popen(
            command, cwd=self.folder, env={**self.world, "STORY": self.mark}, stderr=subprocess.PIPE
        )

    def whole(self) -> bool:
        lines = " ".join(line for _, line in marked(self.mark))
        return all(f"sleep {number} " in lines for number in SLEEPS)


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    made = Story(tmp_path, secrets.token_hex(8))
    try:
        yield made
    finally:
        kill_all(made.mark)


WAYS = {
    "cancel of a pipeline": ("flow()", [], "cancel"),
    "cancel of a drawn workflow": ("drawn.run()", [], "cancel"),
    "time-out of its nodes": ("hasty()", [], "wait"),
    "time-out of the execution": ("flow.options(timeout=6)()", [], "wait"),
    "kill of the script": ("flow()", [], signal.SIGKILL),
    "kill of the command": ("pass", ["-m", "twingraph", "run", "story.py:flow"], signal.SIGKILL),
    "termination of the script": ("flow()", [], signal.SIGTERM),
    "two interrupts": ("flow()", [], signal.SIGINT),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_process_of_an_execution_outlives_it(story: Story, way: str) -> None:
    call, words, end = WAYS[way]
    with story.begin(call, *words) as process:
        wait_until(story.whole, f"not all have begun: {marked(story.mark)}", seconds=50)
        if end == "cancel":
            command = [sys.executable, "-m", "twingraph", "cancel", "last"]
            subprocess.run(command, cwd=story.folder, env=story.world, check=True, capture_output=True)
        elif isinstance(end, signal.Signals):
            process.send_signal(end)
            if end is signal.SIGINT:  # two that come at once are one
                assert process.stderr is not None
                assert any(b"go on with" in line for line in process.stderr)
                process.send_signal(end)
        if end == "wait":
            process.wait(50)
        assert none_left(story.mark, 10) == []
        assert process.wait(10) != 0
