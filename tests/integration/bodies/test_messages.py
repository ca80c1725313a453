"""What a body's own mistakes say: a hint about handles where a handle was refused, and nowhere else."""

from __future__ import annotations

from typing import Any, cast

import pytest

from twingraph import component, pipeline

pytestmark = pytest.mark.usefixtures("home")


@component
def number(x: int) -> int:
    return x


@pipeline
def takes_a_part() -> Any:
    return cast(Any, number(1))["part"]


@pipeline
def joins() -> str:
    return "".join([cast(Any, number(1))])


def test_what_the_value_itself_refuses_is_said_as_python_says_it() -> None:
    with pytest.raises(TypeError, match=r"'int' object is not subscriptable\n"):
        takes_a_part()


def test_a_handle_that_is_refused_says_what_to_do() -> None:
    with pytest.raises(TypeError, match=r"take the value with \.result\(\)"):
        joins()
