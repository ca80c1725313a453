"""Asynchronous runs wait beside each other in a few processes, and each keeps what is its own."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pool.conftest import Bench, opened
from tests.support.files import words
from tests.support.processes import alive
from twingraph.dispatch.base import Begun, CodeRef, ItemsOut, LogLines
from twingraph.executors.last_words import LastWords, Said

# Whoever runs first keeps the loop meanwhile: what has not begun by then may come back, to go elsewhere.
WAIT = """#entry f
import asyncio, time
from pathlib import Path
time.sleep(0.1)
async def f(name, count):
    with open("here", "a") as file:
        file.write("x")
    while Path("here").stat().st_size < count:
        await asyncio.sleep(0.05)
"""


def beside(bench: Bench, code: CodeRef, entry: str, *nodes: str, **more: Any) -> None:
    """Each in a lane of its own."""
    args = more.pop("args", {})
    for node in nodes:
        bench.submit(code, entry, [node], {**args}, asynchronous=True, **more)


def said(bench: Bench, node: str) -> str:
    logs = [report for report in bench.reports if isinstance(report, LogLines) and report.node == node]
    return "\n".join(message for log in logs for _, _, _, message in log.lines)


async def test_a_thousand_wait_for_each_other_on_two_processes(tmp_path: Path) -> None:
    async with opened(tmp_path, workers=2, gives_again=True) as bench:
        code = bench.write(WAIT)
        beside(bench, code, "f", *[f"n{number}" for number in range(1000)], args={"name": "n", "count": 1000})
        await bench.until(lambda: len(bench.outcomes()) == 1000)
        outcomes = bench.outcomes().values()
        assert {outcome.status for outcome in outcomes} == {"completed"}
        assert len({outcome.worker for outcome in outcomes}) == 2


async def test_the_runs_of_one_lane_go_one_after_another(bench: Bench) -> None:
    code = bench.write("#entry f\nimport asyncio, time\nasync def f():\n    await asyncio.sleep(0.005)\n")
    bench.submit(code, "f", ["a", "b", "c"], asynchronous=True)
    await bench.until(lambda: len(bench.outcomes()) + len(bench.returned()) == 3)
    runs = sorted((outcome.started or 0, outcome.ended) for outcome in bench.outcomes().values())
    assert all(runs[number][1] <= runs[number + 1][0] + 0.001 for number in range(len(runs) - 1))


async def test_what_waits_behind_a_waiting_run_comes_back(bench: Bench) -> None:
    code = bench.write("#entry f\nimport asyncio\nasync def f():\n    await asyncio.sleep(60)\n")
    bench.submit(code, "f", ["a", "b", "c"], asynchronous=True)
    await bench.until(lambda: bench.returned() == {"b", "c"})


WORLD = """#entry f
import asyncio, json, logging, os, subprocess
from twingraph.executors.context import current
async def f(name):
    os.environ["MINE"] = name
    for _ in range(5):
        print("printed", name)
        logging.getLogger("x").info("logged %s", name)
        await asyncio.sleep(0.02)
    c = current()
    child = await asyncio.create_subprocess_exec("env", stdout=subprocess.PIPE)
    lines = (await child.communicate())[0].decode().splitlines()
    in_child = sorted(line for line in lines if line.startswith(("MINE=", "GIVEN=", "TWINGRAPH_NODE_ID=")))
    threaded = await asyncio.to_thread(lambda: os.environ["MINE"])
    await asyncio.to_thread(print, "from a thread", name)
    return [c.node_id, os.environ["MINE"], os.environ.get("GIVEN"), os.environ["TWINGRAPH_NODE_ID"], in_child, threaded]
