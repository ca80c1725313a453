"""Hostile values and behaviours of user code: each a clear error or none, nothing lost, and the pool goes on."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pool.conftest import Bench, opened
from twingraph.dispatch.base import LogLines, Outcome

AFTER = "#entry after\nimport json, os, sys, threading\ndef after(x=7):\n    return {'x': x, 'cwd': os.getcwd()}\n"


async def hostile(bench: Bench, body: str, head: str = "", **settings: Any) -> Outcome:
    """One run of it, and then an ordinary run, which must not notice."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    code = bench.write(f"{AFTER}#entry f\n{head}\ndef f():\n{lines}")
    bench.submit(code, "f", ["n"], **settings)
    await bench.until(lambda: "n" in bench.outcomes())
    bench.submit(code, "after", ["after"])
    await bench.until(lambda: "after" in bench.outcomes() or "after" in bench.returned())
    if "after" in bench.returned():  # the process has just ended
        bench.submit(code, "after", ["after"])
        await bench.until(lambda: "after" in bench.outcomes())
    assert bench.outcomes()["after"].status == "completed"
    assert [json.loads(text) for text in bench.outcomes()["after"].texts] == [7, str(bench.folder)]
    return bench.outcomes()["n"]


FAILS = {
    "a generator object": ("return {'deep': [(i for i in 'ab')]}", "invalid_output", "deep"),
    "an open file": ("return open(__file__)", "invalid_output", ""),
    "a lock": ("return {'lock': threading.Lock()}", "invalid_output", "lock"),
    "a value that will not be pickled": ("return Mean()", "invalid_output", "I refuse"),
    "a value that kills by its pickling": ("return Deep()", "invalid_output", ""),
    "a list in itself": ("a = []\na.append(a)\nreturn a", "invalid_output", ""),
    "a very deep list": ("a = []\nfor _ in range(100_000):\n    a = [a]\nreturn a", "invalid_output", ""),
    "a recursion bomb": ("return f()", "user_error", "recursion"),
    "a recursion bomb in repr": ("raise ValueError(Deep())", "user_error", "could not be made"),
    "an exception that cannot be shown": ("raise Shy()", "user_error", ""),
    "a failing __del__": ("x = Shy2()\nraise LookupError('plain')", "user_error", "plain"),
    "no standard streams": ("sys.stdout = sys.stderr = None\nraise LookupError('plain')", "user_error", "plain"),
    "a string with half a character": ("raise ValueError('\\udc80 half')", "user_error", "half"),
    "exit in a thread": ("threading.Thread(target=sys.exit).start()\nsys.exit(4)", "user_error", "sys.exit(4)"),
    "a trace function that raises": ("sys.settrace(lambda *a: 1 / 0)\nreturn 1", "user_error", "division by zero"),
    "no memory": ("return bytearray(1 << 60)", "user_error", ""),
}  # fmt: skip
HEAD = """
class Mean:
    def __reduce__(self): raise ValueError("I refuse")
class Deep:
    def __reduce__(self): return self.__reduce__()
    def __repr__(self): return repr(self)
    __str__ = __repr__
class Shy(Exception):
    def __str__(self): raise self
    __repr__ = __str__
    def __getattr__(self, name): raise self
class Shy2:
    def __del__(self): raise ValueError("too late")
"""


@pytest.mark.parametrize(("body", "code", "words"), FAILS.values(), ids=list(FAILS))
async def test_it_fails_in_clear_words(bench: Bench, body: str, code: str, words: str) -> None:
    outcome = await hostile(bench, body, HEAD)
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code) == ("failed", code)
    assert words in outcome.error.message


