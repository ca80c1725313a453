"""Pipelines as people run them: called, submitted, awaited, interrupted, in a notebook."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = """
import asyncio, sys, time, traceback
from twingraph import component, gather, pipeline, sleep
from twingraph.errors import ExecutionFailed, ValidationError

@component
def inc(n: int) -> int:
    return n + 1

@component
def bad(n: int) -> int:
    raise ValueError("no good", n)

@component
def slow(n: float) -> float:
    print("begun", file=sys.stderr)
    time.sleep(n)
    return n

@pipeline
def twice(n: int) -> int:
    return inc(inc(n))

@pipeline
async def both(a: int, b: int = 0) -> int:
    first, second = await gather(inc(a), inc(b))
    return first + second

@pipeline
async def nap(seconds: float) -> float:
    await sleep(seconds)
    return seconds
"""

ENDINGS = {
    "called, and submitted": (
        "print(twice(1), twice(n=2))\ne = twice.submit(5)\nprint(e.id[:5], e.result(), e.status)",
        "3 4\nexec- 7 completed\n",
    ),
    "an async one where no loop runs": ("print(both(1, b=2))", "5\n"),
    "awaited side by side": (
        "async def main():\n"
        "    print(await asyncio.gather(*(both(n) for n in range(5))), twice(1))\n"
        "asyncio.run(main())",
        "[2, 3, 4, 5, 6] 3\n",
    ),
    "the loop goes on meanwhile": (
        "import os\n"
        "@pipeline\n"
        "async def waits():\n"
        "    while not os.path.exists('go'):\n"
        "        await sleep(0.05)\n"
        "    return 'gone on'\n"
        "async def main():\n"
        "    task = asyncio.create_task(waits())\n"
        "    for _ in range(6):\n"
        "        await asyncio.sleep(0.01)\n"
        "    open('go', 'w').close()\n"
        "    print(await task)\n"
        "asyncio.run(main())",
        "gone on\n",
    ),
    "its awaiting task is cancelled": (
        "from contextlib import closing\n"
        "from twingraph import wiring\n"
        "async def main():\n"
        "    task = asyncio.create_task(nap(100))\n"
        "    await asyncio.sleep(0.5)\n"
        "    task.cancel()\n"
        "    try:\n"
        "        await task\n"
        "    except asyncio.CancelledError:\n"
        "        print('cancelled')\n"
        "    with closing(wiring.read(wiring.runtime().home)) as reader:\n"
        "        print([str(one.status) for one in reader.executions()[0]])\n"
        "asyncio.run(main())",
        "cancelled\n['cancelled']\n",
    ),
    "its awaiting task runs out of time": (
        "async def main():\n"
        "    try:\n"
        "        await asyncio.wait_for(nap(100), 0.5)\n"
        "    except TimeoutError:\n"
        "        print('late')\n"
        "asyncio.run(main())",
        "late\n",
    ),
    "a failure is of both classes": (
        "@pipeline\n"
        "def fails():\n"
        "    return inc(bad(3))\n"
        "for run in (fails, fails.submit().result):\n"
        "    try:\n"
        "        run()\n"
        "    except ValueError as error:\n"
        "        print(isinstance(error, ExecutionFailed), error.args, error.node_id, type(error.__cause__).__name__)",
        "True ('no good', 3) bad ValueError\nTrue ('no good', 3) bad ValueError\n",
    ),
    "an error of the body has the author's own traceback": (
        "@pipeline\n"
        "def fails():\n"
        "    return {}['no']\n"
        "try:\n"
        "    fails()\n"
        "except KeyError as error:\n"
        "    frames = traceback.extract_tb(error.__cause__.__traceback__)\n"
        "    print(type(error.__cause__) is KeyError, [frame.name for frame in frames])",
        "True ['fails']\n",
    ),
    "wrong inputs are told before anything runs": (
        "for call in (lambda: twice(), lambda: twice('x'), lambda: both('x', 'y')):\n"
        "    try:\n"
        "        call()\n"
        "    except (TypeError, ValidationError) as error:\n"
        "        print(type(error).__name__, len(getattr(error, 'problems', ())))",
        "TypeError 0\nValidationError 1\nValidationError 2\n",
    ),
    "a time limit of its own": (
        "@pipeline\n"
        "def slowly():\n"
        "    return slow(2.0)\n"
        "try:\n"
        "    slowly.options(timeout=0.3)()\n"
        "except ExecutionFailed as error:\n"
        "    print(error.code)",
        "timeout\n",
    ),
}


def program(folder: Path, text: str) -> Path:
    file = folder / "flow.py"
    file.write_text(HEAD + text)
    return file


def environment(folder: Path) -> dict[str, str]:
    root = str(Path(__file__).parents[3])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "TWINGRAPH_HOME": str(folder / "home"), "PYTHONPATH": path}


@pytest.mark.parametrize("inline", [False, True], ids=["pool", "inline"])
@pytest.mark.parametrize("name", sorted(ENDINGS))
def test_it_ends_as_the_plain_program_would(name: str, inline: bool, tmp_path: Path) -> None:
    text, expected = ENDINGS[name]
    around = {**environment(tmp_path), **({"TWINGRAPH_INLINE": "1"} if inline else {})}
    command = [sys.executable, str(program(tmp_path, text))]
    done = subprocess.run(command, env=around, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr
    assert "Traceback" not in done.stderr


INTERRUPTED = """
import os