"""


async def test_each_has_its_own_environment_prints_and_logs(tmp_path: Path) -> None:
    async with opened(tmp_path, workers=1) as bench:
        code = bench.write(WORLD)
        names = [f"n{number}" for number in range(20)]
        for name in names:
            beside(bench, code, "f", name, args={"name": name}, environment={"GIVEN": "to " + name})
        await bench.until(lambda: len(bench.outcomes()) == 20)
        assert len({outcome.worker for outcome in bench.outcomes().values()}) == 1
        for name in names:
            found = json.loads(bench.outcomes()[name].texts[0])
            in_child = [f"GIVEN=to {name}", f"MINE={name}", f"TWINGRAPH_NODE_ID={name}"]
            assert found == [name, name, "to " + name, name, in_child, name]
            lines = [f"printed {name}", f"x: logged {name}"] * 5 + [f"from a thread {name}"]
            assert said(bench, name).splitlines() == lines


async def test_nothing_of_them_is_left_for_what_comes_after(tmp_path: Path) -> None:
    async with opened(tmp_path, workers=1) as bench:
        code = bench.write(
            "#entry f\n#entry g\nimport os\nasync def f():\n    os.environ['LEFT'] = 'x'\n    os.chdir('/')\n"
            "def g():\n    return [os.environ.get('LEFT'), os.getcwd(), os.environ['TWINGRAPH_NODE_ID'],"
            " os.popen('echo $LEFT$TWINGRAPH_NODE_ID').read().strip()]\n"
        )
        for turn in range(3):
            beside(bench, code, "f", f"f{turn}")
            await bench.until(lambda: f"f{turn}" in bench.outcomes())  # noqa: B023
            await bench.worker_of(f"g{turn}", "g", code)
            expected = [None, str(bench.folder), f"g{turn}", f"g{turn}"]
            assert json.loads(bench.outcomes()[f"g{turn}"].texts[0]) == expected
        assert len({outcome.worker for outcome in bench.outcomes().values()}) == 1


MANY = """#entry f
#entry hog
#entry stubborn
#entry crash
#entry kill
import asyncio, os, time
begun = []
async def f(s=0.5):
    begun.append(s)
    await asyncio.sleep(s)
    return "done"
async def hog(s=60, beside=0):
    while len(begun) < beside:
        await asyncio.sleep(0.01)
    end = time.monotonic() + s
    while time.monotonic() < end: pass
async def stubborn():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            print("no")
async def crash(once=False):
    await asyncio.sleep(0.2)
    os._exit(3)
async def kill():
    await asyncio.sleep(0.2)
    os.kill(os.getpid(), 9)
