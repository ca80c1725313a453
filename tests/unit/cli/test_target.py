"""From what was typed to a workflow, and every way in which that fails."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from twingraph.cli.errors import TargetError, UsageError
from twingraph.cli.target import load_target, made_ready, parse_target, recorded_target

HEAD = """
from twingraph import Workflow, component, pipeline
def Component(called):
    @component(name=called)
    def work(x: int) -> int: return x
    return work
"""


@pytest.fixture(autouse=True)
def _imports_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = dict(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - set(before):
        if not name.startswith("twingraph"):
            del sys.modules[name]


def write(folder: Path, text: str, name: str = "flow_under_test.py") -> str:
    file = folder / name
    file.write_text(HEAD + text)
    return str(file)


def test_the_only_workflow_needs_no_name(tmp_path: Path) -> None:
    file = write(tmp_path, "wf = Workflow('one'); again = wf; c = Component('c')")
    assert load_target(file).name == "one"
    assert load_target(f"{file}:again").name == "one"


def test_several_are_listed_as_they_are_typed(tmp_path: Path) -> None:
    file = write(tmp_path, "a = Workflow('one'); b = Workflow('two')")
    with pytest.raises(UsageError) as caught:
        load_target(file)
    assert f"twingraph run {file}:a\n  twingraph run {file}:b" in str(caught.value)


def test_a_lone_component_is_a_target(tmp_path: Path) -> None:
    plan = load_target(write(tmp_path, "c = Component('c')")).compile().plan
    assert [node.id for node in plan.root.nodes] == ["c"]
    assert list(plan.inputs) == ["x"]


def test_the_only_pipeline_needs_no_name(tmp_path: Path) -> None:
    file = write(tmp_path, "@pipeline\ndef nightly(day: str): return day\nc = Component('c')")
    found = load_target(file)
    assert found.name == "nightly"
    assert made_ready(found).entry.endswith(":nightly")
    assert recorded_target(file, found).endswith("flow_under_test.py:nightly")


def test_pipelines_and_workflows_stand_side_by_side(tmp_path: Path) -> None:
    file = write(tmp_path, "@pipeline\ndef nightly(): ...\nwf = Workflow('one')")
    assert load_target(f"{file}:nightly").name == "nightly"
    with pytest.raises(UsageError, match="holds 2 pipelines and workflows"):
        load_target(file)


def test_a_pipeline_that_was_imported_is_none_of_the_files_own(tmp_path: Path) -> None:
    write(tmp_path, "@pipeline\ndef part(): ...", "parts_under_test.py")
    file = write(tmp_path, "from parts_under_test import part\n@pipeline\ndef nightly(): return part()")
    assert load_target(file).name == "nightly"
    assert load_target(f"{file}:part").name == "part"


def test_a_file_that_runs_its_pipeline_as_it_is_loaded_is_stopped_there(tmp_path: Path) -> None:
    file = write(tmp_path, "@pipeline\ndef nightly(): return 1\nnightly()\nraise SystemExit(3)")
    assert load_target(file).name == "nightly"


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'wf'"):
        load_target(write(tmp_path, "wf = Workflow('one')") + ":wff")


@pytest.mark.parametrize("text", ["", "x = 1"])
def test_a_file_without_a_workflow_says_what_to_write(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"wf = Workflow\(\.\.\.\)"):
        load_target(write(tmp_path, text))


def test_a_name_that_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is an int, neither a pipeline nor a Workflow nor a component"):
        load_target(write(tmp_path, "x = 1") + ":x")


def test_an_error_in_the_file_shows_the_authors_frames_alone(tmp_path: Path) -> None:
    file = write(tmp_path, "def deep():\n    return 1 / 0\ndeep()\n")
    with pytest.raises(TargetError) as caught:
        load_target(file)
    trace = caught.value.traceback
    assert trace.startswith(f'Traceback (most recent call last):\n  File "{file}", line')
    assert "return 1 / 0" in trace
    assert "importlib" not in trace
    assert "twingraph/cli" not in trace


def test_a_syntax_error_shows_its_line(tmp_path: Path) -> None:
    with pytest.raises(TargetError) as caught:
        load_target(write(tmp_path, "def broken(:\n"))
    assert "SyntaxError" in caught.value.traceback
    assert "def broken(:" in caught.value.traceback


def test_a_file_that_ends_the_program_or_lacks_a_module_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="__main__"):
        load_target(write(tmp_path, "raise SystemExit(3)"))
    with pytest.raises(TargetError, match="install 'no_such_thing'"):
        load_target(write(tmp_path, "import no_such_thing"))


def test_a_missing_file_names_a_near_one(tmp_path: Path) -> None:
    write(tmp_path, "", "flow.py")
    with pytest.raises(UsageError, match=r"did you mean .*flow\.py"):
        parse_target(str(tmp_path / "flwo.py"))


@pytest.mark.parametrize("typed", ["", ":x", "a b", "1x:y", "./nothing", "no_such_module_here"])
def test_what_is_no_target_is_wrong_use(typed: str) -> None:
    with pytest.raises(UsageError):
        load_target(typed)


def test_a_module_is_found_from_the_folder_that_one_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "wf = Workflow('one')", "module_under_test.py")
    monkeypatch.chdir(tmp_path)
    assert load_target("module_under_test:wf").name == "one"


def test_a_file_called_like_a_loaded_module_does_not_take_its_place(tmp_path: Path) -> None:
    import json

    assert load_target(write(tmp_path, "wf = Workflow('one')", "json.py")).name == "one"
    assert sys.modules["json"] is json
