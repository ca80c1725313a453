"""The import contract holds in the gate; here it is shown that it would notice."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNEL = ROOT / "twingraph" / "engine" / "kernel"

# Parts of the standard library through which time, chance or the outside would reach the kernel.
NOT_PURE = {
    "asyncio",
    "logging",
    "os",
    "random",
    "secrets",
    "socket",
    "sqlite3",
    "subprocess",
    "threading",
    "time",
    "uuid",
}


def modules_imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def contract(root: Path) -> subprocess.CompletedProcess[str]:
    command = [
        str(Path(sys.executable).with_name("lint-imports")),
        "--no-cache",
        "--config",
        str(ROOT / "pyproject.toml"),
    ]
    environment = {"PYTHONPATH": str(root), "PATH": ""}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "twingraph", tmp_path / "twingraph", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_contract_holds(copy: Path) -> None:
    answer = contract(copy)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("engine/kernel/leak.py", "import twingraph.store"),
        ("core/leak.py", "import twingraph.engine"),
        ("sdk/leak.py", "import twingraph.engine"),
        ("engine/leak.py", "import twingraph.sdk"),
        ("attic.py", ""),
    ],
)
def test_the_contract_notices(copy: Path, module: str, line: str) -> None:
    (copy / "twingraph" / module).write_text(line + "\n")
    assert contract(copy).returncode != 0


@pytest.mark.parametrize("path", sorted(KERNEL.rglob("*.py")), ids=lambda path: path.stem)
def test_the_kernel_is_pure(path: Path) -> None:
    for name in modules_imported(path):
        top = name.split(".")[0]
        ours = name.startswith(("twingraph.core", "twingraph.engine.kernel"))
        assert ours or (top in sys.stdlib_module_names and top not in NOT_PURE), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "twingraph").glob("*/__init__.py")), ids=lambda path: path.parent.name)
def test_a_room_says_what_belongs_in_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_the_page_draws_the_rooms_as_the_contract_has_them() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in settings["contracts"] if contract["id"] == "rooms")
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = [re.findall(r"`\(?(\w+)\)?`", row.split("|")[2]) for row in page.splitlines() if row.startswith("|")]
    contracted = [re.findall(r"\w+", layer) for layer in layers]
    assert [row for row in drawn if row] == [floor for floor in contracted if floor != ["__main__"]]
