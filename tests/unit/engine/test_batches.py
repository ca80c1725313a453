"""Transactions stay short; what belongs together stays together."""

from __future__ import annotations

from twingraph.engine.batches import batches
from twingraph.store.base import Append, Row


def part(number: int, *kinds: str, **more: object) -> Append:
    rows = [Row(seq, kind, 0.0, "{}", None) for seq, kind in enumerate(kinds, 1)]
    return Append(number=number, epoch=1, rows=rows, **more)  # type: ignore[arg-type]


def sizes(*parts: Append, most: int = 4) -> list[list[tuple[int, int]]]:
    return [[(piece.number, len(piece.rows)) for piece in batch] for batch in batches(parts, most)]


def test_little_goes_at_once() -> None:
    assert sizes(part(1, "a"), part(2, "b", "c")) == [[(1, 1), (2, 2)]]


def test_several_executions_fill_one_transaction_after_another() -> None:
    assert sizes(part(1, *"abc"), part(2, *"ab"), part(3, *"ab")) == [[(1, 3)], [(2, 2), (3, 2)]]


def test_one_large_execution_is_cut_in_order() -> None:
    made = list(batches([part(1, *"abcdefghi")], 4))
    assert [[row.seq for row in batch[0].rows] for batch in made] == [[1, 2, 3, 4], [5, 6, 7, 8], [9]]


def test_what_changes_beside_the_rows_comes_last() -> None:
    whole = part(1, *"abcdef", changes={"status": "completed"}, taken=[7], snapshot="s")
    first, last = (batch[0] for batch in batches([whole], 4))
    assert (first.changes, first.taken, first.snapshot) == ({}, (), None)
    assert (last.changes, last.taken, last.snapshot) == ({"status": "completed"}, [7], "s")


def test_the_pages_of_a_map_are_never_parted() -> None:
    assert sizes(part(1, "a", "b", *["map_expanded"] * 6, "c", "d")) == [[(1, 8)], [(1, 2)]]


def test_the_end_stays_with_what_led_to_it() -> None:
    assert sizes(part(1, *"abcd", "execution_ended")) == [[(1, 5)]]
