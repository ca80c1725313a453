"""Syntax trees are made whatever else happens in the process meanwhile."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

import twingraph
from twingraph.core.syntax import parse, parse_expression, undisturbed

TEXT = "\n".join(f"def f{number}(a, b=1):\n    return [a + b * {number} for x in (1, 2)]" for number in range(300))


class Garbage:
    """What only the collector finds, and what parses then."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        _deeper(20)


def _deeper(levels: int) -> None:
    if levels:
        _deeper(levels - 1)
    else:
        ast.parse("f(x)[0] + 1")


@pytest.fixture
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("thresholds")
def test_a_tree_is_made_while_garbage_parses_too() -> None:
    for threshold in range(100, 700, 50):
        gc.collect()
        gc.set_threshold(threshold, 1, 1)
        Garbage()
        assert len(parse(TEXT).body) == 300


def test_the_file_stands_in_what_does_not_parse() -> None:
    with pytest.raises(SyntaxError) as raised:
        parse("def", "flow.py")
    assert raised.value.filename == "flow.py"


def test_an_expression() -> None:
    assert isinstance(parse_expression("a + 1").body, ast.BinOp)


def test_what_never_works_is_told() -> None:
    tries: list[int] = []

    def broken() -> None:
        tries.append(1)
        raise SystemError("broken for ever")

    with pytest.raises(SystemError, match="broken for ever"):
        undisturbed(broken)
    assert len(tries) > 1


def test_nobody_else_in_here_parses() -> None:
    package = Path(twingraph.__file__).parent
    found = [path.name for path in package.rglob("*.py") if "ast.parse(" in path.read_text(encoding="utf-8")]
    assert found == ["syntax.py"]
