"""Whatever user code does to its process, its run has one ending and the pool goes on."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pool.conftest import Bench, opened
from tests.support import interrupting
from tests.support.files import words
from tests.support.processes import alive


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        ("raise ValueError('no')", "failed", "user_error", "no"),
        ("import sys; sys.exit(3)", "failed", "user_error", "sys.exit(3)"),
        ("raise KeyboardInterrupt", "failed", "user_error", ""),
        ("return f()", "failed", "user_error", "recursion"),
        ("breakpoint()", "failed", "user_error", "TWINGRAPH_INLINE=1"),
        ("return {'a': [lambda: 1]}", "failed", "invalid_output", "a[0]"),
        ("import os; os._exit(0)", "crashed", "crashed", "exit code 0"),
        ("import os; os._exit(7)", "crashed", "crashed", "exit code 7"),
        ("import ctypes; ctypes.string_at(0)", "crashed", "crashed", "SIGSEGV"),
        ("import os; os.abort()", "crashed", "crashed", "SIGABRT"),
        ("import os; os.kill(os.getpid(), 9)", "lost", "worker_lost", "SIGKILL"),
        ("import os; os.closerange(0, 4096); return 1", "crashed", "crashed", "closed file descriptors"),
    ],
)
async def test_an_ending_is_told(bench: Bench, body: str, status: str, code: str, words: str) -> None:
    outcome = await bench.run(f"def f():\n    {body}\n")
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code) == (status, code)
    assert words in outcome.error.message


@pytest.mark.parametrize("body", ["while True: pass", "import time; time.sleep(60)", "sum(range(10**11))"])
async def test_a_hanging_run_ends_at_its_limit(bench: Bench, body: str) -> None:
    outcome = await bench.run(f"def f():\n    {body}\n", timeout=0.3)
    assert outcome.error is not None
    assert (outcome.status, outcome.error.error_type) == ("timeout", "TimeoutError")
    assert "0.3 s" in outcome.error.message


async def test_a_jump_of_the_clock_ends_no_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 3600)
    outcome = await bench.run("import time\ndef f():\n    time.sleep(0.5)\n    return 1\n", timeout=10)
    assert outcome.status == "completed"


async def test_what_a_run_detached_dies_with_it_when_it_is_ended(bench: Bench) -> None:
    body = (
        "import subprocess, time\nfrom pathlib import Path\n"
        "def f():\n    child = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        "    Path('pid').write_text(str(child.pid))\n    time.sleep(60)\n"
    )
    bench.submit(bench.write(f"#entry f\n{body}"), "f", ["n"])
    async with asyncio.timeout(20):
        while not (child := words(bench.folder / "pid")):
            await asyncio.sleep(0.01)
    bench.time_is_up("n")
    await bench.until(lambda: "n" in bench.outcomes())
    assert bench.outcomes()["n"].status == "timeout"
    async with asyncio.timeout(20):
        while alive(int(child[0])):
            await asyncio.sleep(0.01)


async def test_of_a_fork_that_returns_twice_one_result_counts(bench: Bench) -> None:
    outcome = await bench.run("import os\ndef f():\n    return 'child' if os.fork() == 0 else 'parent'\n")
    assert outcome.texts == ['"parent"']
    bench.submit(bench.write("#entry f\ndef f():\n    return 1\n"), "f", ["later"])
    await bench.until(lambda: "later" in bench.outcomes())
    assert sum(type(report).__name__ == "Outcome" for report in bench.reports) == 2


async def test_a_handler_of_a_signal_may_raise_wherever_a_print_is(bench: Bench) -> None:
    """It leaves no lock behind for which the next print would wait."""
    outcome = await bench.run(f"{interrupting.CODE}\nf = raises_at_each_call_of_a_print\n", timeout=10)
    assert outcome.status == "completed"
    assert int(outcome.texts[0]) > 10


async def test_a_crash_charges_only_the_run_that_began(bench: Bench) -> None:
    code = bench.write("#entry f\nimport os\ndef f():\n    os._exit(1)\n")
    bench.submit(code, "f", ["a", "b", "c"])
    await bench.until(lambda: len(bench.outcomes()) + len(bench.returned()) == 3)
    assert bench.returned() == {"b", "c"}
    assert bench.outcomes()["a"].status == "crashed"


async def test_the_traceback_has_the_users_frames_only(bench: Bench) -> None:
    outcome = await bench.run("def g():\n    1 / 0\n\ndef f():\n    g()\n")
    assert outcome.error is not None
    traceback = outcome.error.traceback or ""
    assert "line 3, in g" in traceback
    assert "runner.py" not in traceback
    assert outcome.error.types[0] == "ZeroDivisionError"


async def test_more_than_a_pipe_holds_comes_back(bench: Bench) -> None:
    outcome = await bench.run("def f(x):\n    return [x] * 4\n", args={"x": "y" * 15_000})
    assert len(outcome.texts[0]) > 60_000


async def test_memory_over_the_limit_is_told(bench: Bench) -> None:
    body = "import time\ndef f():\n    data = bytearray(200_000_000)\n    time.sleep(30)\n"
    outcome = await bench.run(body, resources={"memory": "100MB"})
    assert outcome.status == "oom"
    assert (outcome.memory or 0) > 100_000_000


async def test_a_process_that_ends_whenever_it_reads_the_same_run_is_not_started_for_ever(tmp_path: Path) -> None:
    async with opened(tmp_path, workers=1, gives_again=True) as bench:
        code = bench.write("#entry f\ndef f():\n    return 1\n")
        entry: Any = 5  # what no process of ours can read
        bench.submit(code, entry, ["n"])
        await bench.until(lambda: "n" in bench.outcomes())
        bench.submit(code, "f", ["after"])
        await bench.until(lambda: "after" in bench.outcomes())
    error = bench.outcomes()["n"].error
    assert error is not None
    assert (error.code, error.permanent) == ("crashed", True)
    assert "before n could begin, 5 times in a row" in error.message
    assert "TypeError" in error.message
    assert bench.outcomes()["after"].status == "completed"


LAST_WORDS = """
import ctypes, logging, os, signal, sys
def f(way):
    print("printed")
    sys.stderr.write("told\\n")
    logging.error("logged")
    print("flushed", end="", flush=True)
    if way == "fault":
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL) if way == "kill" else os._exit(0)
"""


@pytest.mark.parametrize("way", ["exit", "fault", "kill"])
async def test_what_it_said_right_before_its_process_ended_is_there(bench: Bench, way: str) -> None:
    await bench.run(LAST_WORDS, args={"way": way})
    assert [line for line in bench.lines() if line[1] in ("stdout", "logging") or line[2] == "told"] == [
        ("info", "stdout", "printed"),
        ("warning", "stderr", "told"),
        ("error", "logging", "logged"),
        ("info", "stdout", "flushed"),
    ]
