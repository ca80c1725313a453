"""Functions of one name are told apart by what they close over by now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twingraph.sdk.code_table import CodeTable
from twingraph.sdk.component import component
from twingraph.sdk.pipeline import pipeline
from twingraph.sdk.registry import Registry
from twingraph.sdk.sameness import closed_over, frozen, name_body

HERE = f"{__name__}:"


def plain(n: int) -> int:
    return n


def made(value: Any) -> Callable[[int], Any]:
    def scaled(n: int, factor: Any = 2) -> Any:
        return n, factor, value

    return scaled


def counting() -> tuple[Callable[[int], int], Callable[[int], None]]:
    total = 0

    def step(n: int) -> int:
        return n + total

    def put(value: int) -> None:
        nonlocal total
        total = value

    return step, put


def recursive(by: int) -> Callable[[int], int]:
    def down(n: int) -> int:
        return down(n - by) if n > 0 else n

    return down


def test_equal_plain_values_make_equal_code() -> None:
    for value in (1, "a", None, (1, [2]), {"a": {1, 2}}, plain, made(3)):
        assert frozen(made(value)) == frozen(made(value))
        assert hash(frozen(made(value))) == hash(frozen(made(value)))
    assert frozen(recursive(1)) == frozen(recursive(1)) != frozen(recursive(2))
    ring: list[Any] = [1]
    ring.append(ring)
    assert frozen(made(ring)) == frozen(made(ring))


def test_other_values_and_objects_make_other_code() -> None:
    one, other = object(), object()
    pairs: list[tuple[Any, Any]] = [(1, 2), (1, True), (0.0, -0.0), ([1], (1,)), (one, other), (plain, made(1))]
    for first, second in pairs:
        assert frozen(made(first)) != frozen(made(second))
    assert frozen(made(one)) == frozen(made(one))
    quick, slow = (component(registry=Registry(), timeout=seconds)(plain) for seconds in (1, 2))
    assert frozen(made(quick)) != frozen(made(slow))


def test_what_a_function_closes_over_may_change() -> None:
    step, put = counting()
    before = closed_over(step)
    put(5)
    assert closed_over(step) != before
    assert closed_over(plain) is None


def test_a_changed_closure_is_another_entry_and_back() -> None:
    step, put = counting()
    target = component(registry=Registry())(step)
    table = CodeTable()
    entries = []
    for value in (0, 5, 5, 0):
        put(value)
        entries.append(table.info(target).entry)
    key = f"{HERE}counting.<locals>.step"
    assert entries == [key, f"{key}#2", f"{key}#2", key]


def test_bodies_of_one_name() -> None:
    one, two, again = (pipeline(registry=Registry())(made(value)) for value in (1, 2, 1))
    bodies: dict[str, Any] = {}
    key = f"{HERE}made.<locals>.scaled"
    assert [name_body(bodies, flow) for flow in (one, two, again, two.options(max_parallel=1))] == [
        key,
        f"{key}#2",
        key,
        f"{key}#2",
    ]
    assert bodies == {key: one, f"{key}#2": two}
