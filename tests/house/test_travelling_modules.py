"""Some modules travel to where the work is done. They stand on the standard library alone, of Python 3.8 and newer."""

from __future__ import annotations

import ast
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
TRAVELLERS = sorted(name for name, target in TARGETS.items() if target == "py38" and name.startswith("twingraph/"))
NEWER_THAN_38 = {"graphlib", "tomllib", "zoneinfo", "annotationlib", "compression", "concurrent.interpreters"}
PYTHON_38 = find((3, 8), "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)")

LOAD_ALONE = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("traveller", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["traveller"] = module
spec.loader.exec_module(module)
"""


def statements_run_on_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Without function bodies: a module may reach for a table library once it meets a table."""
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from statements_run_on_import(child)


def test_the_travellers_are_named() -> None:
    assert set(TRAVELLERS) == {
        "twingraph/core/codec.py",
        "twingraph/core/hashing.py",
        "twingraph/executors/runner.py",
        "twingraph/executors/slice_loader.py",
    }


@pytest.mark.parametrize(
    "name", [*TRAVELLERS, *(f"tools/{path.name}" for path in sorted((ROOT / "tools").glob("*.py")))]
)
def test_it_is_written_in_python_38(name: str) -> None:
    ast.parse((ROOT / name).read_text(encoding="utf-8"), filename=name, feature_version=(3, 8))


@pytest.mark.parametrize("name", TRAVELLERS)
def test_it_stands_on_the_standard_library(name: str) -> None:
    for node in statements_run_on_import(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or "."] if isinstance(node, ast.ImportFrom) else []
        for imported in names:
            top = imported.split(".")[0]
            assert top in sys.stdlib_module_names, f"{name} imports {imported}"
            assert top not in NEWER_THAN_38, f"{name} imports {imported}"


@pytest.mark.only_where(PYTHON_38 is not None, reason="there is no Python 3.8 on this machine")
@pytest.mark.parametrize("name", TRAVELLERS)
def test_python_38_loads_it_alone(name: str, tmp_path: Path) -> None:
    assert PYTHON_38 is not None
    command = [PYTHON_38.path, "-I", "-B", "-W", "error", "-c", LOAD_ALONE, str(ROOT / name)]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
