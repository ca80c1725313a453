"""Named limits over the conductors of one home: held by all together, freed by death, cheap for who wants none."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.conducting import SOON, Rig, chain, over, plan, task, until, value, wait_until
from twingraph.core.errors import LeaseLost
from twingraph.core.events import Event, LimitGranted
from twingraph.core.plan import NodeSpec, Plan
from twingraph.core.statuses import NodeStatus
from twingraph.engine.clock import Clock
from twingraph.engine.garbage import Garbage
from twingraph.engine.granting import Granting
from twingraph.engine.ground import Ground
from twingraph.engine.handing import Handing
from twingraph.engine.handle import Handle
from twingraph.engine.held import Held, LimitWishes
from twingraph.engine.kernel import State, commands
from twingraph.engine.moments import Moments
from twingraph.engine.roster import Roster
from twingraph.engine.sizes import Sizes
from twingraph.store.base import Append, Claim, LimitTurn, LimitUse, Wanting
from twingraph.store.sqlite.journal import SqliteJournal


def limited(*names: str, priority: int = 0, **limits: int) -> Plan:
    spec = NodeSpec(component="task", entry="task", limits=limits or {"db": 1}, priority=priority)
    return plan(*(task(name) for name in names), last=names, specs=(spec,))


def begin(rig: Rig, of: Plan) -> Handle:
    handle = rig.submit(of)
    assert handle.wait_recorded(SOON)
    return handle


def rows(rig: Rig, table: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(rig.home.database)
    try:
        return connection.execute(f"select * from {table}").fetchall()
    finally:
        connection.close()


class Counting(SqliteJournal):
    """How often it was asked for what."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig.home)
        self.appends = self.asks = self.looks = 0

    def append(self, batch: Sequence[Append]) -> set[int]:
        self.appends += 1
        return super().append(batch)

    def append_and_ask(self, batch: Sequence[Append], turn: LimitTurn) -> tuple[set[int], Sequence[Wanting]]:
        self.asks += 1
        return super().append_and_ask(batch, turn)

    def limit_use(self, turn: LimitTurn) -> LimitUse:
        self.looks += 1
        return super().limit_use(turn)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path, hold=True) as rig:
        yield rig


@pytest.fixture
def two(one: Rig, tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path, hold=True) as rig:
        yield rig


def counted(rig: Rig) -> Counting:
    journal = Counting(rig)
    rig.make_journal = lambda: journal
    rig.restart(hold=True)
    return journal


def test_a_limit_holds_over_conductors(one: Rig, two: Rig) -> None:
    first = begin(one, limited("a"))
    one.dispatch.wait_for(1)
    second = begin(two, limited("b"))
    wait_until(lambda: two.view(second.id).nodes[0].reason == "waits for the limit db", "it does not wait")
    with pytest.raises(TimeoutError):
        two.dispatch.wait_for(1, timeout=0.3)
    one.dispatch.let_go()
    assert value(over(first)) == "a"
    two.dispatch.wait_for(1)
    two.dispatch.let_go()
    assert value(over(second)) == "b"
    assert two.view(second.id).nodes[0].reason is None
    assert (rows(one, "limit_holders"), rows(one, "limit_wishes")) == ([], [])


def test_what_a_dead_conductor_held_is_free_soon(one: Rig, two: Rig) -> None:
    begin(one, limited("a", "waits"))
    one.dispatch.wait_for(1)
    second = begin(two, limited("b"))
    one.crash()
    two.dispatch.wait_for(1, timeout=10)
    two.dispatch.let_go()
    assert value(over(second)) == "b"


def test_who_was_taken_for_dead_finds_out_before_it_runs_anything_more(one: Rig, two: Rig) -> None:
    """Its lock is free, so others take it for dead; its thread goes on, as after a long sleep of a leaseholder."""
    asleep = begin(one, limited("a", "waits"))
    one.dispatch.wait_for(1)
    begin(two, limited("b"))
    one.crash()
    two.dispatch.wait_for(1)
    one.dispatch.let_go()
    assert isinstance(over(asleep).fault, LeaseLost)
    assert one.dispatch.waiting == []
    two.dispatch.let_go()
    again = two.conductor.adopt(asleep.id)
    assert over(again).status == "completed"


def test_an_execution_that_was_taken_over_asks_anew(one: Rig, two: Rig) -> None:
    begun = begin(one, limited("a", "b", "c", db=2))
    one.dispatch.wait_for(2)
    one.crash()
    taken = two.conductor.adopt(begun.id)
    two.dispatch.wait_for(2)
    assert len(rows(two, "limit_holders")) == 2
    two.dispatch.let_go()
    assert over(taken).status == "completed"


