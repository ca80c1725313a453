"""Components and pipelines that a body or a factory makes: each runs with the values that it closes over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.scripts.test_scripts import run

SCRIPT = """
from twingraph import component, pipeline

def make(by):
    @component
    def scaled(n):
        return n * by

    @pipeline
    def part(n):
        return scaled(n)

    return part

PARTS = [make(1), make(2), make(1)]

@pipeline
def flow(n):
    found = [part(n) for part in PARTS]
    for k in (10, 20):
        @component
        def late(x):
            return x + k
        found.append(late(n))
    total = 0
    @component
    def step(x):
        return x + total
    first = int(step(n))
    total = 100
    return [int(one) for one in found], first, int(step(n))

print(flow(5))
print(flow(5))
"""


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_each_has_its_own_values(tmp_path: Path, way: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    out, _ = run(tmp_path, "script.py") if way == "file" else run(tmp_path, "-", stdin=script)
    assert out.splitlines() == ["([5, 10, 5, 15, 25], 5, 105)"] * 2


def test_a_component_cannot_close_over_a_result(tmp_path: Path) -> None:
    text = """
from twingraph import component, pipeline

@component
def one(n):
    return n

@pipeline
def flow(n):
    given = one(n)
    @component
    def late(x):
        return x + given
    return late(n)

flow(1)
"""
    (tmp_path / "script.py").write_text(text)
    _, error = run(tmp_path, "script.py", code=1)
    assert "'given' of flow.<locals>.late is the result of a call" in error
    assert "pass it as a parameter" in error
