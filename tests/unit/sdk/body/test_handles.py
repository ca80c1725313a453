"""Handles where their values are wanted."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from twingraph import component, pipeline
from twingraph.testing import Inline


@dataclass
class Counted:
    count: int


@component
def bare() -> NamedTuple:  # as the reference document writes it: no field is declared
    Output = namedtuple("Output", ["filtered", "count"])
    return Output([1], 3)


@component
def given(x: Any) -> Any:
    return x


@pipeline
def by_name() -> list[Any]:
    h: Any = bare()
    return [h["filtered"], h["count"], h.count, h[1], given(Counted(4))["count"]]


@pipeline
def misses(key: str) -> Any:
    h: Any = bare()
    return h[key]


@pipeline
def arrays(x: Any, y: Any) -> list[Any]:
    both = np.array([given(x), given(y)])
    return [
        both.dtype.name,
        both.tolist(),
        float(np.sqrt([given(4.0)])[0]),
        np.asarray(given(x), dtype="f4").dtype.name,
    ]


def test_outputs_that_no_declaration_names_are_there_by_name(inline: Inline) -> None:
    assert inline(by_name) == [[1], 3, 3, 3, 4]


def test_a_name_that_a_tuple_has_not_is_its_own_error(inline: Inline) -> None:
    with pytest.raises(TypeError, match="tuple indices must be integers"):
        inline(misses, key="nosuch")


@pytest.mark.parametrize(("x", "y", "kind"), [(1.0, 4.0, "float64"), (1, 4, "int64"), ([1], [4], "int64")])
def test_numpy_takes_handles_for_their_values(x: Any, y: Any, kind: str, inline: Inline) -> None:
    assert inline(arrays, x=x, y=y) == [kind, [x, y], 2.0, "float32"]
