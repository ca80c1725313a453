"""Every case of the corpus gives, sliced and alone on the oldest Python that it allows, what its plain import gives.

Cases are kept as `.py.txt`, away from linters and type checkers: many are written badly on purpose, or in newer syntax.
Comments at the top of a case name the calls to make, the expected Python and mode, and text that must not be shipped.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.slices.interpreters import interpreter

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
LOADER = ROOT / "twingraph" / "executors" / "slice_loader.py"


def _cases() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for file in sorted((HERE / "corpus").rglob("*.py.txt")):
        marks = re.findall(r"(?m)^# (call|python|mode|drops): (.*)$", file.read_text("utf-8"))
        calls = [value for key, value in marks if key == "call"]
        if calls:
            parts = file.with_suffix("").with_suffix("").relative_to(HERE / "corpus").parts
            module = ".".join(part for part in parts if part != "__init__")
            one = dict(marks)
            found[parts[0]] = {
                "module": module,
                "target": calls[0].partition("(")[0],
                "calls": calls,
                "python": tuple(map(int, one.get("python", "3.8").split("."))),
                "mode": one.get("mode", "slice"),
                "drops": [value for key, value in marks if key == "drops"],
            }
    return found


CASES = _cases()


def _process(program: str, arguments: list[str], payload: object, folder: Path) -> Any:
    done = subprocess.run(
        [program, *arguments],
        input=json.dumps(payload),
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PATH": ""},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, Any], Any]]:
    """Case to what the plain run gave and what the sliced run gave, with the project's modules gone in between."""
    folder = tmp_path_factory.mktemp("project")
    empty = tmp_path_factory.mktemp("empty")
    project = folder / "corpus"
    shutil.copytree(HERE / "corpus", project)
    for file in project.rglob("*.py.txt"):
        file.rename(file.with_suffix(""))
    compiled: dict[str, dict[str, Any]] = {}
    for newer in (False, True):
        batch = {case: CASES[case] for case in CASES if (CASES[case]["python"] >= (3, 12)) is newer}
        program = interpreter((3, 13)) if newer else sys.executable
        compiled.update(_process(program, [str(HERE / "compile_cases.py"), str(project)], batch, empty))
    outcomes: dict[str, Any] = {}
    groups: dict[tuple[int, int], dict[str, Any]] = {}
    for case, answer in compiled.items():
        if CASES[case]["mode"] == "slice":
            groups.setdefault(tuple(answer["slice"]["python"]), {})[case] = {**CASES[case], "bundle": answer["bundle"]}
    for file in project.rglob("*.py"):
        file.unlink()
    for python, group in groups.items():
        outcomes.update(_process(interpreter(python), ["-I", str(HERE / "run_sliced.py"), str(LOADER)], group, empty))
    return {case: (compiled[case], outcomes.get(case)) for case in CASES}


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case]["mode"] == "slice"])
def test_the_slice_gives_what_the_plain_import_gives(case: str, answers: dict[str, tuple[dict[str, Any], Any]]) -> None:
    compiled, outcome = answers[case]
    assert compiled["slice"]["mode"] == "slice", compiled["slice"]["note"]
    assert outcome == compiled["expected"], "\n".join([str(outcome), *map(str, compiled["slice"]["texts"].items())])
    assert tuple(compiled["slice"]["python"]) == CASES[case]["python"]


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case]["drops"]])
def test_what_is_not_used_is_left_out(case: str, answers: dict[str, tuple[dict[str, Any], Any]]) -> None:
    text = "".join(answers[case][0]["slice"]["texts"].values())
    assert not [dropped for dropped in CASES[case]["drops"] if dropped in text]


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case]["mode"] == "import"])
def test_what_cannot_be_sliced_says_why(case: str, answers: dict[str, tuple[dict[str, Any], Any]]) -> None:
    found = answers[case][0]["slice"]
    assert (found["mode"], found["texts"]) == ("import", {})
    assert re.search(r"\.py:\d+: it ", found["note"])


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 80
