"""The table with real processes: every row live; a dozen killed with SIGKILL and resumed on the recorded code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.pipelines import ways
from tests.pipelines.case import Case, Outcome, comparable
from tests.pipelines.effects import VARIABLE
from tests.support.conducting import fresh_home
from twingraph import wiring
from twingraph.core.codec import decode
from twingraph.core.execution import ExecutionView

PROJECT = Path(__file__).parents[3]
TABLE = PROJECT / "tests" / "pipelines" / "table"
RECORDED = json.loads((TABLE.parent / "recorded.json").read_text("utf-8"))


def surroundings(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "TWINGRAPH_HOME": str(folder / "home"),
        "TWINGRAPH_PROGRESS": "off",
        "PYTHONPATH": os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")]),
        VARIABLE: str(folder / "effects"),
    }


@pytest.mark.timeout(240)
def test_every_row_live_with_real_workers(tmp_path: Path) -> None:
    """In one process, which is how a person would run them one after another."""
    told = tmp_path / "told.json"
    subprocess.run(
        [sys.executable, "-m", "tests.pipelines.real", str(told)], cwd=PROJECT, env=surroundings(tmp_path), check=True
    )
    wrong = [line for text in told.read_text("utf-8").splitlines() if (line := _difference(json.loads(text)))]
    assert wrong == []
    assert len(told.read_text("utf-8").splitlines()) == len(ways.rows())


def _difference(seen: dict[str, object]) -> str | None:
    name = str(seen["name"])
    case = ways.rows()[name]
    outcome, lines = ways.plainly(name)
    if seen["outcome"] != repr(outcome):
        return f"{name} ended with {seen['outcome']}, not {outcome}"
    if seen["nodes"] != RECORDED[name]:
        return f"{name} has the nodes {seen['nodes']}, not {RECORDED[name]}"
    if not case.eager and case.twin is None and seen["effects"] != lines:
        return f"{name} did {seen['effects']}, not {lines}"
    return None


# -- killed, and resumed by another process -------------------------------------------------------------

KILLED = (
    "flow.fan",
    "flow.nested_fan",
    "flow.split",
    "cleanups.all_in_one_try",
    "cleanups.clean_up_after_the_body",
    "functions.generator_component",
    "functions.pipelines_three_deep",
    "values.mutated_inside",
    "waiting.effects_of_the_body",
    "waiting.signals_in_order",
    "asynchronous.gathered_tasks",
    "settings.retries_in_a_try",
)
# The first while it runs in the process that declared it, the others in processes that resume it.
POINTS = (("after dispatch", 1), ("after commit", 2), ("before commit", 3))


@pytest.mark.only_where(sys.platform != "win32", "kills with SIGKILL")
@pytest.mark.parametrize("name", KILLED)
def test_killed_and_resumed_it_comes_to_the_same(name: str, tmp_path: Path) -> None:
    case = ways.rows()[name]
    outcome, _ = ways.plainly(name)
    module, _, function = name.partition(".")
    given = [word for key, value in case.inputs.items() for word in ("-i", f"{key}={json.dumps(value)}")]
    words = ["run", f"{TABLE / module}.py:{function}", *given]
    (tmp_path / "effects").touch()
    kills = 0
    for point, count in POINTS:
        if case.signals and not kills:
            point, count = "after commit", 1  # it dispatches nothing, and waits then
        kills += _victim(tmp_path, point, count, words)
        for sent, value in (*case.signals, *case.answers) if kills == 1 else ():
            _twingraph(tmp_path, "signal", "last", sent, json.dumps(value))
        words = ["resume", "last"]
        if _newest(tmp_path).record.completed_at is not None:
            break
    else:
        _twingraph(tmp_path, "resume", "last")
    view = _newest(tmp_path)
    assert kills
    assert _outcome(view) == _as_recorded(outcome)
    assert sorted(node.id for node in view.nodes) == RECORDED[name]
    _check_effects((tmp_path / "effects").read_text("utf-8").splitlines(), case, kills)


def _victim(folder: Path, point: str, count: int, words: list[str]) -> int:
    """Whether it was killed, as a number; it may have come to its end before."""
    command = [sys.executable, "-m", "tests.support.crash.victim", point, str(count), *words]
    done = subprocess.run(
        command, cwd=PROJECT, env=surroundings(folder), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode in (0, 1, -signal.SIGKILL), (done.stdout, done.stderr)
    return int(done.returncode == -signal.SIGKILL)


def _twingraph(folder: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twingraph", *words],
        cwd=folder, env=surroundings(folder), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode in (0, 1), (words, done.stdout, done.stderr)


def _newest(folder: Path) -> ExecutionView:
    home = fresh_home(folder / "home")
    reader = wiring.read(home)
    try:
        return reader.view(reader.resolve("last"))
    finally:
        reader.close()
        home.close()


def _outcome(view: ExecutionView) -> Outcome:
    error = view.record.error
    if error is not None:
        return Outcome(error=(error.error_type, comparable(decode(error.exception or "{}").get("args"))))
    return Outcome(result=comparable(decode(view.result or "null")))


def _as_recorded(outcome: Outcome) -> Outcome:
    """The record lists the arguments of an exception."""
    if outcome.error is None:
        return outcome
    return Outcome(error=(outcome.error[0], ("list", list(outcome.error[1]))))


def _check_effects(found: list[str], case: Case, kills: int) -> None:
    """Everything was done that one life would have done, each node's at most once more per kill, and nothing else."""
    done, wanted = Counter(found), Counter(ways.live(case).lines)
    assert done.keys() <= wanted.keys() if case.eager else done.keys() == wanted.keys()
    for line, count in wanted.items():
        assert done[line] <= count * (1 + kills), line
        assert case.eager or done[line] >= count, line
