"""The table by itself: it is large enough, and every row is a program that Python runs."""

from __future__ import annotations

import pytest

from tests.pipelines import plain

ROWS = plain.everything()


def test_the_table_is_large() -> None:
    assert len(ROWS) >= 70


# What a row raises on purpose. Anything else is a mistake in the row.
MEANT = {"ValueError", "KeyError", "Refused", "RuntimeError", "ZeroDivisionError", "OSError", "ExceptionGroup"}


@pytest.mark.parametrize("name", ROWS)
def test_plain_python_runs_it(name: str) -> None:
    ended = plain.outcome(ROWS[name])
    assert ended.error is None or ended.error[0] in MEANT or "not ten" in str(ended.error)
