"""The page that names a proof for each promise names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "under-stress.md").read_text("utf-8")
NAMED = re.findall(r"`(tests/[\w/.]+\.py)(?:::(\w+))?`", PAGE)
MEASURED = re.compile(r"`python -m benchmarks(?:\.(\w+))?`")


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_named_proof_is_there(file: str, name: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    assert re.search(rf"^(async )?def {name or 'test_'}", text, re.MULTILINE)


def test_every_promise_has_a_proof() -> None:
    rows = [
        line for line in (ROOT / "docs" / "under-stress.md").read_text("utf-8").splitlines() if line.startswith("| ")
    ]
    assert len(rows) > 40
    assert all("`tests/" in row or MEASURED.search(row) for row in rows if row != "| promise | proof |")


@pytest.mark.parametrize("name", sorted(set(MEASURED.findall(PAGE))))
def test_a_named_measure_is_there(name: str) -> None:
    assert (ROOT / "benchmarks" / f"{name or '__main__'}.py").is_file()
