"""Named limits: who may go, in which order, and how several books share one store."""

from __future__ import annotations

import time
from random import Random

import pytest

from tests.support.limits import LimitTable
from twingraph.engine.limits import LOOK_SECONDS, PATIENCE, LimitBook
from twingraph.store.base import Limits, Wanting, Wish

ONE: Limits = (("db", 1),)
TWO: Limits = (("db", 2),)
GPU: Limits = (("gpu", 1),)
BOTH: Limits = (("db", 1), ("gpu", 1))


class Desk:
    """One conductor's book over a table that it may share. Time is moved by hand."""

    def __init__(self, table: LimitTable | None = None, owner: str = "one", number: int = 1) -> None:
        self.table = table if table is not None else LimitTable()
        self.book = LimitBook(owner)
        self.number = number
        self.now = 100.0
        self.lost: set[int] = set()
        self.transactions = 0

    def ask(self, node: str, limits: Limits = ONE, priority: int = 0, *, number: int | None = None) -> list[str]:
        self.book.ask(Wanting(number or self.number, 1, node, limits), priority, self.now)
        return self.turn()

    def free(self, *nodes: str) -> list[str]:
        """These are over."""
        for node in nodes:
            self.table.free(self.number, node)
            self.book.leave(self.number, node)
        return self.turn()

    def turn(self, *, after: float = 0.0) -> list[str]:
        """Who is granted by the next transaction."""
        self.now += after
        turn = self.book.turn(self.now)
        if turn is None:
            return []
        self.transactions += 1
        refused, granted = self.table.give_out(turn, lambda wanting: wanting.number not in self.lost)
        self.book.settle(turn)
        for number in refused:
            self.book.drop(number)
        return [wanting.node for wanting in granted]

    def look(self, *, after: float = 0.0) -> list[str]:
        """The store has changed."""
        self.now += after
        if self.book and self.book.could_go(self.table.use(self.book.look(self.now)), self.now):
            self.book.insist()
            return self.turn()
        return []


def two_desks() -> tuple[Desk, Desk]:
    table = LimitTable()
    return Desk(table), Desk(table, "two", 2)


# -- one conductor


def test_so_many_as_the_limit_says() -> None:
    desk = Desk()
    assert [desk.ask(node, TWO) for node in "abc"] == [["a"], ["b"], []]
    assert desk.free("a") == ["c"]


def test_one_transaction_grants_whatever_may_go() -> None:
    desk = Desk()
    for node in "abcd":
        desk.book.ask(Wanting(1, 1, node, TWO), 0, desk.now)
    assert (desk.turn(), desk.transactions) == (["a", "b"], 1)
    assert desk.free("b", "a") == ["c", "d"]


def test_of_very_many_some_are_granted_with_each_transaction() -> None:
    desk = Desk()
    desk.book = LimitBook("one", 2)
    for node in "abcde":
        desk.book.ask(Wanting(1, 1, node, (("db", 10),)), 0, desk.now)
    granted = []
    while desk.book.due:
        granted.append(desk.turn())
    assert granted == [["a", "b"], ["c", "d"], ["e"]]


def test_higher_priority_goes_first_then_who_asked_first() -> None:
    desk = Desk()
    desk.ask("holder")
    for name, priority in (("b", 0), ("c", 5), ("a", 0)):
        desk.ask(name, priority=priority)
    assert [desk.free(node) for node in ("holder", "c", "b")] == [["c"], ["b"], ["a"]]


def test_all_limits_or_none() -> None:
    desk = Desk()
    desk.ask("db")
    assert desk.ask("both", BOTH) == []
    assert desk.ask("gpu", GPU) == ["gpu"]
    assert desk.free("gpu") == []
    assert desk.free("db") == ["both"]


def test_of_two_numbers_for_one_name_each_holds_for_who_gave_it() -> None:
    desk = Desk()
    assert desk.ask("a", TWO) == ["a"]
    assert desk.ask("strict") == []
    assert desk.ask("b", TWO) == ["b"]
    assert desk.free("a") == []
    assert desk.free("b") == ["strict"]
    assert desk.ask("c", TWO) == ["c"]


def test_who_left_the_line_is_not_granted() -> None:
    desk = Desk()
    for number in (1, 2, 3):
        desk.ask("a", number=number)
    desk.book.drop(2)
    assert desk.free("a") == ["a"]
    assert list(desk.table.held) == [(3, "a")]


def test_who_left_and_came_back_stands_at_the_end() -> None:
    desk = Desk()
    for node in "abc":
        desk.ask(node)
    desk.free("b")
    desk.ask("b")
    assert [desk.free("a"), desk.free("c")] == [["c"], ["b"]]


def test_where_nobody_waits_there_is_nothing_to_do() -> None:
    desk = Desk()
    assert desk.book.turn(desk.now) is None
    desk.ask("a")
    desk.free("a")
    assert (desk.transactions, bool(desk.book), desk.book.is_overdue(1e9)) == (1, False, False)


