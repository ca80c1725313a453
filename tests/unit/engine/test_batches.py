"""Transactions stay short; what belongs together stays together."""

from __future__ import annotations

import pytest

from twingraph.engine.batches import count, fits, pieces
from twingraph.store.base import Append, LogRow, Row


def part(*kinds: str, **more: object) -> Append:
    rows = [Row(seq, kind, 0.0, "{}", None) for seq, kind in enumerate(kinds, 1)]
    return Append(number=1, epoch=1, rows=rows, **more)  # type: ignore[arg-type]


def sizes(whole: Append) -> list[int]:
    return [len(piece.rows) for piece in pieces(whole, 4)]


def test_little_is_one_piece() -> None:
    whole = part("a")
    assert list(pieces(whole, 4)) == [whole]


def test_much_is_cut_in_order() -> None:
    made = list(pieces(part(*"abcdefghi"), 4))
    assert [[row.seq for row in piece.rows] for piece in made] == [[1, 2, 3, 4], [5, 6, 7, 8], [9]]


def test_what_changes_beside_the_rows_comes_last() -> None:
    first, last = pieces(part(*"abcdef", changes={"status": "completed"}, snapshot="s"), 4)
    assert (first.changes, first.snapshot) == ({}, None)
    assert (last.changes, last.snapshot) == ({"status": "completed"}, "s")


def test_a_message_goes_with_the_row_that_answers_it() -> None:
    """Else a crash between two pieces would answer it twice."""
    first, second, last = pieces(part(*"abcdefghij", taken=[7, 8, 9, 10], answers=[2, 4, 5, 11]), 4)
    assert (first.taken, second.taken, last.taken) == ([7, 8], [9], [10])


def test_the_pages_of_a_map_are_never_parted() -> None:
    assert sizes(part("a", "b", *["map_expanded"] * 6, "c", "d")) == [8, 2]


def test_the_end_stays_with_what_led_to_it() -> None:
    assert sizes(part(*"abcd", "execution_ended")) == [5]


def logs(count: int) -> list[LogRow]:
    return [LogRow(0.0, "info", "n", None, 1, "stdout", str(number)) for number in range(count)]


def shape(whole: Append) -> list[tuple[int, int]]:
    return [(len(piece.rows), len(piece.logs)) for piece in pieces(whole, 4)]


@pytest.mark.parametrize(
    ("rows", "lines", "expected"),
    [
        ("", 4, [(0, 4)]),
        ("", 9, [(0, 4), (0, 4), (0, 1)]),
        ("ab", 2, [(2, 2)]),
        ("ab", 3, [(0, 3), (2, 0)]),
        ("ab", 9, [(0, 4), (0, 4), (2, 1)]),
        ("abcdef", 3, [(4, 0), (0, 3), (2, 0)]),
        ("abcdef", 2, [(4, 0), (2, 2)]),
    ],
)
def test_a_flood_of_lines_is_cut_too(rows: str, lines: int, expected: list[tuple[int, int]]) -> None:
    assert shape(part(*rows, logs=logs(lines))) == expected


@pytest.mark.parametrize(
    ("rows", "lines", "expected"),
    [
        ("", 0, [(0, 0, 4), (0, 0, 4), (0, 0, 1)]),
        ("ab", 0, [(2, 0, 2), (0, 0, 4), (0, 0, 3)]),
        ("abcdef", 1, [(4, 0, 0), (2, 1, 1), (0, 0, 4), (0, 0, 4)]),
        ("abc", 6, [(0, 4, 0), (0, 2, 0), (3, 0, 1), (0, 0, 4), (0, 0, 4)]),
    ],
)
def test_what_many_held_is_given_back_in_pieces_too(
    rows: str, lines: int, expected: list[tuple[int, int, int]]
) -> None:
    """Not before the rows that say so."""
    whole = part(*rows, logs=logs(lines), freed=[f"n{number}" for number in range(9)])
    made = list(pieces(whole, 4))
    assert [(len(piece.rows), len(piece.logs), len(piece.freed)) for piece in made] == expected
    assert [node for piece in made for node in piece.freed] == whole.freed
    assert count(whole) == len(rows) + lines + 9


def test_with_an_end_all_that_is_held_is_given_back() -> None:
    """Nobody would free it after that, and before that the journal says that it is held."""
    whole = part(*"abcdef", "execution_ended", freed=[f"n{number}" for number in range(9)])
    assert [(len(piece.rows), len(piece.freed)) for piece in pieces(whole, 4)] == [(4, 0), (3, 9)]


def test_lines_keep_their_order_and_an_end_comes_after_all_of_them() -> None:
    """A run's logs are there when its end, and all the more the execution's, can be read."""
    whole = part("a", "execution_ended", logs=logs(11), changes={"status": "completed"})
    made = list(pieces(whole, 4))
    assert [line for piece in made for line in piece.logs] == whole.logs
    assert [len(piece.rows) for piece in made] == [0, 0, 0, 2]
    assert [piece.changes for piece in made[:-1]] == [{}, {}, {}]
    assert made[-1].changes == {"status": "completed"}


def test_long_rows_count_for_several() -> None:
    rows = [Row(seq, "a", 0.0, "{}", "x" * size) for seq, size in enumerate([4_000, 8_000, 100_000, 0, 0], 1)]
    whole = Append(number=1, epoch=1, rows=rows)
    assert (fits(whole, 2 + 3 + 26 + 1 + 1), fits(whole, 2 + 3 + 26 + 1)) == (True, False)
    assert [[row.seq for row in piece.rows] for piece in pieces(whole, 4, by_size=True)] == [[1], [2], [3], [4, 5]]
