"""A prompt's history as source: it holds no empty lines, and whatever was mistyped."""

from __future__ import annotations

from twingraph.sdk.slicing.prompt import statements


def test_statements_end_where_the_next_one_begins() -> None:
    typed = [
        "@component",
        "def f(x):",
        "    return x",
        "if f:",
        "    y = 1",
        "else:",
        "    y = 2",
        "z = (",
        "1)",
        "f(1)",
    ]
    found = list(statements(typed))
    assert found == [
        "@component\ndef f(x):\n    return x\n",
        "if f:\n    y = 1\nelse:\n    y = 2\n",
        "f(1)\n",
    ]


def test_what_does_not_parse_is_left_out() -> None:
    assert list(statements(["def f(x:", "    oops", "y = 1"])) == ["y = 1\n"]
