"""What an execution's code needs of the machine is noted, and missed when it is gone."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from twingraph.core.errors import PermanentError
from twingraph.dispatch.base import CodeRef
from twingraph.dispatch.distributions import installed, missing
from twingraph.engine.code import check_packages

GONE = {"no_such_module_here": {"name": "no-such-dist", "version": "1.2"}}


def test_packages_are_noted_with_their_versions() -> None:
    assert installed(["pytest"]) == {"pytest": {"name": "pytest", "version": version("pytest")}}


def test_a_module_may_be_named_otherwise_than_its_distribution() -> None:
    assert installed(["_pytest"])["_pytest"]["name"] == "pytest"


def test_the_standard_library_is_not_noted() -> None:
    assert installed(["json", "twingraph"]) == {}


def test_what_is_gone_is_named_as_pip_takes_it() -> None:
    assert missing(GONE | installed(["pytest"]), sys.executable, sys.path) == ["no-such-dist==1.2"]


def test_another_interpreter_is_asked_itself(tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    assert missing(GONE, str(link), sys.path) == ["no-such-dist==1.2"]


def test_what_an_interpreter_says_at_its_start_is_no_answer(tmp_path: Path) -> None:
    talkative = tmp_path / "python"
    talkative.write_text(f'#!/bin/sh\necho "welcome"\nexec {sys.executable} "$@"\n')
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\necho '[['\n")
    for program in (talkative, silent):
        program.chmod(0o755)
    assert missing(GONE, str(talkative), sys.path) == ["no-such-dist==1.2"]
    assert missing(GONE, str(silent), sys.path) == []


def test_the_error_holds_the_line_that_installs_it() -> None:
    code = CodeRef(
        version="v",
        bundle_path="",
        interpreter=sys.executable,
        working_dir="",
        description='{"distributions": {"no_such_module_here": {"name": "no-such-dist", "version": "1.2"}}}',
    )
    with pytest.raises(PermanentError, match=r"-m pip install no-such-dist==1\.2"):
        check_packages(code)
