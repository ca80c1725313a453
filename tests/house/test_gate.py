"""The gate notices: skips where CI looks, runs that left no report, steps that failed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import gate, pythons

ROOT = Path(__file__).parents[2]

SKIP = "import pytest\n\ndef test_it():\n    pytest.skip('no service')\n"
SKIP_MODULE = "import pytest\n\npytest.skip('no service', allow_module_level=True)\n"
XFAIL = "import pytest\n\n@pytest.mark.xfail\ndef test_it():\n    assert False\n"
LEFT_OUT = """
import pytest

@pytest.mark.only_where(False, reason='no such machine')
def test_it():
    assert False

def test_other():
    pass
"""


def run_tests(text: str, folder: Path, *, ci: bool) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = only_where(condition, reason): as in the project\n")
    (folder / "test_it.py").write_text(text)
    environment = {**os.environ, "CI": "true" if ci else ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("text", [SKIP, SKIP_MODULE, XFAIL], ids=["skip", "skip_module", "xfail"])
def test_a_skip_fails_in_ci(text: str, tmp_path: Path) -> None:
    answer = run_tests(text, tmp_path, ci=True)
    assert answer.returncode != 0
    assert "counts as a failure in CI" in answer.stdout


@pytest.mark.parametrize("text", [SKIP, XFAIL], ids=["skip", "xfail"])
def test_a_skip_is_a_skip_elsewhere(text: str, tmp_path: Path) -> None:
    assert run_tests(text, tmp_path, ci=False).returncode == 0


def test_what_cannot_run_here_is_left_out_and_told(tmp_path: Path) -> None:
    answer = run_tests(LEFT_OUT, tmp_path, ci=True)
    assert answer.returncode == 0, answer.stdout
    assert "1 passed, 1 deselected" in answer.stdout
    assert "test_it: no such machine" in answer.stdout


def report(folder: Path, **numbers: int) -> Path:
    attributes = " ".join(f'{name}="{number}"' for name, number in numbers.items())
    path = folder / "report.xml"
    path.write_text(f"<testsuites><testsuite {attributes}/></testsuites>")
    return path


def test_a_report_is_counted(tmp_path: Path) -> None:
    path = report(tmp_path, tests=9, failures=1, errors=2, skipped=3)
    assert gate.count(path) == gate.Count(passed=3, failed=3, skipped=3)


def test_a_run_without_a_report_counts_as_a_failure(tmp_path: Path) -> None:
    assert gate.count(tmp_path / "none.xml") == gate.Count(failed=1)


@pytest.mark.parametrize(
    ("ok", "skipped", "ci", "code"),
    [(True, 0, "true", 0), (False, 0, "true", 1), (True, 1, "true", 1), (True, 1, "", 0)],
)
def test_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ok: bool, skipped: int, ci: str, code: int
) -> None:
    monkeypatch.setenv("CI", ci)
    path = report(tmp_path, tests=2, failures=0, errors=0, skipped=skipped)
    step = gate.Step("tests", ["none"], path)
    assert gate.close([(step, ok)], time.monotonic()) == code


def test_the_closing_line_sums_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = gate.Step("tests", ["none"], report(tmp_path, tests=2, failures=0, errors=0, skipped=0))
    gate.close([(step, True), (step, True)], time.monotonic())
    assert capsys.readouterr().out.splitlines()[-1].startswith("===== 4 passed in ")


def test_the_running_python_is_found() -> None:
    running = pythons.running()
    assert running is not None
    assert running.version == sys.version_info[:2]


def test_a_name_without_a_python_behind_it_is_not_one(tmp_path: Path) -> None:
    shim = tmp_path / "python3.11"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert pythons.ask(str(shim)) is None
    assert pythons.ask(str(tmp_path / "nothing")) is None
