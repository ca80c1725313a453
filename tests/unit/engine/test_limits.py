"""Named limits: who may run, in which order, and what a release sets free."""

from __future__ import annotations

import time

from twingraph.engine.limits import LimitBook

ONE = (("db", 1),)
BOTH = (("db", 1), ("gpu", 1))


def test_so_many_as_the_limit_says() -> None:
    book = LimitBook()
    assert book.ask((1, "a"), (("db", 2),), 0) == [(1, "a")]
    assert book.ask((1, "b"), (("db", 2),), 0) == [(1, "b")]
    assert book.ask((1, "c"), (("db", 2),), 0) == []
    assert book.release([(1, "a")]) == [(1, "c")]


def test_higher_priority_goes_first_then_who_asked_first() -> None:
    book = LimitBook()
    book.ask((1, "holder"), ONE, 0)
    for name, priority in (("b", 0), ("c", 5), ("a", 0)):
        book.ask((1, name), ONE, priority)
    order = []
    holder = (1, "holder")
    for _ in range(3):
        (holder,) = book.release([holder])
        order.append(holder[1])
    assert order == ["c", "b", "a"]


def test_all_limits_or_none() -> None:
    book = LimitBook()
    book.ask((1, "db"), ONE, 0)
    assert book.ask((1, "both"), BOTH, 0) == []
    assert book.ask((2, "gpu"), (("gpu", 1),), 0) == [(2, "gpu")]
    assert book.release([(2, "gpu")]) == []
    assert book.release([(1, "db")]) == [(1, "both")]


def test_who_left_the_line_is_not_granted() -> None:
    book = LimitBook()
    book.ask((1, "a"), ONE, 0)
    book.ask((2, "b"), ONE, 0)
    book.ask((3, "c"), ONE, 0)
    assert book.release(book.holders(2)) == []
    assert book.release(book.holders(1)) == [(3, "c")]


def test_who_left_and_came_back_stands_at_the_end() -> None:
    book = LimitBook()
    book.ask((1, "a"), ONE, 0)
    book.ask((2, "b"), ONE, 0)
    book.ask((3, "c"), ONE, 0)
    book.release([(2, "b")])
    book.ask((2, "b"), ONE, 0)
    assert book.release([(1, "a")]) == [(3, "c")]


def test_a_long_line_costs_no_more_per_grant_than_a_short_one() -> None:
    book = LimitBook()
    for number in range(20_000):
        book.ask((1, f"n{number}"), ONE, 0)
    began = time.process_time()
    for number in range(20_000):
        book.release([(1, f"n{number}")])
    assert time.process_time() - began < 2.0
