"""What is promised of the cache on every maker: outcomes that are kept, and work that is one's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.store.test_journal import Store, begun, new, part, rows
from tests.conformance.store.test_journal import store as store
from twingraph.store.base import Append, CachedOutcome, Claim, Done, Row, Settled, Work

BODY = '{"node":"a","attempt":1,"status":"completed"}'


@pytest.fixture
def first(store: Store) -> Iterator[Claim]:
    end = store.begin("one")
    yield begun(store)
    end()


@pytest.fixture
def second(store: Store) -> Iterator[Claim]:
    end = store.begin("two")
    yield store.other.create(
        new("exec-b", owner="two"), Append(number=0, epoch=1, rows=rows(1, 2), changes={"status": "running"})
    )
    end()


def work(claim: Claim, node: str = "a", *, key: str = "k", scope: str = "", at: float = 10.0, **more: float) -> Work:
    more = {"begun_after": 0.0, "done_after": 0.0, **more}
    return Work(scope, key, claim.number, node, at, **more)


def done(
    claim: Claim, seq: int = 3, *, node: str = "a", key: str = "k", begun: float = 10.0, at: float = 11.0
) -> Append:
    """The commit of the event that ends the work well."""
    settled = Settled("", key, node, begun, Done(seq, at, "count", '{"code":"c"}'))
    return Append(claim.number, claim.epoch, [Row(seq, "node_ended", at, BODY, '"data"')], settled=[settled])


def given_up(claim: Claim, *, node: str = "a", key: str = "k") -> Append:
    return part(claim, 3, settled=[Settled("", key, node, 10.0, None)])


OUTCOME = CachedOutcome("exec-a", "a", 11.0, BODY, '"data"')


def test_work_is_of_who_asks_first(store: Store, first: Claim, second: Claim) -> None:
    assert store.journal.ask_cache([work(first)], "one") == [True]
    assert store.journal.ask_cache([work(first)], "one") == [True]
    assert store.journal.ask_cache([work(first, "b")], "one") == [False]
    assert store.other.ask_cache([work(second)], "two") == [False]


def test_who_lost_the_execution_claims_nothing(store: Store, first: Claim, second: Claim) -> None:
    store.journal.release([first.number], "one")
    store.other.claim("exec-a", "two")
    store.journal.ask_cache([work(first)], "one")
    assert store.other.ask_cache([work(second)], "two") == [True]


def test_of_two_that_ask_at_once_one_is_told_to_wait(store: Store, first: Claim) -> None:
    asked = [work(first, "a"), work(first, "b"), work(first, "c", key="other")]
    assert store.journal.ask_cache(asked, "one") == [True, False, True]


def test_an_outcome_comes_with_the_commit_that_ends_the_work(store: Store, first: Claim, second: Claim) -> None:
    store.journal.ask_cache([work(first)], "one")
    store.journal.append([done(first)])
    assert store.other.ask_cache([work(second)], "two") == [OUTCOME]
    assert store.records.find_cached("", "k", begun_after=0.0, done_after=0.0) == OUTCOME


def test_an_outcome_that_is_refused_is_not_kept(store: Store, first: Claim, second: Claim) -> None:
    store.journal.ask_cache([work(first)], "one")
    assert store.journal.append([Append(first.number, first.epoch + 7, settled=done(first).settled)]) == {first.number}
    assert store.other.ask_cache([work(second)], "two") == [False]


def test_what_is_given_up_is_for_the_next_who_asks(store: Store, first: Claim, second: Claim) -> None:
    store.journal.ask_cache([work(first)], "one")
    store.journal.append([given_up(first)])
    assert store.other.ask_cache([work(second)], "two") == [True]
    assert store.journal.ask_cache([work(first)], "one") == [False]


def test_who_only_waited_gives_nothing_up(store: Store, first: Claim, second: Claim) -> None:
    store.other.ask_cache([work(second)], "two")
    store.journal.append([given_up(first)])
    assert store.journal.ask_cache([work(first)], "one") == [False]


@pytest.mark.parametrize("status", ["paused", "failed", "cancelled", "completed"])
def test_the_work_of_an_execution_that_does_not_run_is_taken_over(
    store: Store, first: Claim, second: Claim, status: str
) -> None:
    store.journal.ask_cache([work(first)], "one")
    store.journal.append([part(first, 3, changes={"status": status})])
    assert store.other.ask_cache([work(second)], "two") == [True]


def test_the_work_of_the_dead_is_taken_over(store: Store, second: Claim) -> None:
    end = store.begin("one")
    claim = begun(store)
    store.journal.ask_cache([work(claim)], "one")
    assert store.other.ask_cache([work(second)], "two") == [False]
    end()
    assert store.other.ask_cache([work(second)], "two") == [True]


def test_the_work_of_what_was_let_go_is_taken_over(store: Store, first: Claim, second: Claim) -> None:
    store.journal.ask_cache([work(first)], "one")
    store.journal.release([first.number], "one")
    assert store.other.ask_cache([work(second)], "two") == [True]


def test_work_follows_its_execution_to_another_conductor(store: Store, second: Claim) -> None:
    end = store.begin("one")
    claim = begun(store)
    store.journal.ask_cache([work(claim)], "one")
    end()
    taken = store.other.claim("exec-a", "two")
    assert store.other.ask_cache([work(second, "b")], "two") == [False]
    assert store.other.ask_cache([work(taken)], "two") == [True]


def test_scopes_and_keys_know_nothing_of_each_other(store: Store, first: Claim, second: Claim) -> None:
    store.journal.ask_cache([work(first)], "one")
    store.journal.append([done(first)])
    for other in (work(second, scope="flow"), work(second, key="other")):
        assert store.other.ask_cache([other], "two") == [True]


def test_what_is_too_old_does_not_count(store: Store, first: Claim, second: Claim) -> None:
    store.journal.ask_cache([work(first)], "one")
    store.journal.append([done(first, begun=10.0, at=11.0)])
    assert store.other.ask_cache([work(second, done_after=11.0)], "two") == [OUTCOME]
    assert store.other.ask_cache([work(second, done_after=11.5)], "two") == [True]


def test_a_refresh_waits_for_nothing_that_was_begun_before(store: Store, first: Claim, second: Claim) -> None:
    store.journal.ask_cache([work(first, at=10.0)], "one")
    assert store.other.ask_cache([work(second, at=20.0, begun_after=15.0)], "two") == [True]
    assert store.journal.ask_cache([work(first, "b", at=21.0, begun_after=15.0)], "one") == [False]


def test_what_was_begun_later_stays(store: Store, first: Claim, second: Claim) -> None:
    store.other.append([done(second, begun=20.0, at=21.0)])
    store.journal.append([done(first, begun=10.0, at=30.0)])
    (kept,) = store.journal.ask_cache([work(first)], "one")
    assert isinstance(kept, CachedOutcome)
    assert kept.execution == "exec-b"
    store.journal.append([done(first, 4, begun=22.0, at=31.0)])
    assert store.records.find_cached("", "k", begun_after=22.0, done_after=0.0) is not None


def test_outcomes_of_a_component_are_found_newest_first(store: Store, first: Claim) -> None:
    for number, at in enumerate((11.0, 13.0, 12.0)):
        store.journal.append([done(first, 3 + number, key=f"k{number}", at=at)])
    assert [row.key for row in store.records.cached("count")] == ["k1", "k2", "k0"]
    assert [row.key for row in store.records.cached("count", before=13.0, limit=1)] == ["k2"]
    assert store.records.cached("count")[0][:2] == ("exec-a", "a")
    assert store.records.cached("other") == []


def test_names_of_half_surrogates_are_kept(store: Store, first: Claim, second: Claim) -> None:
    store.journal.ask_cache([work(first, "\ud800")], "one")
    assert store.journal.ask_cache([work(first, "\ud800")], "one") == [True]
    store.journal.append([done(first, node="\ud800")])
    (kept,) = store.other.ask_cache([work(second)], "two")
    assert isinstance(kept, CachedOutcome)
