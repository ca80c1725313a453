"""Code of `__main__`, however it was started: it is sliced, and runs elsewhere without its script."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.slices.interpreters import interpreter

ROOT = Path(__file__).parents[4]
LOADER = ROOT / "twingraph" / "executors" / "slice_loader.py"
SCRIPT = """
import json
from dataclasses import dataclass
from twingraph.sdk.slicing import bundle, slice_of

@dataclass
class Out:
    n: int

def run(n: int) -> Out:
    return Out(n + 1)

def emit():
    print(json.dumps(bundle({'e': slice_of(run)})))

emit()
"""
REMOTE = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location('slice_loader', sys.argv[1])
loader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(loader)
loaded = loader.load(json.load(sys.stdin))
value = loaded.get('e')(1)
print(json.dumps([repr(value), type(value).__module__, sorted(loaded.main_modules)]))
"""


def _local(arguments: list[str], folder: Path, **options: Any) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _remote(made: dict[str, Any], folder: Path) -> Any:
    done = subprocess.run(
        [interpreter((3, 8)), "-I", "-c", REMOTE, str(LOADER)],
        input=json.dumps(made),
        text=True,
        capture_output=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_script(tmp_path: Path) -> None:
    (tmp_path / "my-job.py").write_text(SCRIPT)
    made = _local(["my-job.py"], tmp_path)
    (tmp_path / "my-job.py").unlink()
    assert _remote(made, tmp_path) == ["Out(n=2)", "my-job", ["my-job"]]


def test_a_script_named_like_a_standard_module(tmp_path: Path) -> None:
    (tmp_path / "queue.py").write_text(SCRIPT)
    made = _local(["-P", "queue.py"], tmp_path)
    assert _remote(made, tmp_path)[2] == ["queue_main"]


def test_standard_input(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text(SCRIPT)
    with (tmp_path / "in.txt").open() as handle:
        made = _local(["-"], tmp_path, stdin=handle)
    assert _remote(made, tmp_path) == ["Out(n=2)", "stdin", ["stdin"]]


@pytest.mark.parametrize("arguments", [["-"], []])
def test_a_program_through_a_pipe_cannot_be_read_again(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        input=SCRIPT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert "__main__.run: the source of this program came through a pipe" in done.stderr
    assert "`python - < file`" in done.stderr


@pytest.mark.parametrize("flags", [["-c"], ["-Bc"], ["-W", "ignore", "-c"]])
def test_a_command(flags: list[str], tmp_path: Path) -> None:
    made = _local([*flags, SCRIPT], tmp_path)
    assert _remote(made, tmp_path)[0] == "Out(n=2)"


def test_a_module_of_a_package(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "part.py").write_text("STEP = 1\n")
    (tmp_path / "pkg" / "__main__.py").write_text(
        SCRIPT.replace("import json\n", "import json\nfrom .part import STEP\n").replace("n + 1", "n + STEP")
    )
    assert _remote(_local(["-m", "pkg"], tmp_path), tmp_path)[0] == "Out(n=2)"


def test_cells_of_a_notebook(tmp_path: Path) -> None:
    """Notebooks put each cell into linecache; a later cell uses an earlier one."""
    cells = ["import json\nSTEP = 1\n", "%broken magic\n", "def run(n):\n    return json.dumps(n + STEP)\n"]
    driver = (
        "import linecache, json, sys\n"
        "import __main__\n"
        "del __main__.__file__\n"
        f"for number, cell in enumerate({cells!r}):\n"
        "    name = f'<ipython-input-{number}-abc>'\n"
        "    linecache.cache[name] = (len(cell), None, cell.splitlines(True), name)\n"
        "    if not cell.startswith('%'):\n"
        "        exec(compile(cell, name, 'exec'), __main__.__dict__)\n"
        "from twingraph.sdk.slicing import bundle, slice_of\n"
        "print(json.dumps(bundle({'e': slice_of(run)})))\n"
    )
    (tmp_path / "driver.py").write_text(driver)
    assert _remote(_local(["driver.py"], tmp_path), tmp_path)[:1] == ["'2'"]
