"""What a body keeps of the values that it has looked at."""

from __future__ import annotations

import gc
from typing import Any

from tests.unit.sdk.body.test_host import World
from twingraph.core.bodies import Ended
from twingraph.core.codec import encode
from twingraph.sdk.body.arguments import Reference
from twingraph.sdk.body.given import Given


def over(**values: Any) -> dict[str, Ended]:
    return {name: _ended(name, value) for name, value in values.items()}


def _ended(name: str, value: Any) -> Ended:
    written = encode(value)
    return Ended(name, 1, "completed", "plain", (("output", written.hash, written.size),), (written.text,))


def test_a_value_is_one_object_while_its_handle_lives() -> None:
    given = Given(World(), over(a=[1, 2]))
    cell = given.cell("a")
    assert given.value(cell, None) is given.value(given.cell("a"), None)
    assert given.value(cell, "output") is given.value(cell, None)


def test_an_element_is_known_by_what_it_came_from() -> None:
    given = Given(World(), over(a=[[1], [2]]))
    first = given.value(given.cell("a"), None)[0]
    assert given.origin(first, None) == (Reference("a", None, 0), False)
    first.append(3)
    assert given.origin(first, None) is None


def test_a_changed_value_is_told_from_the_one_that_came() -> None:
    given = Given(World(), over(a=[1]))
    cell = given.cell("a")
    given.value(cell, None).append(2)
    assert given.changed("a", None)


def test_what_no_handle_can_ask_for_is_dropped() -> None:
    ended = over(a=[1], b=[2])
    given = Given(World(), ended, most=1)
    value = given.value(given.cell("a"), None)
    assert ended["a"].texts
    given.value(given.cell("b"), None)
    gc.collect()
    assert not ended["a"].texts
    assert given.origin(value, None) is None


def test_what_ends_after_its_handle_is_gone_keeps_no_texts() -> None:
    given = Given(World(), {})
    given.cell("a")
    gc.collect()
    assert not given.arrived(_ended("a", "long")).texts
    assert given.arrived(_ended("b", "long")).texts
