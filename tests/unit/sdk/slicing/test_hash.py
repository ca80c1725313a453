"""What the code hash sees and what it does not see."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conformance.slices.interpreters import interpreter
from tests.unit.sdk.slicing.project import Project

BASE = """
import json
TABLE = {}
TABLE['a'] = 1
def helper(n):
    return json.dumps(TABLE), n
def run(n, text='x'):
    del_me = 1
    del del_me
    return helper(n), f"{n!r:>{4}} and {text}"
"""

SAME = {
    "comments and blank lines": BASE.replace("TABLE = {}", "# a comment\n\n\nTABLE = {}  # another"),
    "docstrings": BASE.replace("def helper(n):", 'def helper(n):\n    "Says it."'),
    "annotations": BASE.replace("def helper(n):", "def helper(n: int) -> 'str':").replace("TABLE =", "TABLE: dict ="),
    "quotes and implicit joins": BASE.replace("'a'", '"a"').replace(' and {text}"', "\" f' and {text}'"),
    "other imports": BASE.replace("import json", "import json, os\nimport sys"),
    "one line": BASE.replace("TABLE = {}\nTABLE['a'] = 1", "TABLE = {}; TABLE['a'] = 1"),
    "unrelated code": BASE + "\ndef other():\n    return 1\n",
    "brackets around del": BASE.replace("del del_me", "del (del_me)"),
    "order of definitions": BASE.replace("TABLE = {}\nTABLE['a'] = 1\n", "") + "TABLE = {}\nTABLE['a'] = 1\n",
}
OTHER = {
    "a constant": BASE.replace("= 1\ndef", "= 2\ndef"),
    "a type": BASE.replace("= 1\ndef", "= True\ndef"),
    "a default": BASE.replace("text='x'", "text='y'"),
    "a parameter": BASE.replace("text='x'", "test='x'"),
    "a helper": BASE.replace("json.dumps(TABLE), n", "json.dumps(TABLE), -n"),
    "a format": BASE.replace(">{4}", "<{4}"),
    "a change in place": BASE.replace("TABLE['a'] = 1", "TABLE['a'] = 1\nTABLE.clear()"),
    "async": BASE.replace("def run", "async def run"),
}


@pytest.mark.parametrize("what", SAME)
def test_it_does_not_see(what: str, project: Project) -> None:
    assert SAME[what] != BASE
    assert project.slice(SAME[what], name="changed").code_hash == project.slice(BASE).code_hash


@pytest.mark.parametrize("what", OTHER)
def test_it_sees(what: str, project: Project) -> None:
    assert OTHER[what] != BASE
    assert project.slice(OTHER[what], name="changed").code_hash != project.slice(BASE).code_hash


def test_it_sees_the_order_of_statements_that_touch_one_name(project: Project) -> None:
    first = project.slice("X = 1\nY = X\nX = 2\ndef run(): return X, Y\n", name="one")
    second = project.slice("X = 1\nX = 2\nY = X\ndef run(): return X, Y\n", name="two")
    assert first.code_hash != second.code_hash


def test_it_does_not_see_module_names(project: Project) -> None:
    project.write("spanner", "def a(): return 1\n")
    project.write("gear", "def a(): return 1\n")
    first = project.slice("import spanner as t\ndef run(): return t.a()\n", name="one")
    second = project.slice("import gear as t\ndef run(): return t.a()\n", name="two")
    assert first.code_hash == second.code_hash


def test_it_is_equal_on_all_pythons(tmp_path: Path) -> None:
    root = Path(__file__).parents[4]
    shutil.copytree(root / "tests" / "conformance" / "slices" / "corpus", tmp_path / "corpus")
    for file in (tmp_path / "corpus").rglob("*.py.txt"):
        file.rename(file.with_suffix(""))
    script = (
        "import importlib, json, sys; sys.path.insert(0, 'corpus')\n"
        "from twingraph.sdk.slicing import slice_of\n"
        "names = [n for n in sys.argv[1:]]\n"
        "print(json.dumps({n: slice_of(importlib.import_module(n).run).code_hash for n in names}))\n"
    )
    names = [
        "f_strings",
        "dataclass_plain",
        "match_statement",
        "comprehension_scopes",
        "typed_dict",
        "dict_filled",
        "relative_imports.main",
        "plugins.main",
        "semicolons",
        "dynamic_exec",
    ]
    found = []
    for version in ((3, 11), (3, 12), (3, 13)):
        done = subprocess.run(
            [interpreter(version), "-c", script, *names],
            cwd=tmp_path,
            check=True,
            text=True,
            capture_output=True,
            env={"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        found.append(json.loads(done.stdout))
    assert found[0] == found[1] == found[2]
