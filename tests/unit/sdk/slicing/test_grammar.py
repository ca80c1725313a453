"""Which Python a with statement needs is seen alike by every Python that reads it."""

from __future__ import annotations

import pytest

from twingraph.sdk.slicing.grammar import lowest, needs
from twingraph.sdk.slicing.sources import Source

OLD = [
    "with (open(x)) as f: pass",
    "with (open(x)): pass",
    "with (\n    open(x)\n): pass",
    "with (a), (b): pass",
    "with (a) as b, (c) as d: pass",
    "with (a, b) as c: pass",
    "with (a or b).c() as d: pass",
    "with (lambda a, b: c): pass",
    "x = 'ä'; y = 1\nwith (a): pass",
]
NEW = [
    "with (a, b): pass",
    "with (a as b): pass",
    "with (a as b, c as d): pass",
    "with (a,): pass",
    "with (\n    a('ä') as b,  # why\n    c as d,\n): pass",
    "with ((a), (b)): pass",
    "async def f():\n    async with (a as b, c): pass",
]


def lowest_of(text: str) -> tuple[int, int]:
    source = Source(name="m", file="m.py", text=text, package=False, main=False)
    return lowest(list(needs(source.tree, source)))


@pytest.mark.parametrize("text", OLD)
def test_brackets_around_one_manager_are_old(text: str) -> None:
    assert lowest_of(text) == (3, 8)


@pytest.mark.parametrize("text", NEW)
def test_brackets_around_the_list_are_new(text: str) -> None:
    assert lowest_of(text) == (3, 9)