HARMLESS = {
    "the recursion limit set low": "sys.setrecursionlimit(60)\nreturn 1",
    "the recursion limit set high": "sys.setrecursionlimit(10**8)\nreturn 1",
    "a thread left behind": "threading.Thread(target=threading.Event().wait).start()\nreturn 1",
    "a thread left behind that prints": (
        "def talk():\n    while True: print('x')\nthreading.Thread(target=talk, daemon=True).start()\nreturn 1"
    ),
    "a hundred threads": "for _ in range(100): threading.Thread(target=threading.Event().wait).start()\nreturn 1",
    "another folder": "os.chdir('/')\nreturn 1",
    "a folder that is gone": "os.mkdir('gone')\nos.chdir('gone')\nos.rmdir('../gone')\nreturn 1",
    "no sys.modules": "for name in ('json', 'time', 're', 'user_code'): sys.modules.pop(name, None)\nreturn 1",
    "no modules of ours": (
        "for name in list(sys.modules):\n    if name.startswith('twingraph'): del sys.modules[name]\nreturn 1"
    ),
    "another clock": "import time\ntime.time = time.monotonic = lambda: -1e11\nprint('x')\nreturn 1",
    "a clock without numbers": "import time\ntime.time = time.monotonic = lambda: 'x'\nprint('x')\nreturn 1",
    "time in pieces": (
        "import time\ntime.time = time.monotonic = time.sleep = time.process_time = None\nprint('x')\nreturn 1"
    ),
    "json in pieces": "json.dumps = json.loads = None\nreturn 1",
    "os in pieces": (
        "os.getpid = os.write = os.close = os.lseek = os.pread = os.putenv = os.unsetenv = os._exit = None\nreturn 1"
    ),
    "no environment": "os.environ.clear()\nreturn 1",
    "another environment": "os.environ = {}\nreturn 1",
    "standard descriptors closed": "for n in (0, 1, 2): os.close(n)\nreturn 1",
    "standard streams closed": "sys.stdout.close()\nsys.stderr.close()\nreturn 1",
    "a handler for every signal": (
        "import signal\nfor n in (1, 2, 10, 12, 13, 14, 15, 17): signal.signal(n, lambda *a: None)\nreturn 1"
    ),
    "an alarm that comes later": "import signal\nsignal.alarm(1)\nreturn 1",
    "a profile function": "sys.setprofile(lambda *a: None)\nreturn 1",
    "no garbage collection": "import gc\ngc.disable()\ngc.freeze()\nreturn 1",
    "an exit hook": "import atexit\natexit.register(lambda: 1 / 0)\nreturn 1",
    "an exception hook": "sys.excepthook = sys.unraisablehook = None\nreturn 1",
    "a child that goes on": "if os.fork() == 0:\n    while True: pass\nreturn 1",
    "a child that ends": "if os.fork() == 0: os._exit(9)\nreturn 1",
    "a child that raises": "if os.fork() == 0: raise ValueError\nreturn 1",
    "logging shut down": "import logging\nlogging.shutdown()\nlogging.disable()\nreturn 1",
    "a low limit of files": "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\nreturn 1",
}


@pytest.mark.parametrize("body", HARMLESS.values(), ids=list(HARMLESS))
async def test_it_harms_nobody(bench: Bench, body: str) -> None:
    outcome = await hostile(bench, body)
    assert (outcome.status, list(outcome.texts)) == ("completed", ["1"]), outcome.error


@pytest.mark.parametrize("value", ["0", "-1e11", "1e300", "'x'", "float('nan')", "None"])
@pytest.mark.parametrize("is_beside", [False, True])
async def test_the_clock_is_the_real_one(bench: Bench, value: str, is_beside: bool) -> None:
    word = "async " if is_beside else ""
    before = time.time()
    outcome = await bench.run(
        f"import time, twingraph\n{word}def f():\n    time.time = time.monotonic = time.sleep = lambda *_: {value}\n"
        "    print('said'); twingraph.current().progress(1, 2)\n    return 1\n",
        asynchronous=is_beside,
    )
    assert (outcome.status, outcome.error) == ("completed", None)
    lines = [line for report in bench.reports if isinstance(report, LogLines) for line in report.lines]
    assert [line[3] for line in lines] == ["said", "1 of 2"]
    times = [outcome.started or 0.0, outcome.ended, *(line[0] for line in lines)]
    assert all(before <= at <= time.time() for at in times)


async def test_a_child_of_a_child_keeps_its_files_and_says_nothing_of_ours(bench: Bench) -> None:
    body = """import os
def f():
    if os.fork() == 0:
        files = [os.open(os.devnull, os.O_RDONLY) for _ in range(9)]
        if os.fork() == 0:
            try:
                for file in files: os.read(file, 1)
                os._exit(0)
            finally:
                os._exit(1)
        os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
    return os.waitstatus_to_exitcode(os.wait()[1])
"""
    outcome = await bench.run(body)
    assert (list(outcome.texts), bench.lines()) == (["0"], [])


