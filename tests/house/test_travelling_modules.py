"""Some modules travel to where the work is done. They stand on the standard library alone, of Python 3.8 and newer."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.pythons import find

ROOT = Path(__file__).parents[2]
TARGETS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"][
    "per-file-target-version"
]
TRAVELLERS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern, target in TARGETS.items()
    if target == "py38" and pattern.startswith("twingraph/")
    for path in ROOT.glob(pattern)
)
NEWER_THAN_38 = {"graphlib", "tomllib", "zoneinfo", "annotationlib", "compression", "concurrent.interpreters"}
PYTHON_38 = find((3, 8), "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)")

FAMILY = {name.removesuffix(".py").replace("/", ".") for name in TRAVELLERS}
# What a traveller may ask for and do without: it takes its own answer where this is missing.
OPTIONAL = {"twingraph.core.errors"}


def statements_run_on_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Without function bodies: a module may reach for a table library once it meets a table."""
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from statements_run_on_import(child)


def names_taken(node: ast.ImportFrom) -> list[str]:
    """The modules that the statement reaches for: of `from package import module` that is the module."""
    package = node.module or "."
    fellows = [f"{package}.{alias.name}" for alias in node.names]
    return fellows if set(fellows) <= FAMILY else [package]


def test_the_travellers_are_there() -> None:
    runs = {"runner", "slice_loader", "context", "capture", "marks", "worker"}
    wanted = {"core/codec", "core/hashing", *(f"executors/{name}" for name in runs)}
    assert {f"twingraph/{name}.py" for name in wanted} <= set(TRAVELLERS)


@pytest.mark.parametrize(
    "name", [*TRAVELLERS, *(f"tools/{path.name}" for path in sorted((ROOT / "tools").glob("*.py")))]
)
def test_it_is_written_in_python_38(name: str) -> None:
    ast.parse((ROOT / name).read_text(encoding="utf-8"), filename=name, feature_version=(3, 8))


@pytest.mark.parametrize("name", TRAVELLERS)
def test_it_stands_on_the_standard_library_and_its_fellows(name: str) -> None:
    for node in statements_run_on_import(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += names_taken(node) if isinstance(node, ast.ImportFrom) else []
        for imported in names:
            top = imported.split(".")[0]
            known = top in sys.stdlib_module_names or imported in FAMILY | OPTIONAL
            assert known, f"{name} imports {imported}"
            assert top not in NEWER_THAN_38, f"{name} imports {imported}"


@pytest.mark.only_where(PYTHON_38 is not None, reason="there is no Python 3.8 on this machine")
def test_python_38_loads_them_without_the_rest(tmp_path: Path) -> None:
    assert PYTHON_38 is not None
    for name in TRAVELLERS:
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place)
        for folder in (place.parent, tmp_path / "twingraph"):
            (folder / "__init__.py").touch()
    load = f"import sys; sys.path.insert(0, '.'); import {', '.join(sorted(FAMILY))}"
    command = [PYTHON_38.path, "-I", "-B", "-W", "error", "-c", load]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