def test_the_higher_priority_goes_first_whoever_asks(one: Rig, two: Rig) -> None:
    begin(one, limited("holder"))
    one.dispatch.wait_for(1)
    begin(one, limited("early"))
    urgent = begin(two, limited("urgent", priority=5))
    wait_until(lambda: len(rows(one, "limit_wishes")) == 2, "its wish is not there")
    one.dispatch.let_one_go("holder")
    two.dispatch.wait_for(1)
    assert one.dispatch.waiting == []
    two.dispatch.let_go()
    assert value(over(urgent)) == "urgent"
    one.dispatch.wait_for(1)


def test_a_pause_frees_limits_for_another_conductor(one: Rig, two: Rig) -> None:
    begun = begin(one, limited("a", "waits"))
    one.dispatch.wait_for(1)
    begin(two, limited("b"))
    one.records.post(begun.id, "pause", "{}")  # nothing of it has begun: the recall gives all of it back
    assert two.dispatch.wait_for(1) == ["b"]
    until(one, begun.id, "paused")
    assert rows(one, "limit_wishes") == []
    one.records.post(begun.id, "resume", "{}")
    two.dispatch.let_go()
    one.dispatch.wait_for(1)
    one.dispatch.let_go()
    assert over(begun).status == "completed"


def test_a_conductor_that_stops_leaves_nothing_behind(one: Rig, two: Rig) -> None:
    begin(one, limited("a", "waits"))
    one.dispatch.wait_for(1)
    one.conductor.stop()
    assert (rows(two, "limit_holders"), rows(two, "limit_wishes")) == ([], [])


def test_who_wants_no_limits_asks_for_none(one: Rig) -> None:
    journal = counted(one)
    one.dispatch.hold = False
    assert over(one.submit(chain(20))).status == "completed"
    assert (journal.asks, journal.looks) == (0, 0)


def test_alone_on_a_home_grants_go_with_the_commits_that_are_made_anyway(one: Rig) -> None:
    """Each turn of a limited node is two: one that ends the node before and grants, one that tells of the grant."""
    journal = counted(one)
    one.dispatch.hold = False
    names = [f"n{number}" for number in range(50)]
    assert over(one.submit(limited(*names))).status == "completed"
    assert journal.asks + journal.appends <= 2 * len(names) + 2
    assert journal.looks <= 2


def test_who_waits_does_not_write_again_and_again(one: Rig, two: Rig) -> None:
    """Only a look for the dead now and then, while others write all the time."""
    begin(one, limited("a"))
    one.dispatch.wait_for(1)
    journal = counted(two)
    waiting = begin(two, limited("b"))
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        one.records.keep_plan("v", f"{time.monotonic()}", "{}")
        time.sleep(0.005)
    assert two.statuses(waiting.id)["b"] is NodeStatus.PENDING
    assert journal.asks <= 4
    assert journal.looks <= 40


def refuse(execution: str, error: Exception) -> None:
    raise error


class Table(NamedTuple):
    """Limits of one execution, with what is told of them."""

    held: Held
    granting: Granting
    journal: SqliteJournal
    told: list[Event]
    home: Rig
    loop: asyncio.AbstractEventLoop

    def wish(self, *wishes: commands.AskLimit | str, of: Held | None = None) -> None:
        """A name is of who wants nothing any more."""
        held = of or self.held
        for wish in wishes:
            if isinstance(wish, str):
                self.granting.give_back(held, wish)
            else:
                held.limits.asked[wish.node] = wish

    def write(self, *others: Held) -> None:
        parts = []
        for held in (self.held, *others):
            parts.append(Append(number=held.number, epoch=1, freed=list(held.limits.freed)))
            held.limits_due, held.limits = held.limits, LimitWishes()
            self.granting.take(held)
        assert self.granting.append(parts) == set()

    def commit(self) -> None:
        self.write()
        self.granting.tell()


@contextmanager
def seated(one: Rig, number: int, rows: int) -> Iterator[Table]:
    told: list[Event] = []
    held = Held(Claim(number=number, epoch=1, seq=0), State("exec-1"), None, Handle("exec-1", one.conductor))
    roster = Roster()
    roster.add(held)
    loop = asyncio.new_event_loop()
    journal = SqliteJournal(one.home)
    handing = Handing(one.dispatch, refuse)
    sizes = Sizes(rows=rows)
    ground = Ground("x", roster, journal, handing, Clock(), Moments(loop, time.perf_counter), Garbage(), sizes)
    granting = Granting(ground, lambda held, act: act(), lambda held, event: told.append(event), lambda: None)
    yield Table(held, granting, journal, told, one, loop)
    journal.close()
    loop.close()


@pytest.fixture
def table(one: Rig) -> Iterator[Table]:
    begin(one, limited("other", gpu=1))
    one.dispatch.wait_for(1)  # it holds its limit
    with seated(one, 1, 1) as table:
        yield table


def ask(node: str, most: int = 1) -> commands.AskLimit:
    return commands.AskLimit(node, (("db", most),), 0)


