"""`twingraph replay` as people type it: on other code, with other values, one node alone, killed half-way, debugged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from twingraph import wiring
from twingraph.core.execution import ExecutionView

ROOT = Path(__file__).parents[3]
FLOW = """
import os, time
from twingraph import Workflow, component, pipeline

@component
def numbers(n: int) -> list[int]:
    return list(range(n))

@component
def square(x: int) -> int:
    if x == 2 and not os.path.exists("mended"):
        raise ValueError("two is bad")
    return x * x

@component
def total(values: list) -> int:
    return sum(v for v in values if isinstance(v, int))

@component
def slowly(x: int) -> int:
    open("begun", "a").write("x")
    while not os.path.exists("go"):
        time.sleep(0.02)
    return x

wf = Workflow("wf").add_component("numbers", numbers)
wf.add_map("squares", square, over="x", on_item_error="keep").add_component("total", total)
wf.connect("numbers", "squares", input="over").connect("squares", "total", input="values")

slow = Workflow("slow").add_component("numbers", numbers, n=3).add_component("total", total)
slow.add_component("end", slowly).connect("numbers", "total").connect("total", "end")

@pipeline
def flow(n: int = 3, extra: int = 1) -> int:
    made = numbers(n)
    try:
        low = square(2)
    except ValueError:
        low = 0
    first = total(made)
    if first > 2:
        return total([first, low, extra])
    return first
