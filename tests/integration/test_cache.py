"""Real processes on one home: equal work is done once, and goes on when its owner is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from twingraph import wiring
from twingraph.core.execution import NodeView
from twingraph.settings import Settings

FLOW = """
import os, time
from pathlib import Path
from twingraph import component, pipeline

@component(cache=True)
def slow(x: int, folder: str) -> int:
    with open(Path(folder) / "ran", "a") as ran:
        ran.write(f"{os.getpid()}\\n")
    while not (Path(folder) / "go").exists():
        time.sleep(0.01)
    return x * 2

@pipeline
def flow(folder: str) -> list:
    first = slow(21, folder)
    again = slow(first, folder) if first > 40 else None
    return [first, again, slow(21, folder)]

if __name__ == "__main__":
    print(flow(os.environ["FOLDER"]))
"""


class Run:
    """One process that runs the script."""

    def __init__(self, folder: Path) -> None:
        environment = {
            **os.environ,
            "FOLDER": str(folder),
            "TWINGRAPH_HOME": str(folder / "home"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        self.process = subprocess.Popen(
            [sys.executable, "flow.py"], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
        )

    def printed(self) -> str:
        return self.process.communicate(timeout=60)[0].strip()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "flow.py").write_text(FLOW, "utf-8")
    yield tmp_path
    (tmp_path / "go").touch()


def ran(folder: Path) -> int:
    path = folder / "ran"
    return len(path.read_text().splitlines()) if path.exists() else 0


def nodes(folder: Path) -> list[NodeView]:
    """Of the newest execution."""
    reader = wiring.open_reader(settings=Settings(home=folder / "home"))
    try:
        return list(reader.view(reader.resolve("last")).nodes)
    finally:
        reader.close()


def wait_until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def two(folder: Path) -> tuple[Run, Run]:
    """Two processes: the first does the work, the second waits for it."""
    first = Run(folder)
    wait_until(lambda: ran(folder) == 1)
    second = Run(folder)
    wait_until(lambda: any(node.reason == "waits for equal work" for node in nodes(folder)))
    return first, second


def test_two_processes_do_equal_work_once(folder: Path) -> None:
    first, second = two(folder)
    (folder / "go").touch()
    assert first.printed() == second.printed() == "[42, 84, 42]"
    assert ran(folder) == 2
    assert Run(folder).printed() == "[42, 84, 42]"
    assert ran(folder) == 2


def test_a_waiter_goes_on_when_the_owner_is_killed(folder: Path) -> None:
    first, second = two(folder)
    first.process.send_signal(signal.SIGKILL)
    first.process.communicate()
    wait_until(lambda: ran(folder) == 2)
    (folder / "go").touch()
    assert second.printed() == "[42, 84, 42]"
    assert ran(folder) == 3


def test_the_body_of_a_killed_execution_is_answered_alike(folder: Path) -> None:
    """Hits and misses stand in the journal: what is resumed meets the same answers."""
    (folder / "go").touch()
    Run(folder).printed()
    (folder / "go").unlink()
    text = (folder / "flow.py").read_text()
    (folder / "flow.py").write_text(text.replace("slow(first, folder)", "slow(first + 1, folder)"), "utf-8")
    killed = Run(folder)
    wait_until(lambda: ran(folder) == 3)
    killed.process.send_signal(signal.SIGKILL)
    killed.process.communicate()
    (folder / "go").touch()
    assert "86" in twingraph(folder, "resume", "last")
    assert [node.reused_node is not None for node in nodes(folder)] == [True, False, True]


def twingraph(folder: Path, *words: str) -> str:
    """What the command says on stdout, in this folder and on the home in it."""
    done = subprocess.run(
        [sys.executable, "-m", "twingraph", *words, "--home", str(folder / "home")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PLANNED = """
from twingraph import component, pipeline

@component(cache=True)
def load(day: str, deep: bool = False) -> list:
    return [day]

@component(cache=True)
def total(rows: list) -> int:
    return len(rows)

@pipeline
def inner(day: str) -> int:
    return total(load(day, deep=True))

@pipeline
def flow(day: str) -> int:
    return total(load(day)) + inner(day)
"""


def test_a_plan_of_a_pipeline_says_what_is_cached(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(PLANNED, "utf-8")

    def told(*words: str) -> str:
        return " ".join(twingraph(tmp_path, *words).split())

    before = told("plan", "flow.py:flow", "-i", "day=mo")
    assert "load miss: no earlier outcome of this component is kept" in before
    told("run", "flow.py:flow", "-i", "day=mo")
    after = told("plan", "flow.py:flow", "-i", "day=mo")
    assert "inner/load hit of exec-" in after
    assert "total unknown: what it would be called with is not known yet" in after
    assert "day: 'mo' → 'tu'" in told("plan", "flow.py:flow", "-i", "day=tu")


KEYED = """
from twingraph import Workflow, component, pipeline

SIZE = 10

def tens(order: dict) -> int:
    return order["amount"] // SIZE

@component(cache={"key": tens})
def price(order: dict, note: str = "") -> str:
    return f"{order['amount']} {note}"

@component(cache={"key": lambda order, **others: order["amount"] // SIZE})
def quick(order: dict, note: str = "") -> str:
    return f"{order['amount']} {note}"

@pipeline
def flow(first: int = 11) -> list:
    dear, small = price({"amount": first}, "a"), quick({"amount": 13})
    if dear and small:  # they are over: of two that ask at once, whose key is said first is the one that runs
        return [dear, price({"amount": 12}, "b"), small, quick({"amount": 14})]

wf = Workflow("wf").add_map("prices", price, over="order")
"""


def test_a_function_says_what_is_equal(tmp_path: Path) -> None:
    file = tmp_path / "flow.py"
    file.write_text(KEYED, "utf-8")

    def run(target: str, *words: str) -> str:
        return twingraph(tmp_path, "run", f"flow.py:{target}", *words).strip()

    assert run("flow") == '["11 a", "11 a", "13 ", "13 "]'
    assert run("flow", "-i", "first=19") == '["11 a", "11 a", "13 ", "13 "]'
    assert run("wf", "-i", 'over=[{"amount": 15}, {"amount": 77}]') == '["11 a", "77 "]'
    file.write_text(KEYED.replace("SIZE = 10", "SIZE = 2"), "utf-8")  # which the function uses
    assert run("flow") == '["11 a", "12 b", "13 ", "14 "]'
    file.write_text(KEYED.replace('order["amount"]', 'order["sum"]', 1), "utf-8")
    assert run("flow") == '["11 a", "12 b", "13 ", "13 "]'
    story = next(node for node in nodes(tmp_path) if node.id == "price").cache(True)
    assert story is not None
    assert story.words == "miss: the function that says its key failed: KeyError: 'sum'"