def test_who_is_refused_leaves_the_line_with_all_of_its_execution() -> None:
    desk = Desk()
    desk.lost = {1}
    desk.book.ask(Wanting(1, 1, "a", ONE), 0, desk.now)
    desk.book.ask(Wanting(1, 1, "b", ONE), 0, desk.now)
    desk.book.ask(Wanting(2, 1, "c", ONE), 0, desk.now)
    assert (desk.turn(), desk.turn()) == ([], ["c"])


def test_a_transaction_that_is_begun_anew_chooses_anew() -> None:
    desk = Desk()
    for node in "ab":
        desk.book.ask(Wanting(1, 1, node, TWO), 0, desk.now)
    turn = desk.book.turn(desk.now)
    assert turn is not None
    assert len(turn.choose(desk.table.use(turn)).granted) == 2
    desk.table.held[9, "x"] = TWO
    assert [wanting.node for wanting in turn.choose(desk.table.use(turn)).granted] == ["a"]
    desk.book.settle(turn)
    desk.table.held[1, "a"] = TWO
    desk.table.free(9, "x")
    desk.book.insist()
    assert desk.turn() == ["b"]


@pytest.mark.soak
def test_a_long_line_costs_no_more_per_grant_than_a_short_one() -> None:
    desk = Desk()
    for number in range(20_000):
        desk.book.ask(Wanting(1, 1, f"n{number}", ONE), 0, desk.now)
    began = time.process_time()
    for number in range(20_000):
        assert desk.turn() == [f"n{number}"]
        desk.table.free(1, f"n{number}")
        desk.book.leave(1, f"n{number}")
    assert time.process_time() - began < 4.0


