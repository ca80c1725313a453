"""What people run: scripts, texts on stdin and modules, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Classes of the script itself go in as constants and inputs, from node to node, and come back as themselves.
CLASSES = """
import enum
from dataclasses import dataclass
from typing import NamedTuple
from twingraph import Workflow, component

class Pair(NamedTuple):
    x: int
    y: int

class Colour(enum.Enum):
    RED = 1

@dataclass
class Box:
    pair: Pair
    colour: Colour

class Plain:
    n = 0

@component
def shake(box, plain, by):
    plain.n += by.x
    return {"box": box, "plain": plain}

@component
def open_(box, plain):
    assert type(box).__name__ == "Box"
    return [box, plain]

wf = Workflow("classes").add_component("shake", shake, by=Pair(5, 6)).add_component("open", open_)
wf.connect("shake", "open", "box", "box").connect("shake", "open", "plain", "plain")
box, plain = wf.run(box=Box(Pair(1, 2), Colour.RED), plain=Plain())
print(type(box) is Box, type(box.pair) is Pair, box.colour is Colour.RED, type(plain) is Plain, plain.n)
"""


def run(
    folder: Path, *arguments: str, stdin: Path | None = None, code: int = 0, cwd: Path | None = None
) -> tuple[str, str]:
    environment = {**os.environ, "TWINGRAPH_HOME": str(folder / "home"), "PYTHONPATH": str(Path(__file__).parents[3])}
    with (stdin or Path(os.devnull)).open() as given:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd or folder,
            env=environment,
            stdin=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("way", ["file", "stdin", "command", "module", "inner", "stdlib name"])
def test_values_of_the_scripts_own_classes(tmp_path: Path, way: str) -> None:
    (tmp_path / "inner").mkdir()
    places = {"module": "mod.py", "inner": "inner/mod.py", "stdlib name": "cProfile.py"}
    file = tmp_path / places.get(way, "script.py")
    file.write_text(CLASSES)
    arguments = {"stdin": ("-",), "command": ("-c", CLASSES), "module": ("-m", "mod"), "inner": ("-m", "inner.mod")}
    given = arguments.get(way, (str(file),))
    assert run(tmp_path, *given, stdin=file if way == "stdin" else None)[0] == "True True True True 5\n"


# A group is caught by its kind, and what a builtin error carries is there.
FAILURES = """
import errno
import pickle
from twingraph import Workflow

wf = Workflow("failures").add_code("c", '''
def run(kind):
    if kind == "group":
        raise ExceptionGroup("many", [ValueError(1), TypeError("x")])
    open("absent")
''')
try:
    wf.run(kind="os")
except FileNotFoundError as error:
    print(error.errno == errno.ENOENT, error.node_id, type(error.__cause__).__name__)
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, FileNotFoundError) and (again.node_id, str(again)) == ("c", str(error))
try:
    wf.run(kind="group")
except* ValueError as caught:
    print(caught.exceptions)
except* TypeError:
    pass
wf.run(kind="uncaught")
"""


def test_errors_are_caught_as_in_plain_python_and_lead_to_the_scripts_line(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(FAILURES)
    out, err = run(tmp_path, "script.py", code=1)
    assert out == "True c FileNotFoundError\n(ValueError(1),)\n"
    assert err.count("twingraph/sdk") == 1
    assert 'wf.run(kind="uncaught")' in err
    assert "look closer: twingraph show last --node c" in err


# A child that was forked while its parent runs something: it ends at once, runs on its own, and takes nothing along.
FORKS = """
import os, sys, time
from pathlib import Path
from twingraph import Workflow, component, wiring

@component
def nap(until: str) -> str:
    import time
    while not os.path.exists(until):
        time.sleep(0.02)
    return until

wf = Workflow("naps").add_component("nap", nap)
if __name__ == "__main__":
    begun = wf.submit(until="go")
    child = os.fork()
    if child == 0:
        assert wf.run(until="script.py") == "script.py"
        try:
            begun.result()
        except Exception as error:
            assert "forked" in str(error), error
            sys.exit(7)
        sys.exit(8)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), begun.status)
    found, _ = wiring.open_reader().executions(limit=9)
    print([(record.owner, str(record.status)) for record in found if record.id == begun.id])
    Path("go").touch()
    print(begun.result())
"""


def test_a_forked_child_takes_nothing_along(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(FORKS)
    assert run(tmp_path, "script.py")[0].splitlines() == ["7 running", "[('alive', 'running')]", "go"]


def test_what_stands_in_a_package_runs_by_its_file_and_goes_on_from_any_folder(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "prices.py").write_text("LIMIT = 1\n")
    (package / "flow.py").write_text(
        "from .prices import LIMIT\n"
        "from twingraph import Workflow, component\n"
        "@component\n"
        "def check(n: int) -> int:\n"
        "    assert n <= LIMIT\n"
        "    return n\n"
        "wf = Workflow('shop').add_component('check', check)\n"
    )
    program = ("-m", "twingraph")
    assert "AssertionError" in run(tmp_path, *program, "run", "shop/flow.py", "-i", "n=5", code=1)[1]
    (package / "prices.py").write_text("LIMIT = 10\n")
    assert run(tmp_path, *program, "resume", "last", "--code", "current", cwd=package)[0] == "5\n"
    assert "must be an int, not 'x'" in run(tmp_path, *program, "run", "shop.flow", "-i", "n=x", code=2)[1]
