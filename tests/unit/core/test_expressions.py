"""Expressions are read, never evaluated, here."""

from __future__ import annotations

import pytest

from twingraph.core.expressions import names_used, problem_of


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("a > 1 and b.c < a", ("a", "b")),
        ("int(x) == 3", ("x",)),
        ("True", ()),
        ("rows[0]['n'] + offset", ("rows", "offset")),
    ],
)
def test_names(expression: str, names: tuple[str, ...]) -> None:
    assert names_used(expression) == names


@pytest.mark.parametrize(
    "wrong", ["", "1 +", None, 3, "x = 1", "lambda: 1", "\ud800 > 1", "a\0b", "(" * 300 + "1" + ")" * 300]
)
def test_what_is_no_expression(wrong: object) -> None:
    assert problem_of(wrong) is not None