@pytest.mark.parametrize("seed", range(20))
def test_whoever_leaves_a_line_the_others_keep_their_order(seed: int) -> None:
    """One by one, or most of them at once; or to stand in it anew."""
    desk, chance = Desk(), Random(seed)
    line: dict[str, tuple[int, int]] = {}
    for number in range(400):
        if chance.random() < 0.6 or not line:
            node = chance.choice([*line, f"n{number}"]) if chance.random() < 0.2 else f"n{number}"
            priority = chance.choice((0, 0, 5))
            desk.book.ask(Wanting(1, 1, node, ONE), priority, desk.now)
            line[node] = -priority, number
        elif chance.random() < 0.5:
            leaving = chance.sample(sorted(line), chance.choice((1, len(line) // 2, len(line))))
            for node in leaving:
                assert desk.book.leave(1, node)
            line = {node: place for node, place in line.items() if node not in leaving}
        else:
            (granted,) = desk.turn()
            assert granted == min(line, key=lambda node: line[node])
            del line[granted]
            desk.table.free(1, granted)
            desk.book.leave(1, granted)
    desk.book.drop(1)
    assert not desk.book
    assert desk.turn() == []


def test_who_was_chosen_in_a_transaction_that_failed_may_still_leave() -> None:
    desk = Desk()
    for node in "ab":
        desk.book.ask(Wanting(1, 1, node, TWO), 0, desk.now)
    turn = desk.book.turn(desk.now)
    assert turn is not None
    assert len(turn.choose(desk.table.use(turn)).granted) == 2
    assert desk.book.leave(1, "a")
    desk.book.ask(Wanting(1, 1, "b", TWO), 0, desk.now)
    assert desk.turn() == ["b"]


def test_who_comes_and_goes_behind_another_leaves_nothing_in_the_line() -> None:
    desk = Desk()
    desk.ask("holder")
    desk.ask("first")
    for number in range(1_000):
        desk.ask("a", number=number + 2)
        desk.book.leave(number + 2, "a") if number % 2 else desk.book.drop(number + 2)
    assert len(desk.book._lines[ONE]) < 50
    assert desk.free("holder") == ["first"]


@pytest.mark.parametrize("seed", range(20))
def test_executions_that_leave_a_line_whole_keep_the_order_of_the_others(seed: int) -> None:
    """As do transactions that are begun anew."""
    desk, chance = Desk(), Random(seed)
    desk.table.held[9, "x"] = ONE
    line: dict[tuple[int, str], tuple[int, int]] = {}
    for count in range(400):
        number, act = chance.randint(1, 5), chance.random()
        if act < 0.6:
            priority, node = chance.choice((0, 0, 5)), f"n{chance.randint(0, 20)}"
            desk.book.ask(Wanting(number, 1, node, ONE), priority, desk.now)
            line[number, node] = -priority, count
        elif act < 0.65:
            for _ in desk.book.drop(number):
                pass
            line = {place: asked for place, asked in line.items() if place[0] != number}
        elif line and act < 0.75:
            gone = chance.choice(sorted(line))
            assert desk.book.leave(*gone)
            del line[gone]
        elif line:
            turn = desk.book.turn(desk.now)
            assert turn is not None
            first = min(line, key=lambda place: line[place])
            free = desk.table.use(turn)._replace(held={})
            for use in (free, free, desk.table.use(turn), free)[: chance.randint(1, 4)]:
                granted = [(wanting.number, wanting.node) for wanting in turn.choose(use).granted]
                assert granted == ([first] if use is free else [])
            desk.book.settle(turn)
            if granted:
                del line[first]
            desk.book.insist()
    assert bool(desk.book) == bool(line)


# -- several conductors


def test_others_wait_until_the_store_changes() -> None:
    one, two = two_desks()
    assert (one.ask("a"), two.ask("b"), two.look()) == (["a"], [], [])
    assert one.free("a") == []
    assert two.look() == ["b"]


def test_a_place_is_left_to_another_conductor_where_somebody_asked_before() -> None:
    one, two = two_desks()
    one.ask("a")
    two.now += 1
    two.ask("b")
    one.now += 2
    one.ask("c")
    assert one.free("a") == []
    assert (two.look(), one.look()) == (["b"], [])
    assert two.free("b") == []
    assert one.look() == ["c"]


def test_priority_goes_before_the_order_over_conductors_too() -> None:
    one, two = two_desks()
    one.ask("a")
    one.ask("b")
    two.now += 1
    two.ask("urgent", priority=1)
    assert (one.free("a"), two.look()) == ([], ["urgent"])


def test_what_others_leave_free_may_be_taken() -> None:
    """One place is left to the other conductor; there are two."""
    one, two = two_desks()
    one.ask("a", TWO)
    one.ask("b", TWO)
    two.ask("c", TWO)
    one.now += 1
    one.ask("d", TWO)
    assert one.free("a", "b") == ["d"]
    assert two.look() == ["c"]


def test_a_wish_that_cannot_be_met_stands_in_nobodys_way() -> None:
    one, two = two_desks()
    one.ask("gpu", GPU)
    two.ask("both", BOTH)
    one.now += 1
    assert one.ask("db") == ["db"]


def test_who_stands_still_loses_its_turn_and_nobody_else_does() -> None:
    one, two = two_desks()
    one.ask("a")
    two.ask("b")
    one.now += 1
    one.ask("c")
    assert one.free("a") == []
    assert one.look(after=PATIENCE - 0.1) == []
    assert one.look(after=0.2) == ["c"]


def test_patience_begins_anew_with_each_place() -> None:
    one, two = two_desks()
    one.ask("a")
    for node in ("b", "b2", "b3"):
        two.ask(node)
    one.now += 1
    one.ask("c")
    one.free("a")
    assert two.look(after=0.5) == ["b"]
    assert one.look(after=0.5) == []
    assert two.free("b") == ["b2"]
    two.table.free(2, "b2")  # two stands still from here on
    assert one.look(after=PATIENCE) == []  # not the place that was free before


def test_a_wish_is_withdrawn_with_the_last_who_waits() -> None:
    one, two = two_desks()
    one.ask("a")
    two.ask("b")
    assert list(one.table.wishes) == [("two", ONE)]
    two.book.drop(2)
    two.turn()
    assert one.table.wishes == {}
    one.ask("c")
    assert one.free("a") == ["c"]


def test_who_waits_looks_now_and_then_for_the_dead() -> None:
    one, two = two_desks()
    one.ask("a")
    two.ask("b")
    assert not two.book.is_overdue(two.now + LOOK_SECONDS - 0.1)
    assert two.book.is_overdue(two.now + LOOK_SECONDS)
    two.book.insist()
    again = two.book.turn(two.now + 0.1)
    assert again is not None
    assert not again.buries
    later = two.book.turn(two.now + LOOK_SECONDS)
    assert later is not None
    assert later.buries


def test_a_clock_that_was_set_back_keeps_nobody_from_looking() -> None:
    one, two = two_desks()
    one.ask("a")
    two.ask("b")
    two.book.drop(2)
    two.turn()
    two.now -= 3600
    two.book.ask(Wanting(2, 1, "c", ONE), 0, two.now)
    turn = two.book.turn(two.now)
    assert turn is not None
    assert turn.buries
    assert two.book.is_overdue(two.now)


def test_what_the_dead_held_is_given_out_in_the_transaction_that_finds_them() -> None:
    one, two = two_desks()
    one.ask("a")
    one.ask("waits")
    two.book.ask(Wanting(2, 1, "b", ONE), 0, two.now)
    turn = two.book.turn(two.now)
    assert turn is not None

    def bury() -> bool:
        two.table.free_all(1)
        two.table.forget_wishes("one")
        return True

    assert [wanting.node for wanting in two.table.give_out(turn, bury=bury)[1]] == ["b"]


def test_everybody_sees_the_same_order() -> None:
    """Of two that asked at the same moment both conductors let the same one go."""
    one, two = two_desks()
    third = Desk(one.table, "three", 3)
    third.ask("holder")
    one.ask("a")
    two.ask("b")
    third.free("holder")
    assert (two.look(), one.look()) == ([], ["a"])


def test_wishes_name_the_first_of_each_line() -> None:
    desk = Desk()
    desk.ask("holder")
    desk.ask("a", priority=1)
    desk.now += 1
    desk.ask("b", priority=2)
    desk.ask("c", BOTH)
    other = LimitBook("other")
    other.ask(Wanting(2, 1, "x", (("db", 9),)), 0, 0.0)
    seen = desk.table.use(other.look(0.0)).wishes
    assert sorted(seen) == [Wish("one", ONE, 2, 101.0), Wish("one", BOTH, 0, 101.0)]
