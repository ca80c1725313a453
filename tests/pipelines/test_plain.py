"""The table by itself: it is large enough, and every row is a program that Python runs."""

from __future__ import annotations

import pytest

from tests.pipelines import plain

ROWS = plain.everything()


def test_the_table_is_large() -> None:
    assert len(ROWS) >= 70


@pytest.mark.parametrize("name", ROWS)
def test_plain_python_runs_it(name: str) -> None:
    try:
        plain.run(ROWS[name])
    except Exception as error:
        assert not isinstance(error, (AssertionError, NameError, AttributeError)) or "ten" in str(error)
