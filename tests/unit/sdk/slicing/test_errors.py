"""Every error names file, line and remedy."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from tests.unit.sdk.slicing.project import Project
from twingraph.core.errors import SliceError
from twingraph.sdk.slicing import slice_of


def test_newer_syntax_than_the_target_names_its_line(project: Project) -> None:
    with pytest.raises(SliceError, match=r"match needs Python 3\.10.*3\.9") as caught:
        project.slice("def run(x):\n    match x:\n        case _:\n            return 1\n", target_python=(3, 9))
    assert caught.value.line == 2
    assert str(caught.value.file).endswith("sample.py")


def test_newer_syntax_that_is_not_kept_is_no_error(project: Project) -> None:
    text = "def no(x):\n    match x:\n        case _:\n            return 1\ndef run():\n    return 1\n"
    assert project.slice(text, target_python=(3, 8)).python == (3, 8)


def test_a_free_variable_that_is_an_object_is_refused(project: Project) -> None:
    module = project.load("sample", "def make(x):\n    def run():\n        return x\n    return run\n")
    with pytest.raises(SliceError, match=r"free variable 'x'.*pass it as a parameter") as caught:
        slice_of(module.make(object()))
    assert caught.value.line == 2


def test_code_without_source_says_what_to_do() -> None:
    space: dict[str, object] = {"__name__": "nowhere"}
    exec("def run(): pass", space)
    with pytest.raises(SliceError, match="put it in a file"):
        slice_of(space["run"])  # type: ignore[arg-type]


def test_a_local_class_says_what_to_do(project: Project) -> None:
    module = project.load("sample", "def make():\n    class Inner: pass\n    return Inner\n")
    with pytest.raises(SliceError, match="move it to module level"):
        slice_of(module.make())


def test_what_only_a_script_defines_says_where(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'OTHER = 1\nif __name__ == "__main__":\n    def run(x):\n        return x\n'
    script = ModuleType("__main__")
    script.__file__ = str(project.write("sample", text))
    monkeypatch.setitem(sys.modules, "__main__", script)
    exec(compile(text, script.__file__, "exec"), script.__dict__)
    expected = r"sample.py:2: run is defined under `if __name__ == '__main__':`.*define it at module level"
    with pytest.raises(SliceError, match=expected):
        slice_of(script.run)


def test_installed_functions_are_imported_where_they_run() -> None:
    found = slice_of(pytest.approx)
    assert (found.mode, found.external) == ("import", ("_pytest",))