"""


async def test_each_has_its_own_timeout_and_its_task_is_cancelled(tmp_path: Path) -> None:
    async with opened(tmp_path, workers=1) as bench:
        code = bench.write(MANY)
        beside(bench, code, "f", "short", args={"s": 60}, timeout=0.2)
        beside(bench, code, "f", "long", args={"s": 0.6}, timeout=30)
        await bench.until(lambda: len(bench.outcomes()) == 2)
        assert {node: outcome.status for node, outcome in bench.outcomes().items()} == {
            "short": "timeout", "long": "completed",
        }  # fmt: skip
        assert bench.outcomes()["short"].worker == bench.outcomes()["long"].worker
        assert bench.outcomes()["short"].error.code == "timeout"  # type: ignore[union-attr]


async def test_a_cancel_reaches_one_alone(tmp_path: Path) -> None:
    async with opened(tmp_path, workers=1) as bench:
        code = bench.write(MANY)
        beside(bench, code, "f", "a", args={"s": 60})
        beside(bench, code, "f", "b", args={"s": 0.6})
        await bench.until(lambda: sum(isinstance(report, Begun) for report in bench.reports) == 2)
        bench.pool.cancel("e", ["a"])
        await bench.until(lambda: len(bench.outcomes()) == 2)
        assert {node: outcome.status for node, outcome in bench.outcomes().items()} == {
            "a": "cancelled", "b": "completed",
        }  # fmt: skip


async def test_one_that_does_not_end_is_ended_with_its_process_and_its_neighbours_are_not_charged(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, workers=1, end_within_seconds=0.3) as bench:
        code = bench.write(MANY)
        beside(bench, code, "f", "neighbour", args={"s": 60})
        beside(bench, code, "stubborn", "stubborn", timeout=0.2)
        await bench.until(lambda: len(bench.outcomes()) == 2)
        neighbour = bench.outcomes()["neighbour"]
        assert (neighbour.status, neighbour.begun) == ("lost", False)
        assert bench.outcomes()["stubborn"].status == "timeout"


async def test_one_that_blocks_the_loop_is_named_with_its_line_and_stops_nobodys_timeout(tmp_path: Path) -> None:
    async with opened(tmp_path, workers=1, end_within_seconds=0.5) as bench:
        code = bench.write(MANY)
        beside(bench, code, "hog", "hog", args={"beside": 2}, timeout=60)
        beside(bench, code, "f", "other", "third", args={"s": 60}, timeout=60)
        await bench.until(lambda: "blocks the event loop" in said(bench, "hog"))
        bench.time_is_up("other")
        await bench.until(lambda: len(bench.outcomes()) == 3)
        assert "blocks the event loop" in said(bench, "hog")
        assert "while time.monotonic() < end: pass" in said(bench, "hog")
        assert f"of {bench.folder}/user_code.py" in said(bench, "hog")
        found = {node: (outcome.status, outcome.begun) for node, outcome in bench.outcomes().items()}
        assert found == {"other": ("timeout", True), "hog": ("lost", False), "third": ("lost", False)}
        bench.reports.clear()
        beside(bench, code, "f", "third", args={"s": 0})
        beside(bench, code, "hog", "hog", args={"s": 0.1})
        await bench.until(lambda: len(bench.outcomes()) == 2)  # the one goes beside others again, the other alone


async def test_one_that_blocks_the_loop_for_a_while_holds_others_up_and_no_more(tmp_path: Path) -> None:
    async with opened(tmp_path, workers=1) as bench:
        code = bench.write(MANY)
        beside(bench, code, "hog", "hog", args={"s": 0.8, "beside": 1})
        beside(bench, code, "f", "other", args={"s": 0.3})
        await bench.until(lambda: len(bench.outcomes()) == 2)
        assert {outcome.status for outcome in bench.outcomes().values()} == {"completed"}
        assert "blocks the event loop" in said(bench, "hog")
        assert said(bench, "other") == ""


async def test_code_that_keeps_the_interpreter_is_told_of_from_outside(tmp_path: Path) -> None:
    async with opened(tmp_path, workers=1) as bench:
        code = bench.write(
            "#entry f\nimport asyncio\nasync def f():\n    await asyncio.sleep(0.1)\n    sum(range(10**11))\n"
        )
        beside(bench, code, "f", "n", timeout=1.5)
        await bench.until(lambda: "n" in bench.outcomes())
        outcome = bench.outcomes()["n"]
        assert outcome.status == "timeout"
        assert outcome.ended - (outcome.started or 0) < 1.5 + 2 + 2
        assert "keeps the interpreter" in said(bench, "n")


@pytest.mark.parametrize("entry", ["crash", "kill"])
async def test_after_a_crash_with_several_begun_each_runs_alone(tmp_path: Path, entry: str) -> None:
    async with opened(tmp_path, workers=1) as bench:
        code = bench.write(MANY)
        nodes = ["a", "b", "c"]
        beside(bench, code, "f", *nodes, args={"s": 60})
        beside(bench, code, entry, "bad")
        await bench.until(lambda: len(bench.outcomes()) == 4)
        assert {(outcome.status, outcome.begun) for outcome in bench.outcomes().values()} == {("lost", False)}
        bench.reports.clear()
        beside(bench, code, entry, "bad")
        beside(bench, code, "f", *nodes, args={"s": 0.2})
        await bench.until(lambda: len(bench.outcomes()) == 4)
        outcomes = bench.outcomes()
        bad = outcomes.pop("bad")
        assert (bad.status, bad.begun) == ("crashed" if entry == "crash" else "lost", True)
        assert {outcome.status for outcome in outcomes.values()} == {"completed"}
        runs = sorted((outcome.started or 0, outcome.ended) for outcome in outcomes.values())
        assert all(ended <= began + 0.001 for (_, ended), (began, _) in itertools.pairwise(runs))


async def test_a_lone_run_that_crashes_is_charged(bench: Bench) -> None:
    beside(bench, bench.write(MANY), "crash", "bad")
    await bench.until(lambda: "bad" in bench.outcomes())
    assert (bench.outcomes()["bad"].status, bench.outcomes()["bad"].begun) == ("crashed", True)


async def test_generators_give_their_items_beside_each_other(tmp_path: Path) -> None:
    async with opened(tmp_path, workers=1) as bench:
        code = bench.write(
            "#entry f\nimport asyncio\nasync def f(name):\n    for number in range(3):\n"
            "        await asyncio.sleep(0.03)\n        yield [name, number]\n"
        )
        for name in "abc":
            beside(bench, code, "f", name, args={"name": name}, generator=True)
        await bench.until(lambda: len(bench.outcomes()) == 3)
        for name in "abc":
            items = [report for report in bench.reports if isinstance(report, ItemsOut) and report.node == name]
            texts = [text for report in items for text in report.texts]
            assert [json.loads(text) for text in texts] == [[name, number] for number in range(3)]


async def test_a_fork_that_returns_into_the_loop_ends_there(tmp_path: Path) -> None:
    async with opened(tmp_path, workers=1) as bench:
        code = bench.write(
            "#entry f\n#entry g\nimport asyncio, os\n"
            "async def f():\n    child = os.fork() == 0\n    await asyncio.sleep(0.1)\n"
            "    return 'child' if child else 'p'\n"
            "async def g():\n    await asyncio.sleep(0.3)\n"
            "    with open('twice', 'a') as file:\n        file.write('x')\n"
        )
        beside(bench, code, "g", "g")
        beside(bench, code, "f", "f")
        await bench.until(lambda: len(bench.outcomes()) == 2)
        assert bench.outcomes()["f"].texts == ['"p"']
        assert (bench.folder / "twice").read_text() == "x"


async def test_tasks_that_a_run_left_behind_end_with_it(bench: Bench) -> None:
    code = bench.write(
        "#entry f\nimport asyncio\nasync def inner():\n    try:\n        await asyncio.sleep(60)\n"
        "    finally:\n        print('ended')\nasync def f():\n    asyncio.create_task(inner())\n"
        "    await asyncio.sleep(0)\n    return 1\n"
    )
    beside(bench, code, "f", "n")
    await bench.until(lambda: "n" in bench.outcomes())
    assert bench.outcomes()["n"].texts == ["1"]
    assert said(bench, "n") == "ended"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise SystemExit(3)", "sys.exit(3)"),
        ("raise KeyboardInterrupt", ""),
        ("raise asyncio.CancelledError", ""),
        ("return await f()", "recursion"),
        ("await asyncio.gather(inner())", "sys.exit"),
    ],
)
async def test_what_one_raises_ends_no_other(tmp_path: Path, body: str, words: str) -> None:
    async with opened(tmp_path, workers=1) as bench:
        text = f"import asyncio\nasync def inner():\n    raise SystemExit(1)\nasync def f():\n    {body}\n"
        code = bench.write(f"#entry f\n#entry g\n{text}async def g():\n    await asyncio.sleep(0.3)\n")
        beside(bench, code, "g", "g")
        beside(bench, code, "f", "f", timeout=5)
        await bench.until(lambda: len(bench.outcomes()) == 2)
        error = bench.outcomes()["f"].error
        assert error is not None
        assert (error.code, words in error.message) == ("user_error", True)
        assert bench.outcomes()["g"].status == "completed"


async def test_what_a_cancelled_run_has_started_ends_with_it(tmp_path: Path) -> None:
    async with opened(tmp_path, workers=1) as bench:
        code = bench.write(
            "#entry f\n#entry g\nimport asyncio, subprocess\nfrom pathlib import Path\n"
            "async def f():\n    child = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
            "    Path('pid').write_text(str(child.pid))\n    await asyncio.sleep(60)\n"
            "async def g():\n    while not Path('gone').exists():\n        await asyncio.sleep(0.01)\n"
        )
        beside(bench, code, "g", "g")
        beside(bench, code, "f", "f")
        async with asyncio.timeout(20):
            while not (child := words(bench.folder / "pid")):
                await asyncio.sleep(0.01)
        bench.time_is_up("f")
        await bench.until(lambda: "f" in bench.outcomes())
        async with asyncio.timeout(20):
            while alive(int(child[0])):
                await asyncio.sleep(0.01)
        (bench.folder / "gone").touch()
        await bench.until(lambda: len(bench.outcomes()) == 2)
        assert {node: one.status for node, one in bench.outcomes().items()} == {"f": "timeout", "g": "completed"}


LEAVE_TOGETHER = """#entry f
import asyncio, os
async def f(name):
    print("of " + name)
    print(name + " goes", end="", flush=True)
    open(name, "w").close()
    while not (os.path.exists("a") and os.path.exists("b")):
        await asyncio.sleep(0.01)
    os._exit(3)
"""


async def test_what_each_said_right_before_their_process_ended_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reading is enough for all, of whom there may be hundreds."""
    readings = 0
    read = LastWords.said

    def counted(words: LastWords) -> dict[int, Said]:
        nonlocal readings
        readings += 1
        return read(words)

    monkeypatch.setattr(LastWords, "said", counted)
    async with opened(tmp_path, workers=1) as bench:
        code = bench.write(LEAVE_TOGETHER)
        for name in ("a", "b"):
            bench.submit(code, "f", [name], {"name": name}, asynchronous=True)
        await bench.until(lambda: len(bench.outcomes()) == 2)
        assert [said(bench, name) for name in ("a", "b")] == ["of a\na goes", "of b\nb goes"]
        assert readings == 1