def test_a_grant_that_was_given_back_meanwhile_is_not_told(table: Table) -> None:
    """Paused and resumed while a long piece of work was done about it: it has asked again, and stands in line."""
    table.wish(ask("a"))
    table.commit()
    assert table.told == [LimitGranted("a")]
    table.wish("a", ask("a"))
    table.write()
    table.wish("a", ask("a"))
    table.granting.tell()
    assert table.told == [LimitGranted("a")]
    table.commit()
    assert table.told == [LimitGranted("a")] * 2


def test_many_who_were_granted_are_told_after_the_turn_of_their_commit(one: Rig) -> None:
    """Who has given it back meanwhile is not told, even where that is written; and nobody else is granted before."""
    begin(one, limited("other", gpu=1))
    one.dispatch.wait_for(1)
    many = [f"n{number}" for number in range(300)]
    with seated(one, 1, 1_000) as table:
        table.wish(*(ask(node, 1_000) for node in many))
        table.commit()
        assert (table.told, table.granting.due) == ([], False)
        table.wish("n7", ask("n7", 1_000))
        table.commit()
        assert table.told == []
        while not table.granting.due:
            table.loop.call_soon(table.loop.stop)
            table.loop.run_forever()
        assert table.told == [LimitGranted(node) for node in many if node != "n7"]
        table.commit()
        assert table.told[299:] == [LimitGranted("n7")]
        assert not table.granting.due


def test_what_is_taken_to_be_written_twice_before_it_is_written_goes_together(table: Table) -> None:
    """As the last piece of a large commit does with what came after it."""
    held = table.held
    table.wish("x", ask("a"), ask("b"))
    held.take(0.0)
    table.wish("y", "b", ask("c"))
    held.take(0.0)
    assert (list(held.limits_due.freed), list(held.limits_due.asked)) == (["x", "y"], ["a", "c"])
    assert not held.limits


def test_who_leaves_the_line_does_so_before_it_is_written(table: Table) -> None:
    """And holds nothing, so that nothing of it has to be written; nor has what it may ask after that waited longer."""
    table.wish(*(ask(node) for node in "abc"))
    for _ in range(4):
        table.commit()
    assert table.told == [LimitGranted("a")]
    table.wish("b", "b", "a", ask("b"))
    assert (list(table.held.limits.freed), list(table.held.limits.asked)) == (["b", "a"], ["b"])
    table.commit()
    assert table.told == [LimitGranted("a"), LimitGranted("c")]
    table.wish("c", "b")
    table.commit()
    assert not table.granting.due
    assert {node for _, _, node in rows(table.home, "limit_holders")} == {"other"}


def test_of_many_that_ask_some_stand_in_line_with_each_commit(table: Table) -> None:
    table.wish(*(ask(node, 10) for node in "abc"))
    for _ in range(2):
        table.commit()
    assert table.told == [LimitGranted("a"), LimitGranted("b")]
    assert table.granting.due
    table.commit()
    table.commit()
    assert table.told[2:] == [LimitGranted("c")]
    assert not table.granting.due


@pytest.mark.parametrize(("rows", "standing"), [(1, [(1, 0), (1, 1), (2, 1)]), (5, [(4, 1), (6, 1)])])
def test_what_stands_in_line_with_a_commit_is_shared_by_all_that_ask(
    one: Rig, rows: int, standing: list[tuple[int, int]]
) -> None:
    """In turn, so that nobody waits for all of another's; what one does not need is for the others."""
    begin(one, limited("holder"))
    one.dispatch.wait_for(1)  # so that nobody is granted
    begin(one, limited("other"))
    with seated(one, 1, rows) as first:
        second = Held(Claim(number=2, epoch=1, seq=0), State("exec-2"), None, Handle("exec-2", one.conductor))
        first.wish(*(ask(f"n{number}") for number in range(6)))
        first.wish(*(ask(node) for node in ("a" if rows > 1 else "ab")), of=second)
        for many, few in standing:
            first.write(second)
            waiting = first.granting._book._waiting
            assert [len(waiting[number].queue_of) if number in waiting else 0 for number in (1, 2)] == [many, few]


def test_who_gives_up_before_it_stood_in_line_is_granted_nothing(table: Table) -> None:
    """And who asks again after that is, once."""
    table.wish(*(ask(node, 10) for node in "abc"))
    table.commit()
    table.wish("b", "c", ask("c", 10))
    while table.granting.due:
        table.commit()
    assert table.told == [LimitGranted("a"), LimitGranted("c")]
    assert {node for _, _, node in rows(table.home, "limit_holders")} == {"a", "c", "other"}


def test_what_asks_for_an_execution_that_is_gone_stands_in_no_line(table: Table) -> None:
    table.wish(*(ask(node, 10) for node in "abc"))
    table.commit()
    assert table.granting.due
    table.granting.drop(1)
    assert not table.granting._asking