@component
def held() -> int:
    print("begun", file=sys.stderr)
    while not os.path.exists("go on"):
        time.sleep(0.01)
    return 1

@pipeline
def slowly():
    return inc(held())

@pipeline
async def slowly_awaited():
    return inc(await held())

if __name__ == "__main__":
    {call}
"""


@pytest.mark.parametrize("call", ["print(slowly())", "asyncio.run(slowly_awaited())"], ids=["called", "awaited"])
def test_ctrl_c_leaves_it_paused_and_says_how_to_go_on(call: str, tmp_path: Path) -> None:
    """What runs is not over before the interrupt was heard, however slow the machine is."""
    command = [sys.executable, str(program(tmp_path, INTERRUPTED.format(call=call)))]
    around = {**environment(tmp_path), "TWINGRAPH_PROGRESS": "plain", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=around, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "begun" in line:
                process.send_signal(signal.SIGINT)
            elif "go on with" in line:
                (tmp_path / "go on").touch()
        code = process.wait()
    assert code in (-signal.SIGINT, 130), "".join(said)
    assert "go on with: twingraph resume exec-" in "".join(said)
    listing = [sys.executable, "-m", "twingraph", "executions", "--json"]
    answer = subprocess.run(listing, env=around, cwd=tmp_path, capture_output=True, text=True, check=True)
    newest = json.loads(answer.stdout)["executions"][0]
    assert (newest["status"], newest["reason"]) == ("paused", "interrupted")


SPEAKING = """
@pipeline
def flow(n: int = 1) -> int:
    print("from the body")
    return inc(n)

if __name__ == "__main__":
    print(flow())
"""


@pytest.mark.parametrize(
    ("words", "progress", "stdout", "told"),
    [
        (["flow.py"], "off", "from the body\n2\n", False),
        (["flow.py"], "plain", "2\n", True),
        (["-m", "twingraph", "run", "flow.py:flow"], "plain", "2\n", True),
        (["-m", "twingraph", "run", "flow.py:flow"], "off", "2\n", False),
    ],
)
def test_what_a_body_prints_is_shown_once(
    words: list[str], progress: str, stdout: str, told: bool, tmp_path: Path
) -> None:
    program(tmp_path, SPEAKING)
    around = {**environment(tmp_path), "TWINGRAPH_PROGRESS": progress}
    command = [sys.executable, *words]
    done = subprocess.run(command, env=around, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == stdout, done.stderr
    assert ("body │ from the body" in done.stderr) is told
    logs = [sys.executable, "-m", "twingraph", "logs", "last"]
    answer = subprocess.run(logs, env=around, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.count("from the body") == 1


def test_a_body_that_computes_gives_way_often_to_the_conductor_beside_it(tmp_path: Path) -> None:
    text = "@pipeline\ndef looks():\n    return sys.getswitchinterval()\nprint(looks())"
    command = [sys.executable, str(program(tmp_path, text))]
    done = subprocess.run(command, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "0.0005\n", done.stderr


def test_a_script_waits_for_what_it_began_and_says_so(tmp_path: Path) -> None:
    command = [sys.executable, str(program(tmp_path, INTERRUPTED.format(call="slowly.submit()")))]
    with subprocess.Popen(
        command, env=environment(tmp_path), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert any("waiting for 1 unfinished execution(s): exec-" in line for line in process.stderr)
        (tmp_path / "go on").touch()
    listing = [sys.executable, "-m", "twingraph", "executions", "--json"]
    answer = subprocess.run(listing, env=environment(tmp_path), capture_output=True, text=True, check=True)
    assert [one["status"] for one in json.loads(answer.stdout)["executions"]] == ["completed"]


NOTEBOOK = """
import types
shown = []

class Handle:
    def update(self, html):
        shown.append(html)

def display(html, display_id):
    shown.append(html)
    return Handle()

shell = types.SimpleNamespace(kernel=object())
sys.modules["IPython"] = types.SimpleNamespace(get_ipython=lambda: shell)
sys.modules["IPython.display"] = types.SimpleNamespace(HTML=str, display=display)

async def cell():
    print(twice(1), await both(1))

asyncio.run(cell())
print(len(shown) >= 2, any("completed" in one and "twice" in one for one in shown))
"""


def test_in_a_notebook_it_runs_in_the_running_loop_and_shows_a_view(tmp_path: Path) -> None:
    """With a stand-in for IPython: what it would be asked to display is noted."""
    around = {**environment(tmp_path), "TWINGRAPH_PROGRESS": "auto"}
    command = [sys.executable, str(program(tmp_path, NOTEBOOK))]
    done = subprocess.run(command, env=around, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "3 3\nTrue True\n", done.stderr


@pytest.mark.parametrize("how", ["stdin", "-c"])
def test_a_pipeline_that_stands_in_no_file(how: str, tmp_path: Path) -> None:
    file = program(tmp_path, "print(twice(1))")
    command = [sys.executable, "-"] if how == "stdin" else [sys.executable, "-c", file.read_text()]
    with file.open() as text:
        done = subprocess.run(
            command, stdin=text, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert done.stdout == "3\n", done.stderr