@pytest.mark.parametrize(
    "body",
    [
        "sys.path.clear()\nreturn 1",
        "import builtins\nbuiltins.print = builtins.len = builtins.open = None\nreturn 1",
        "import posix\nposix.write = None\nreturn 1",
    ],
)
async def test_it_harms_itself_at_most(bench: Bench, body: str) -> None:
    assert (await hostile(bench, body)).status in ("completed", "failed", "crashed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize("is_idle", [False, True])
async def test_a_signal_to_a_worker_ends_one_run_at_most(bench: Bench, number: int, is_idle: bool) -> None:
    code = bench.write(f"{AFTER}#entry f\nimport time\ndef f():\n    open('here', 'w').close()\n    time.sleep(60)\n")
    if is_idle:
        await bench.worker_of("first", "after", code)
    else:
        bench.submit(code, "f", ["n"])
        async with asyncio.timeout(20):
            while not (bench.folder / "here").exists():
                await asyncio.sleep(0.01)
    os.kill(int(bench.pool.workers()[0].removeprefix("pid-")), number)
    if not is_idle:
        await bench.until(lambda: "n" in bench.outcomes())
        outcome = bench.outcomes()["n"]
        assert outcome.error is not None
        assert outcome.status == ("failed" if number == signal.SIGINT else "lost")
    for turn in range(3):
        bench.submit(code, "after", [f"after{turn}"])
    await bench.until(lambda: {f"after{turn}" for turn in range(3)} <= {*bench.outcomes(), *bench.returned()})
    ended = {node: one.status for node, one in bench.outcomes().items() if node.startswith("after")}
    assert list(ended.values()).count("lost") <= 1
    assert set(ended.values()) <= {"completed", "lost"}


@pytest.mark.parametrize("is_beside", [False, True])
async def test_a_worker_that_sleeps_a_while_goes_on(bench: Bench, is_beside: bool) -> None:
    """As under a laptop's lid: stopped, and continued."""
    text = "#entry f\nimport asyncio\nasync def f():\n    for _ in range(40): await asyncio.sleep(0.01)\n    return 1\n"
    bench.submit(bench.write(text), "f", ["n"], asynchronous=is_beside, timeout=30)
    await bench.until(lambda: any(type(report).__name__ == "Begun" for report in bench.reports))
    pid = int(bench.pool.workers()[0].removeprefix("pid-"))
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(0.7)
    os.kill(pid, signal.SIGCONT)
    await bench.until(lambda: "n" in bench.outcomes())
    assert bench.outcomes()["n"].status == "completed"


async def test_a_worker_that_stays_stopped_is_ended_at_the_runs_limit(bench: Bench) -> None:
    bench.submit(bench.write("#entry f\nimport time\ndef f():\n    time.sleep(60)\n"), "f", ["n"], timeout=0.5)
    await bench.until(lambda: any(type(report).__name__ == "Begun" for report in bench.reports))
    os.kill(int(bench.pool.workers()[0].removeprefix("pid-")), signal.SIGSTOP)
    await bench.until(lambda: "n" in bench.outcomes())
    assert bench.outcomes()["n"].status == "timeout"


async def test_a_log_line_of_fifty_megabytes_is_cut_with_a_note(bench: Bench) -> None:
    outcome = await hostile(bench, "print('x' * 50_000_000)\nreturn 1")
    assert outcome.status == "completed"
    messages = [message for _, _, message in bench.lines()]
    assert sum("ends here" in message for message in messages) == 1
    assert sum(map(len, messages)) < 9_000_000
    assert max(map(len, messages)) < 66_000


async def test_fifty_megabytes_from_below_are_cut_too(bench: Bench) -> None:
    outcome = await hostile(bench, "os.write(1, b'x' * 50_000_000)\nreturn 1")
    assert outcome.status == "completed"
    assert sum(len(message) for _, _, message in bench.lines()) < 9_000_000


async def test_a_value_of_three_hundred_megabytes_is_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as bench:
        outcome = await hostile(bench, "return b'x' * 300_000_000")
        assert outcome.status == "completed"
        assert outcome.outputs[0][2] >= 300_000_000
        assert len(outcome.texts[0]) < 1000


@pytest.mark.soak
async def test_a_value_of_one_gibibyte_is_kept_and_passed_on(tmp_path: Path) -> None:
    """It goes from worker to worker through the store: the pool itself never holds it, and nobody holds it twice."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    text = "#entry make\n#entry size\ndef make():\n    return b'x' * (1 << 30)\ndef size(data):\n    return len(data)\n"
    async with opened(tmp_path, workers=2) as bench:
        code = bench.write(text)
        bench.submit(code, "make", ["make"])
        await bench.until(lambda: "make" in bench.outcomes(), seconds=300)
        outcome = bench.outcomes()["make"]
        assert outcome.status == "completed"
        assert outcome.outputs[0][2] >= 1 << 30
        assert len(outcome.texts[0]) < 1000
        bench.submit(code, "size", ["size"], {"data": json.loads(outcome.texts[0])})
        await bench.until(lambda: "size" in bench.outcomes(), seconds=300)
        taken = bench.outcomes()["size"]
        assert list(taken.texts) == [str(1 << 30)], taken.error
        assert (outcome.memory or 0) < 2 << 30
        assert (taken.memory or 0) < 2 << 30
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000  # KiB


async def test_two_thousand_outputs_arrive_with_their_names(bench: Bench) -> None:
    outcome = await hostile(bench, "return {f'output {n}': n for n in range(2000)}")
    assert [name for name, _, _ in outcome.outputs] == [f"output {n}" for n in range(2000)]
    assert list(map(int, outcome.texts)) == list(range(2000))


NAMES = {
    "newline": "a\nb\r\nc", "quotes": "'\"`$(x)\\", "emoji": "🧪👩‍👩‍👧", "null": "a\0b", "long": "n" * 50_000,
    "right to left": "\u202eabc", "line separators": "a\u2028b\u2029\x85c\x0b\x0c", "json": '["o",1]', "empty": "",
    "half": "a\udc80",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
@pytest.mark.parametrize("is_beside", [False, True])
async def test_hostile_names_and_texts_pass(bench: Bench, name: str, is_beside: bool) -> None:
    word = "async " if is_beside else ""
    text = (
        "#entry f\nimport os\nfrom twingraph.executors.context import current\n"
        f"{word}def f(x):\n    print(x)\n    return {{x: current().node_id, 'x': x}}\n"
    )
    node = name.encode("utf-8", "replace").decode()
    value = node
    bench.submit(bench.write(text), "f", [node], {"x": value}, asynchronous=is_beside)
    await bench.until(lambda: node in bench.outcomes())
    outcome = bench.outcomes()[node]
    if "\0" in node:  # no environment can hold it
        assert outcome.status in ("completed", "failed")
        return
    assert outcome.status == "completed", outcome.error
    found = dict(zip([name for name, _, _ in outcome.outputs], map(json.loads, outcome.texts), strict=True))
    assert found == {value: node, "x": value}


async def test_closing_everything_is_a_crash_that_is_named(bench: Bench) -> None:
    outcome = await hostile(bench, "os.closerange(3, 4096)\nreturn 1")
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code) == ("crashed", "crashed")
    assert "closed file descriptors" in outcome.error.message


async def test_writing_to_every_descriptor_harms_nobody(bench: Bench) -> None:
    body = "for n in range(3, 4096):\n    try: os.write(n, b'junk\\n' * 50)\n    except OSError: pass\nreturn 1"
    outcome = await hostile(bench, body)
    assert outcome.error is not None
    assert outcome.status == "crashed"
    assert "wrote to file descriptors" in outcome.error.message
    assert outcome.started is not None
    assert 1e9 < outcome.started <= outcome.ended  # though it stood where user code wrote


@pytest.mark.parametrize(
    "fill", ["while True: more.append(bytearray(10_000_000))", "more.append(bytearray(400_000_000))"]
)
async def test_who_takes_more_memory_than_it_may_ends_as_oom(bench: Bench, fill: str) -> None:
    body = f"import time\nmore = []\n{fill.replace('while True: ', 'while len(more) < 40: ')}\ntime.sleep(60)"
    outcome = await hostile(bench, body, resources={"memory": "150M"})
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code) == ("oom", "oom")


async def test_memory_of_children_counts(bench: Bench) -> None:
    program = "import time; x = bytearray(300_000_000); time.sleep(60)"
    body = f"import subprocess\nsubprocess.run([sys.executable, '-c', {program!r}])"
    outcome = await hostile(bench, body, resources={"memory": "200M"})
    assert outcome.status == "oom"


async def test_more_devices_than_there_are_is_refused_and_cores_are_shared(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    count: Callable[[str], int] = lambda word: sum(  # noqa: E731
        1 for one in bench.outcomes().values() if one.error is not None and word in one.error.message
    )
    code = bench.write("#entry f\nimport time\ndef f():\n    time.sleep(0.1)\n")
    for number in range(3):
        bench.submit(code, "f", [f"n{number}"], resources={"gpu": 1})
    bench.submit(code, "f", ["too many"], resources={"gpu": 2})
    await bench.until(lambda: len(bench.outcomes()) == 4)
    assert count("needs 2 gpu") == 1
    runs = sorted((one.started or 0, one.ended) for one in bench.outcomes().values() if one.status == "completed")
    assert len(runs) == 3
    assert all(runs[number][1] <= runs[number + 1][0] for number in range(2))
