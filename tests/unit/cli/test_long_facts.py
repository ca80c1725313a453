"""What is told of a node is told whole, on a narrow screen too, and paths as one would type them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from twingraph.cli.shown_node import _fact
from twingraph.cli.words import from_here


def texts(name: str, text: str, width: int) -> list[str]:
    return ["".join(part for part, _ in line) for line in _fact(name, text, width)]


def test_a_long_fact_takes_several_lines() -> None:
    told = "  RATE in some/where/report.py:3: 2 → 3"
    lines = texts("", told, 40)
    assert " ".join(" ".join(lines).split()) == told.strip()
    assert len(lines) > 1
    assert all(len(line) <= 40 for line in lines)
    assert all(line.startswith(" " * 14) for line in lines)


def test_a_short_fact_takes_one() -> None:
    assert texts("platform", "local", 80) == ["  platform  local"]
    assert texts("signal", "", 80) == ["  signal    "]


def test_paths_below_the_working_directory_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert from_here(f"RATE in {tmp_path}/src/report.py:3: 2 → 3") == "RATE in src/report.py:3: 2 → 3"
    assert from_here(f"{tmp_path}-other/report.py:3") == f"{tmp_path}-other/report.py:3"
    monkeypatch.chdir(os.sep)
    assert from_here(f"{tmp_path}/report.py:3") == f"{tmp_path}/report.py:3"
