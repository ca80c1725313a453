"""The program as a process: what it costs to ask it something, and how it leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run(*words: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "twingraph", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_module_and_exit_codes(tmp_path: Path) -> None:
    assert run("--version", folder=tmp_path).stdout.startswith("twingraph ")
    wrong = run("shwo", folder=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean 'show'" in wrong.stderr


def test_asking_for_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from twingraph.cli import main; main(['run', '--help']); "
        "heavy = {'rich', 'jinja2', 'sqlalchemy', 'pydantic', 'asyncio', 'tomllib', 'sqlite3'} & set(sys.modules); "
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    asked = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, "-m", "twingraph", "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    os.close(writing)
    assert (process.returncode, process.stderr) == (0, b"")


def test_a_terminal_without_unicode_is_served(tmp_path: Path) -> None:
    answer = run(
        "doctor", folder=tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0", TWINGRAPH_HOME=str(tmp_path / "h")
    )
    assert answer.returncode == 0, answer.stderr
    assert "+ python" in answer.stdout


def test_a_broken_file_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = 1\nraise ValueError('no such day')\n")
    answer = run("run", "broken.py", folder=tmp_path)
    assert answer.returncode == 2
    assert f'File "{tmp_path / "broken.py"}", line 2' in answer.stderr
    assert "ValueError: no such day" in answer.stderr
    assert "frozen importlib" not in answer.stderr
    assert "twingraph/cli" not in answer.stderr