"""
Go = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def go(home: Path, tmp_path: Path) -> Go:
    (tmp_path / "flow.py").write_text(FLOW)

    def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "twingraph", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            input=stdin,
            timeout=50,
            check=False,
        )

    return run


def run_once(go: Go, target: str, *words: str) -> str:
    done = go("run", f"flow.py:{target}", *words, "--json")
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["execution_id"])


def again(go: Go, *words: str) -> ExecutionView:
    done = go("replay", *words, "--json")
    assert done.stdout, done.stderr
    return view_of(json.loads(done.stdout)["execution_id"])


def view_of(execution: str) -> ExecutionView:
    reader = wiring.open_reader()
    try:
        return reader.view(execution)
    finally:
        reader.close()


def ran(view: ExecutionView) -> list[str]:
    """The nodes whose code ran."""
    return [node.id for node in view.nodes if node.attempts and node.kind != "map"]


def test_all_of_it_and_from_a_node_on(go: Go) -> None:
    first = run_once(go, "wf", "-i", "n=3")
    whole = again(go, first)
    assert (whole.result, whole.record.replay_of) == ("1", first)
    assert sorted(ran(whole)) == ["numbers", "squares[0]", "squares[1]", "squares[2]", "total"]
    part = again(go, first, "--from", "total")
    assert (part.result, ran(part)) == ("1", ["total"])
    assert {node.reused_from for node in part.nodes if node.id not in ("total", "squares")} == {first}
    shown = go("show", "last").stdout
    assert f"replay of   {first}" in shown
    assert "from total on" in shown


def test_a_failed_item_alone_once_it_is_mended(go: Go, tmp_path: Path) -> None:
    first = run_once(go, "wf", "-i", "n=4")
    (tmp_path / "mended").touch()
    kept = again(go, first, "--from", "total")
    assert kept.result == "10"  # a failure that the rest was made from is kept like any other outcome
    mended = again(go, first, "--failed")
    assert (mended.result, sorted(ran(mended))) == ("14", ["squares[2]", "total"])
    (tmp_path / "mended").unlink()
    given = again(go, first, "--output", "squares[2]=100")
    assert (given.result, ran(given)) == ("110", ["total"])


def test_recorded_code_and_current_code(go: Go, tmp_path: Path) -> None:
    first = run_once(go, "wf", "-i", "n=2")
    (tmp_path / "flow.py").write_text(FLOW.replace("return sum(", "return 100 + sum("))
    assert again(go, first, "--from", "total").result == "1"
    now = again(go, first, "--from", "total", "--code", "current")
    assert (now.result, ran(now)) == ("101", ["total"])
    assert again(go, first, "--node", "total", "--code", "current").result == "101"


def test_other_inputs_of_a_drawn_workflow(go: Go) -> None:
    first = run_once(go, "wf", "-i", "n=2")
    other = again(go, first, "-i", "n=1")
    assert (other.result, len(ran(other))) == ("0", 3)
    wrong = go("replay", first, "-i", "m=1")
    assert (wrong.returncode, wrong.stderr) == (2, "error: m: is not an input of 'wf'; known are n\n")


def test_a_pipeline_is_answered_as_far_as_it_asks_the_same(go: Go) -> None:
    first = run_once(go, "flow")
    other = again(go, first, "-i", "extra=10")
    assert (other.result, ran(other)) == ("13", ["total-2"])
    part = again(go, first, "--from", "total")
    assert (part.result, ran(part)) == ("4", ["total", "total-2"])  # what is called after a look at it, too
    given = again(go, first, "--output", "total=2")
    assert (given.result, ran(given)) == ("2", [])
    assert next(node for node in given.nodes if node.id == "square").status == "failed"  # as it was, and caught again
    wrong = go("replay", first, "-i", "extras=10")
    assert wrong.returncode == 2
    assert "did you mean 'extra'?" in wrong.stderr


@pytest.mark.parametrize("code", ["recorded", "current"])
def test_a_value_that_a_run_of_a_pipeline_refuses_is_refused_in_a_replay_too(go: Go, code: str) -> None:
    refused = go("run", "flow.py:flow", "-i", "extra=abc")
    assert refused.stderr.startswith("error: flow.extra: must be an int, not 'abc'\n")
    first = run_once(go, "flow")
    wrong = go("replay", first, "-i", "extra=abc", "--code", code)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: flow.extra: must be an int, not 'abc'\n")


def test_one_node_alone(go: Go) -> None:
    first = run_once(go, "wf", "-i", "n=4")
    alone = again(go, first, "--node", "squares[3]")
    assert (alone.result, ran(alone), alone.record.replay_of) == ("9", ["squares[3]"], first)
    assert again(go, first, "--node", "squares[3]", "-i", "x=5").result == "25"
    wrong = go("replay", first, "--node", "squares[3]", "-i", "y=5")
    assert (wrong.returncode, "is not an input of it" in wrong.stderr) == (2, True)
    assert "squares alone" in go("show", str(again(go, first, "--node", "squares").record.id)).stdout


def test_one_node_alone_stays_alone_on_the_code_of_now(go: Go, tmp_path: Path) -> None:
    first = run_once(go, "wf", "-i", "n=4")
    failed = again(go, first, "--node", "squares[2]")
    assert failed.record.status == "failed"
    (tmp_path / "flow.py").write_text(
        FLOW.replace("    if x == 2 and", "    if x == 9 and").replace("x * x", "x * 100")
    )
    for words in (
        ("resume", "last", "--code", "current"),
        ("replay", failed.record.id, "--failed", "--code", "current"),
    ):
        done = go(*words, "--json")
        assert done.returncode == 0, done.stderr
        mended = view_of(json.loads(done.stdout)["execution_id"])
        assert (mended.result, ran(mended), mended.record.replay_of) == ("200", ["squares[2]"], failed.record.id)
    other = again(go, mended.record.id, "-i", "x=3", "--code", "current")
    assert (other.result, ran(other)) == ("300", ["squares[2]"])
    recorded = again(go, other.record.id)  # the same node alone also after a replay on recorded code
    assert (recorded.result, ran(again(go, recorded.record.id, "--code", "current"))) == ("300", ["squares[2]"])


def test_a_map_alone_keeps_its_finished_items_when_it_is_resumed(go: Go, tmp_path: Path) -> None:
    first = run_once(go, "wf", "-i", "n=3")
    (tmp_path / "flow.py").write_text(FLOW.replace(', on_item_error="keep"', ""))
    strict = go("run", "flow.py:wf", "-i", "n=3", "--json")
    assert strict.returncode == 1
    failed = again(go, "last", "--node", "squares")
    assert (failed.record.status, failed.record.id != first) == ("failed", True)
    for code in ("recorded", "current"):
        (tmp_path / "mended").touch()
        done = go("resume", failed.record.id, "--code", code, "--json")
        assert done.returncode == 0, done.stderr
        mended = view_of(json.loads(done.stdout)["execution_id"])
        assert (mended.result, ran(mended)) == ("[0,1,4]", ["squares[2]"])
    wrong = go("replay", failed.record.id, "--from", "squares[2]", "--code", "current")
    assert (wrong.returncode, f"twingraph replay {failed.record.id} --node squares" in wrong.stderr) == (1, True)


def test_an_outcome_that_nothing_asked_for_is_said(go: Go) -> None:
    first = run_once(go, "flow")
    done = go("replay", first, "-i", "n=1", "--output", "total-2=7")
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
    said = "the outcome that was given for total-2 was not used: nothing called it"
    assert f"note: {said}" in done.stderr
    shown = go("show", "last").stdout
    assert said in shown
    assert "with another input n" in shown


def test_parameters_that_have_changed_since_are_named(go: Go, tmp_path: Path) -> None:
    first, second = run_once(go, "wf", "-i", "n=2"), run_once(go, "flow")
    (tmp_path / "flow.py").write_text(
        FLOW.replace("def square(x: int)", "def square(y: int, z: int, w: int = 0)")
        .replace("x * x", "y * z")
        .replace("x == 2", "y == 9")
        .replace('over="x"', 'over="y"')
        .replace('on_item_error="keep")', 'on_item_error="keep", z=2)')
        .replace("def flow(n: int = 3", "def flow(many: int")
        .replace("numbers(n)\n    try", "numbers(many)\n    try")
    )
    wrong = go("replay", first, "--node", "squares[1]", "--code", "current")
    assert wrong.returncode == 2
    assert "squares[1].y: is missing: square takes it now, and was called with x when it was recorded" in wrong.stderr
    assert "squares[1].z: is missing" in wrong.stderr
    assert again(go, first, "--node", "squares[1]", "--code", "current", "-i", "y=3", "-i", "z=4").result == "12"
    gone = go("replay", first, "--node", "squares[1]", "--code", "current", "-i", "x=3", "-i", "y=3", "-i", "z=4")
    assert (gone.returncode, "squares[1].x: is not an input of it" in gone.stderr) == (2, True)
    whole = go("replay", first, "--node", "squares", "--code", "current")
    assert (whole.returncode, "replay it with --from squares instead of alone" in whole.stderr) == (2, True)
    body = go("replay", second, "--code", "current")
    assert body.returncode == 2
    assert "flow.many: is missing: it is taken now, and what was recorded has" in body.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "totl"], "has no node 'totl' (near: total)"),
        (["--node", "square"], "has no node 'square' (near: squares[0], squares[1])"),
        (["--node", "total", "--from", "numbers"], "leave out what else is asked for"),
        (["--output", "squares=3"], "a map gives what its items give"),
        (["--output", "total"], "give NODE=VALUE"),
        (["--debug", "--json"], "leave one of them out"),
        (["--debug"], "say which with --node"),
    ],
)
def test_wrong_use_says_what_to_do(go: Go, words: list[str], said: str) -> None:
    first = run_once(go, "wf", "-i", "n=2")
    done = go("replay", first, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_what_has_not_ended_is_resumed_instead(go: Go, tmp_path: Path) -> None:
    done = go("run", "flow.py:slow", "--no-wait")
    wait_for(lambda: (tmp_path / "begun").exists())
    wrong = go("replay", "last", "--from", "end")
    (tmp_path / "go").touch()
    assert (done.returncode, wrong.returncode) == (0, 1)
    assert "has not ended (running)" in wrong.stderr


def test_a_replay_that_is_killed_keeps_the_same_when_it_is_resumed(go: Go, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    first = run_once(go, "slow")
    (tmp_path / "go").unlink()
    (tmp_path / "begun").unlink()
    command = [sys.executable, "-m", "twingraph", "replay", first, "--output", "total=7"]
    environ: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: (tmp_path / "begun").exists())
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    (tmp_path / "go").touch()
    done = go("resume", "last", "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    view = view_of(document["execution_id"])
    assert (view.result, view.record.replay_of, ran(view)) == ("7", first, ["end"])
    assert {node.id: node.reason for node in view.nodes if node.reason} == {"total": "given"}


def test_a_debugger_opens_where_it_fails_and_at_a_breakpoint(go: Go, tmp_path: Path) -> None:
    first = run_once(go, "wf", "-i", "n=3")
    done = go("replay", first, "--node", "squares[2]", "--debug", stdin="p x + 40\nq\n")
    assert "42" in done.stdout, done.stderr
    assert (done.returncode, "ValueError: two is bad" in done.stderr) == (1, True)
    assert done.stderr.startswith(f"replay squares[2] of {first} in this process\n")
    assert done.stdout.endswith("\n")  # what follows the last prompt begins a line of its own
    (tmp_path / "flow.py").write_text(FLOW.replace("    return x * x", "    breakpoint()\n    return x * x"))
    words = ("replay", first, "--node", "squares[1]", "--code", "current", "--debug")
    done = go(*words, stdin="p x + 40\nc\n")
    assert (done.returncode, "41" in done.stdout) == (0, True), done.stderr


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)
