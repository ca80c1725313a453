"""Who writes next: many small executions together, a large one a piece at a time beside them."""

from __future__ import annotations

from collections import deque

from twingraph.core.events import PauseRequested
from twingraph.engine.handle import Handle
from twingraph.engine.held import Held
from twingraph.engine.kernel import State
from twingraph.engine.writing import Writing
from twingraph.store.base import Claim


def held(number: int, rows: int) -> Held:
    made = Held(Claim(number=number, epoch=1, seq=0), State(f"exec-{number}"), None, Handle("exec", None))  # type: ignore[arg-type]
    gain(made, rows)
    return made


def gain(made: Held, rows: int) -> None:
    for _ in range(rows):
        made.add(PauseRequested(), 0.0, None)


def writing(*all_of_them: Held) -> Writing:
    made = Writing(rows=4)
    for one in all_of_them:
        made.add(one)
    return made


def turn(of: Writing) -> list[tuple[int, int]]:
    return [(held.number, len(part.rows)) for held, part in of.turn(0.0)]


def test_small_ones_go_together_as_far_as_they_fit() -> None:
    of = writing(held(1, 2), held(2, 2), held(3, 1))
    assert (turn(of), turn(of), turn(of)) == ([(1, 2), (2, 2)], [(3, 1)], [])


def test_a_large_one_keeps_nobody_waiting() -> None:
    of = writing(held(1, 10))
    assert turn(of) == [(1, 4)]
    of.add(held(2, 1))
    assert (turn(of), turn(of), of.due) == ([(1, 4), (2, 1)], [(1, 2)], False)


def test_what_comes_while_pieces_are_left_comes_after_them() -> None:
    large = held(1, 5)
    of = writing(large)
    first = turn(of)
    gain(large, 1)
    of.add(large)
    assert (first, turn(of), turn(of)) == ([(1, 4)], [(1, 1), (1, 1)], [])


def test_one_in_the_middle_of_a_long_piece_of_work_writes_nothing() -> None:
    busy = held(1, 1)
    busy.waiting = deque()
    of = writing(busy)
    assert (of.due, turn(of)) == (False, [])


def test_who_is_dropped_writes_nothing_more() -> None:
    gone = held(1, 9)
    of = writing(gone)
    turn(of)
    of.forget(gone)
    assert (turn(of), gone.unwritten) == ([], False)


def test_a_piece_of_long_rows_is_cut_again() -> None:
    large = held(1, 9)
    large.rows = [row._replace(data="x" * 8_000) if row.seq < 3 else row for row in large.rows]
    of = writing(large)
    written = [turn(of) for _ in range(5)]
    assert written == [[(1, 1)], [(1, 2)], [(1, 1)], [(1, 4)], [(1, 1)]]
