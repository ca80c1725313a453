"""Named limits in the store: counted over all conductors, given out in the journal's transaction, freed by death."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from tests.conformance.store import test_journal as suite
from tests.conformance.store.test_journal import Store, begun, hears, part
from twingraph.core.errors import ConflictError
from twingraph.store.base import Append, Claim, LimitChoice, Limits, LimitUse, Wanting, Wish

store = suite.store

DB: Limits = (("db", 2),)
BOTH: Limits = (("db", 2), ("gpu", 1))


class Turn:
    """Wants this and nothing else, and remembers what it saw."""

    def __init__(
        self,
        *granted: Wanting,
        owner: str = "one",
        names: Collection[str] = ("db",),
        short: bool = False,
        buries: bool = False,
        **wishes: tuple[int, float] | None,
    ) -> None:
        self.owner = owner
        self.names = names
        self.buries = buries
        self.saw: list[LimitUse] = []
        limits: dict[str, Limits] = {"db": DB, "both": BOTH}
        self._choice = LimitChoice(granted, {limits[name]: first for name, first in wishes.items()}, short)

    def choose(self, use: LimitUse) -> LimitChoice:
        self.saw.append(use)
        return self._choice


def wants(claim: Claim, node: str = "a", limits: Limits = DB) -> Wanting:
    return Wanting(claim.number, claim.epoch, node, limits)


def held(store: Store, *names: str) -> dict[str, int]:
    return dict(store.other.limit_use(Turn(owner="two", names=names or ("db", "gpu"))).held)


def wished(store: Store, owner: str = "two") -> list[Wish]:
    return list(store.other.limit_use(Turn(owner=owner)).wishes)


def take(store: Store, *wanted: Wanting) -> tuple[set[int], Sequence[Wanting]]:
    return store.journal.append_and_ask([], Turn(*wanted))


def test_what_is_granted_is_counted_by_name_for_everybody(store: Store) -> None:
    claim = begun(store)
    a, b = wants(claim), wants(claim, "b", BOTH)
    assert take(store, a, b) == (set(), [a, b])
    assert held(store) == {"db": 2, "gpu": 1}
    assert held(store, "gpu", "nobody's") == {"gpu": 1}


def test_a_grant_comes_with_the_rows_and_what_is_freed_goes_with_them(store: Store) -> None:
    claim = begun(store)
    turn = Turn(wants(claim))
    store.journal.append_and_ask([part(claim, 3)], turn)
    assert (turn.saw[-1].held, held(store)) == ({}, {"db": 1})
    turn = Turn(wants(claim, "b"))
    store.journal.append_and_ask([part(claim, 4, freed=["a", "never held it"])], turn)
    assert (turn.saw[-1].held, held(store)) == ({}, {"db": 1})
    store.journal.append([part(claim, 5, freed=["b"])])
    assert held(store) == {}
    assert store.records.record("exec-a").seq == 5


def test_of_many_that_are_freed_those_that_hold_something_hold_it_no_more(store: Store) -> None:
    claim, other = begun(store), begun(store, "exec-b")
    take(store, wants(claim, "a"), wants(claim, "\ud800"), wants(claim, "stays"), wants(other, "a"))
    store.journal.append([part(claim, 3, freed=["a", "\ud800", *(f"n{number}" for number in range(100))])])
    assert held(store) == {"db": 2}
    store.journal.append([part(claim, 4, freed=["stays"])])
    assert held(store) == {"db": 1}


def test_who_lost_an_execution_neither_takes_nor_frees_for_it(store: Store) -> None:
    lost, kept = begun(store), begun(store, "exec-b")
    taken = store.other.claim("exec-a", "two")
    mine, others = wants(kept), wants(taken)
    store.other.append_and_ask([], Turn(others, owner="two"))
    assert take(store, wants(lost, "b"), mine) == ({lost.number}, [mine])
    refused = store.journal.append([part(lost, 3, freed=["a"])])
    assert (refused, held(store)) == ({lost.number}, {"db": 2})


def test_what_is_claimed_or_released_holds_nothing(store: Store) -> None:
    alive = store.begin("one")
    first, second = begun(store), begun(store, "exec-b")
    take(store, wants(first), wants(second))
    store.other.release([first.number, second.number], "two")  # not its own
    assert held(store) == {"db": 2}
    store.journal.release([first.number], "one")
    assert held(store) == {"db": 1}
    alive()
    store.other.claim("exec-b", "two")
    assert held(store) == {}


def test_others_see_who_waits_first_in_each_line(store: Store) -> None:
    store.journal.append_and_ask([], Turn(db=(3, 10.0), both=(0, 11.5)))
    assert sorted(wished(store)) == [Wish("one", DB, 3, 10.0), Wish("one", BOTH, 0, 11.5)]
    assert wished(store, "one") == []
    store.journal.append_and_ask([], Turn(db=(0, 12.0), both=None))
    assert wished(store) == [Wish("one", DB, 0, 12.0)]


def lives_in_both(store: Store) -> tuple[Claim, Callable[[], None], Callable[[], None]]:
    """'one' holds both places of `db` and wishes for more."""
    one, two = store.begin("one"), store.begin("two")
    claim = begun(store)
    store.journal.append_and_ask([], Turn(wants(claim), wants(claim, "b"), db=(0, 10.0)))
    return claim, one, two


def test_what_concerns_nobody_here_is_not_seen(store: Store) -> None:
    claim = begun(store)
    store.journal.append_and_ask([], Turn(wants(claim, "a", BOTH), both=(0, 10.0)))
    use = store.other.limit_use(Turn(owner="two", names=("db",)))
    assert ([wish.limits for wish in use.wishes], use.held) == ([BOTH], {"db": 1, "gpu": 1})
    use = store.other.limit_use(Turn(owner="two", names=("tape",)))
    assert (use.wishes, use.held) == ([], {})


def test_what_the_dead_held_and_wished_is_free_for_who_looks_for_them(store: Store) -> None:
    _, dies, _ = lives_in_both(store)
    mine = begun(store, "exec-b", owner="two")
    turn = Turn(short=True, owner="two", buries=True)
    store.other.append_and_ask([], turn)
    assert [dict(use.held) for use in turn.saw] == [{"db": 2}]
    dies()
    turn = Turn(wants(mine), short=True, owner="two")
    store.other.append_and_ask([], turn)  # does not look
    assert [dict(use.held) for use in turn.saw] == [{"db": 2}]
    turn = Turn(short=True, owner="two", buries=True)
    store.other.append_and_ask([], turn)
    assert [(dict(use.held), len(use.wishes)) for use in turn.saw] == [({"db": 3}, 1), ({"db": 1}, 0)]


def test_who_was_taken_for_dead_writes_nothing_more_about_what_held(store: Store) -> None:
    """On a store with leases it may only have slept. Another execution of it, which held nothing, goes on."""
    claim, dies, _ = lives_in_both(store)
    free = begun(store, "exec-b")
    dies()
    store.other.append_and_ask([], Turn(short=True, owner="two", buries=True))
    assert store.records.record("exec-a").owner == "gone"
    assert store.journal.append([part(claim, 3), part(free, 3)]) == {claim.number}
    assert store.other.claim("exec-a", "two").epoch == claim.epoch + 2


def test_the_living_are_not_buried(store: Store) -> None:
    lives_in_both(store)
    store.other.append_and_ask([], Turn(short=True, owner="two", buries=True))
    assert (held(store), len(wished(store))) == ({"db": 2}, 1)
    try:
        store.other.claim("exec-a", "two")
    except ConflictError:
        return
    raise AssertionError("somebody else's execution was taken")


def test_names_of_any_kind(store: Store) -> None:
    claim = begun(store)
    odd: Limits = (('"; drop -- \u00fc', 1), ("\ud83d", 1))
    store.journal.append_and_ask([Append(number=claim.number, epoch=1)], Turn(Wanting(claim.number, 1, "\ud800", odd)))
    assert held(store, *(name for name, _ in odd)) == dict.fromkeys([name for name, _ in odd], 1)
    store.journal.append([part(claim, 3, freed=["\ud800"])])
    assert held(store, *(name for name, _ in odd)) == {}


def test_other_conductors_hear_that_a_limit_is_free(store: Store) -> None:
    claim = begun(store)
    take(store, wants(claim))
    store.other.changed()
    store.journal.changed()
    store.journal.append([part(claim, 3, freed=["a"])])
    assert hears(store.other)
    assert not store.journal.changed()
