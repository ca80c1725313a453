"""Executions that are begun at the same moment are recorded by one transaction: whoever commits waits for the disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.by_hand import ByHand
from tests.support.conducting import chain, echo, fresh_home, value
from twingraph.core.errors import ConflictError, StoreError
from twingraph.engine.arriving import TOGETHER
from twingraph.store.base import Append, Claim, NewExecution
from twingraph.store.home import Home
from twingraph.store.sqlite.journal import SqliteJournal


class Counting(SqliteJournal):
    """How many were recorded by each transaction."""

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self.together: list[int] = []

    def create_all(self, begun: Sequence[tuple[NewExecution, Append]]) -> list[Claim]:
        self.together.append(len(begun))
        return super().create_all(begun)


class Full(Counting):
    def create_all(self, begun: Sequence[tuple[NewExecution, Append]]) -> list[Claim]:
        super().create_all(begun)
        raise StoreError("nobody knows whether that was written")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = fresh_home(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def journal(home: Home) -> Counting:
    return Counting(home)


@pytest.fixture
def by_hand(home: Home, journal: Counting) -> Iterator[ByHand]:
    made = ByHand(home, echo, lambda home: journal)
    yield made
    made.conductor.end()


def test_what_is_submitted_at_once_is_recorded_at_once(by_hand: ByHand, journal: Counting) -> None:
    handles = [by_hand.submit(chain(2)) for _ in range(5)]
    by_hand.turn()
    assert journal.together == [5]
    by_hand.turns_until(lambda: all(handle.wait(0) for handle in handles))
    assert [value(handle) for handle in handles] == ["n0"] * 5
    assert by_hand.records.page()[1] == 5


def test_one_alone_waits_for_nobody(by_hand: ByHand, journal: Counting) -> None:
    by_hand.submit(chain(2))
    by_hand.turn()
    by_hand.submit(chain(2))
    by_hand.turn()
    assert journal.together == [1, 1]


def test_no_transaction_grows_without_bound(by_hand: ByHand, journal: Counting) -> None:
    for _ in range(TOGETHER + 1):
        by_hand.submit(chain(1))
    by_hand.turn()
    assert journal.together == [TOGETHER, 1]


def test_a_replay_that_is_refused_harms_nobody_beside_it(by_hand: ByHand) -> None:
    good = [by_hand.submit(chain(1))]
    refused = by_hand.submit(chain(1), replay_of="exec-pruned")
    good.append(by_hand.submit(chain(1)))
    by_hand.turns_until(lambda: all(handle.wait(0) for handle in [*good, refused]))
    assert isinstance(refused.fault, ConflictError)
    assert [value(handle) for handle in good] == ["n0", "n0"]


def test_what_is_wished_of_one_comes_after_its_beginning(by_hand: ByHand) -> None:
    handle = by_hand.submit(chain(2))
    cancelled = by_hand.conductor.cancel(handle.id)
    by_hand.submit(chain(1))
    by_hand.turns_until(lambda: cancelled.wait(0))
    assert (handle.fault, handle.status) == (None, "cancelled")


def test_all_of_them_are_told_when_nobody_knows_whether_they_were_recorded(home: Home) -> None:
    by_hand = ByHand(home, echo, Full)
    handles = [by_hand.submit(chain(1)) for _ in range(3)]
    by_hand.turn()
    assert [type(handle.fault) for handle in handles] == [StoreError] * 3
    assert not by_hand.conductor.usable
    by_hand.conductor.end()


def test_who_was_not_recorded_before_the_end_is_told(home: Home, journal: Counting) -> None:
    """The end comes while more is asked, so that what was begun still waits for it."""
    by_hand = ByHand(home, echo, lambda home: journal)
    handles = [by_hand.submit(chain(1))]

    def asks_more_and_ends() -> None:
        handles.append(by_hand.submit(chain(1)))
        by_hand.loop.stop()

    by_hand.conductor._door.ask(asks_more_and_ends, lambda: None)
    by_hand.loop.run_forever()
    by_hand.conductor.end()
    assert journal.together == []
    assert ["has been stopped" in str(handle.fault) for handle in handles] == [True, True]


class Choosy(Counting):
    """Cannot write what one of them is called."""

    refused = ""

    def create(self, new: NewExecution, first: Append) -> Claim:
        if new.id == self.refused:
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        return super().create(new, first)

    def create_all(self, begun: Sequence[tuple[NewExecution, Append]]) -> list[Claim]:
        for new, _ in begun:
            if new.id == self.refused:
                raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        return super().create_all(begun)


def test_one_that_cannot_be_recorded_harms_nobody_beside_it(home: Home) -> None:
    journal = Choosy(home)
    by_hand = ByHand(home, echo, lambda home: journal)
    handles = [by_hand.submit(chain(1)) for _ in range(3)]
    journal.refused = handles[1].id
    by_hand.turns_until(lambda: all(handle.wait(0) for handle in handles))
    assert [type(handle.fault) for handle in handles] == [type(None), UnicodeEncodeError, type(None)]
    assert [value(handle) for handle in (handles[0], handles[2])] == ["n0", "n0"]
    by_hand.conductor.end()
