from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twingraph.core.ids import execution_id, idempotency_key

times = st.integers(0, 2**44)
chances = st.integers(0, 2**35 - 1)


@given(first=times, second=times, chance=chances)
def test_ids_sort_by_time(first: int, second: int, chance: int) -> None:
    assert (execution_id(first, chance) < execution_id(second, chance)) is (first < second)


@given(time=times, chance=chances)
def test_an_id_has_no_letter_that_is_easily_misread(time: int, chance: int) -> None:
    text = execution_id(time, chance).removeprefix("exec-")
    assert len(text) == 16
    assert not set(text) & set("ilou")


@given(time=times, first=chances, second=chances)
def test_chance_tells_ids_of_one_moment_apart(time: int, first: int, second: int) -> None:
    assert (execution_id(time, first) == execution_id(time, second)) is (first == second)


def test_a_key_names_execution_and_node() -> None:
    assert idempotency_key("exec-1", "a[x]") == "exec-1:a[x]"
