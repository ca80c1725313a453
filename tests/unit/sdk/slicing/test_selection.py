"""What is kept and what is dropped, where the corpus does not look."""

from __future__ import annotations

import sys

import pytest

from tests.unit.sdk.slicing.project import Project
from twingraph.sdk.slicing import slice_of

OURS = """
import twingraph as tg
from twingraph import {0} as c
from functools import partial
gpu = partial(c, platform='x')
RUNS = []
def c2(*a, **k):
    return a
{1}
def run(n):
    RUNS.append(n)
    return n
RUNS.append(1)
if __name__ == '__main__':
    run(3)
"""


@pytest.mark.parametrize("decorator", ["@c", "@c(timeout=3)", "@tg.pipeline(\n    name='x',\n)", "@gpu(gpu=1)"])
def test_our_decorators_go_and_leave_no_trace(decorator: str, project: Project) -> None:
    """The decorators' module need not even be loadable for the shipped text."""
    project.write("sample", OURS.format("component", decorator))
    from twingraph.sdk.slicing.selection import Selection
    from twingraph.sdk.slicing.sources import source_of

    source = source_of("sample")
    assert source is not None
    from twingraph.sdk.slicing.rewriting import module_text

    selection = Selection(by_line=False)
    kept = selection.add_source(source)
    selection.require("sample", "run", ())
    selection.run()
    lines = [line for line in module_text(kept).split("\n") if line.strip()]
    assert lines == ["RUNS = []", "def run(n):", "    RUNS.append(n)", "    return n", "RUNS.append(1)"]
    assert not selection.external


def test_a_call_that_starts_a_run_is_not_part_of_a_component(project: Project) -> None:
    text = (
        "from twingraph import core\nDATA = []\n@core.x\ndef flow(data):\n    data.append(1)\n"
        "def main():\n    flow(DATA)\nclass Stop(Exception): pass\n"
        "def run():\n    return DATA\n"
    )
    project.write("sample", text + "main()\nprint(flow(DATA))\nflow.submit(DATA)\n")
    from twingraph.sdk.slicing.rewriting import module_text
    from twingraph.sdk.slicing.selection import Selection
    from twingraph.sdk.slicing.sources import source_of

    source = source_of("sample")
    assert source is not None
    selection = Selection(by_line=False)
    kept = selection.add_source(source)
    selection.require("sample", "run", ())
    selection.run()
    assert module_text(kept).split() == ["DATA", "=", "[]", "def", "run():", "return", "DATA"]


def test_lines_stay_where_they_were(project: Project) -> None:
    found = project.slice("import os\n\ndef a(): pass\n\ndef run():\n    return os.sep\n")
    assert found.modules["sample"].text == "import os\n\n\n\ndef run():\n    return os.sep\n"


def test_a_wrapper_with_fn_gives_its_function(project: Project) -> None:
    module = project.load("sample", "class W:\n    def __init__(self, fn): self.fn = fn\ndef run(): return 1\n")
    assert slice_of(module.W(module.run)).code_hash == slice_of(module.run).code_hash


def test_external_packages_are_listed(project: Project) -> None:
    found = project.slice("import json\ndef run():\n    import pytest, os.path\n    return pytest, json\n")
    assert found.external == ("pytest",)


def test_dunder_file_is_told(project: Project) -> None:
    assert project.slice("def run(): return __file__\n").reads_file
    assert not project.slice("def run(): return 1\n", name="other").reads_file


def test_a_file_changed_on_disk_is_read_again(project: Project) -> None:
    first = project.slice("def run(): return 1\n")
    assert project.slice("def run(): return 100\n").code_hash != first.code_hash


def test_methods_of_a_class_are_entries(project: Project) -> None:
    found = project.slice("class A:\n    @staticmethod\n    def go(): return 1\n", "A.go")
    assert found.entry_name == "A.go"


def test_what_a_script_does_with_a_library_is_left_out(project: Project) -> None:
    text = (
        "import logging, random, sys, time\nrandom.seed(3)\nlogging.getLogger('x').setLevel(10)\n"
        "def run():\n    return random, sys, time, logging\n"
    )
    project.write("sample", text + "time.sleep(60)\nlogging.info('go')\nsys.exit(3)\n")
    found = project.slice(text)
    assert "seed" in found.modules["sample"].text
    assert "setLevel" in found.modules["sample"].text
    project.write("sample", text + "time.sleep(60)\nlogging.info('go')\nsys.exit(3)\n" + "#" * 50)
    again = slice_of(sys.modules["sample"].run)
    assert (again.code_hash, again.modules["sample"].text) == (found.code_hash, found.modules["sample"].text)


@pytest.mark.parametrize("base", ["Base", "Base[int]"])
def test_what_a_class_inherits_changes_what_it_changes(base: str, project: Project) -> None:
    text = (
        "from typing import Generic, TypeVar\nT = TypeVar('T')\nCOUNT = []\n"
        "class Base(Generic[T]):\n    def grow(self):\n        COUNT.append(1)\n        return len(COUNT)\n"
        f"class Derived({base}):\n    pass\n"
        "class Unused:\n    size = Derived().grow()\n"
        "def run():\n    return Derived().grow()\n"
    )
    assert "size = Derived().grow()" in project.slice(text).modules["sample"].text
