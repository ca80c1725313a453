"""Asking again: how often, after which pauses, and what is said in the end."""

from __future__ import annotations

import pytest

from twingraph.core.errors import BlobsUnavailable
from twingraph.store.blobs.retries import LONGEST_PAUSE, Again, Retries


def failing(times: int) -> tuple[list[int], object]:
    calls: list[int] = []

    def act() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise Again(f"failure {len(calls)}")
        return "done"

    return calls, act


def test_it_is_asked_until_it_works() -> None:
    pauses: list[float] = []
    calls, act = failing(2)
    assert Retries(5, pauses.append)(act, lambda *_: AssertionError()) == "done"  # type: ignore[arg-type]
    assert len(calls) == 3
    assert len(pauses) == 2


def test_after_the_last_attempt_the_last_failure_is_told() -> None:
    _, act = failing(9)
    with pytest.raises(BlobsUnavailable, match="failure 3 after 3"):
        Retries(3, lambda _: None)(act, lambda again, tries: BlobsUnavailable(f"{again} after {tries}"))  # type: ignore[arg-type]


def test_what_is_no_such_failure_is_raised_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        Retries(3, lambda _: None)(lambda: 1 // 0, lambda *_: AssertionError())


def test_pauses_grow_up_to_a_limit_and_are_not_all_alike() -> None:
    least, most = Retries(9, chance=lambda: 0.0), Retries(9, chance=lambda: 1.0)
    assert [most.pause(n) for n in (1, 2, 3)] == [0.2, 0.4, 0.8]
    assert [least.pause(n) for n in (1, 2, 3)] == [0.1, 0.2, 0.4]
    assert most.pause(60) == LONGEST_PAUSE
