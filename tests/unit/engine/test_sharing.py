"""Cached work under one conductor and under two: answered, waited for, taken over, kept."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.conducting import BRANCH, EXPAND, SOON, TASK, Rig, each, over, plan, until_node, value, wait_until
from twingraph.core.events import NodeEnded, PauseRequested, ResumeRequested, event_from
from twingraph.core.execution import NodeView
from twingraph.core.plan import Edge, NodeKind, NodeSpec, Plan, PlanNode, ScopeSettings, Template
from twingraph.core.statuses import NodeStatus
from twingraph.dispatch.base import ItemsOut, Lane, NodeRun, Outcome, Returned
from twingraph.engine.handle import Handle
from twingraph.engine.held import Kept

CACHED = replace(TASK, cache=True, code_hash="c0de")


class Hands:
    """What runs: each node gives its name, and how many runs there have been."""

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()
        self.failures = 0  # that come before it works
        self.gives_text = False

    def __call__(self, lane: Lane, run: NodeRun) -> object:
        self.ran[run.node] += 1
        if self.failures:
            self.failures -= 1
            raise ValueError("no")
        if self.gives_text:
            return "no list"
        return [run.node, self.ran.total()]


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def rig(tmp_path: Path, hands: Hands) -> Iterator[Rig]:
    with Rig(tmp_path / "home", hands) as made:
        yield made


def cached(*nodes: PlanNode, spec: NodeSpec = CACHED, **more: Any) -> Plan:
    return plan(*nodes, specs=(spec, EXPAND, BRANCH, TASK), **more)


def given(name: str, text: str = "1", **more: Any) -> PlanNode:
    return PlanNode(id=name, spec=0, args={"x": (text,)}, **more)


def node(rig: Rig, execution: str, name: str) -> NodeView:
    return next(found for found in rig.view(execution).nodes if found.id == name)


def test_equal_work_of_an_earlier_execution_is_used_again(rig: Rig, hands: Hands) -> None:
    first = rig.run(cached(given("a")))
    second = rig.run(cached(given("b")))
    assert value(first) == value(second) == ["a", 1]
    assert hands.ran == {"a": 1}
    found = node(rig, second.id, "b")
    assert (found.cached, found.reused_from, found.attempts) == (True, first.id, ())


@pytest.mark.parametrize(
    "other",
    [
        {"code_hash": "other"},
        {"version": "2"},
        {"docker_image": "python@sha256:1"},
        {"environment": {"A": "1"}},
        {"platform": "docker"},
        {"options": "{}"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_other_code_or_surroundings_are_other_work(rig: Rig, hands: Hands, other: dict[str, Any]) -> None:
    rig.run(cached(given("a")))
    rig.run(cached(given("a"), spec=replace(CACHED, **other)))
    assert hands.ran == {"a": 2}


def test_another_input_is_other_work(rig: Rig, hands: Hands) -> None:
    rig.run(cached(given("a", "1"), given("b", "2"), last=("a", "b")))
    assert hands.ran == {"a": 1, "b": 1}


def test_what_is_not_cached_runs_again(rig: Rig, hands: Hands) -> None:
    for _ in range(2):
        rig.run(plan(given("a")))
    assert hands.ran == {"a": 2}


def test_equal_nodes_of_one_execution_are_done_once(rig: Rig, hands: Hands) -> None:
    names = [f"n{number}" for number in range(300)]
    handle = rig.run(cached(*map(given, names), last=tuple(names)))
    assert hands.ran.total() == 1
    assert set(map(tuple, value(handle).values())) == {("n0", 1)}


def test_items_of_a_map_share_their_work(rig: Rig, hands: Hands) -> None:
    source = PlanNode(id="a", spec=3, args={"x": ("[1, 2, 1, 1]",)})
    rig.restart(lambda lane, run: [1, 2, 1, 1] if run.node in ("a", "m") else hands(lane, run))
    over(rig.submit(cached(source, each("m", "a"))))
    assert hands.ran.total() == 2


def test_a_failure_is_not_kept(rig: Rig, hands: Hands) -> None:
    hands.failures = 1
    assert rig.run(cached(given("a"))).status == "failed"
    assert value(rig.run(cached(given("a")))) == ["a", 2]


def test_large_values_are_shared_and_what_is_gone_is_made_again(rig: Rig, hands: Hands) -> None:
    digest = rig.blobs.put(b'"large"')
    text = f'{{"$":"ref","rung":"json","hash":"{digest}","size":7}}'
    rig.restart(hands, hold=True)
    first = rig.submit(cached(given("a")))
    rig.dispatch.wait_for(1)
    outcome = Outcome(
        execution=first.id,
        node="a",
        attempt=1,
        status="completed",
        started=None,
        ended=0.0,
        shape="plain",
        outputs=(("output", digest, 7),),
        texts=(text,),
    )
    rig.dispatch.tell(outcome)
    over(first)
    assert rig.run(cached(given("b"))).result == first.result == text
    rig.blobs.delete(digest)
    third = rig.submit(cached(given("c")))
    rig.dispatch.let_go()
    assert value(over(third)) == ["c", 2]
    (answered,) = [row.body for row in rig.records.rows(third.id) if row.kind == "cache_answered"]
    assert "a value of a in" in answered
    assert "is gone" in answered


def test_an_outcome_goes_with_its_execution(rig: Rig, hands: Hands) -> None:
    first = rig.run(cached(given("a")))
    second = rig.run(cached(given("b")))
    db = sqlite3.connect(rig.home.database)
    db.execute("delete from executions where id = ?", (first.id,))  # as prune does
    db.commit()
    db.close()
    assert value(rig.run(cached(given("c")))) == ["c", 2]
    found = node(rig, second.id, "b")
    assert [output.text for output in found.outputs] == ['["a",1]']


@pytest.mark.parametrize("data", ['{"$":"ref"', '{"$":"ref","rung":"json"}', "1\n2", None])
def test_an_outcome_that_is_damaged_is_made_again(rig: Rig, hands: Hands, data: str | None) -> None:
    rig.run(cached(given("a")))
    db = sqlite3.connect(rig.home.database)
    db.execute("update events set data = ? where kind = 'node_ended'", (data,))
    db.commit()
    db.close()
    assert value(rig.run(cached(given("b")))) == ["b", 2]


def test_a_ttl_ends(rig: Rig, hands: Hands) -> None:
    spec = replace(CACHED, cache={"ttl": 3600.0})
    rig.run(cached(given("a"), spec=spec))
    rig.run(cached(given("a"), spec=spec))
    assert hands.ran == {"a": 1}
    _age(rig, 3661.0)
    last = rig.run(cached(given("a"), spec=spec))
    assert hands.ran == {"a": 2}
    told = node(rig, last.id, "a").cache(False)
    assert told is not None
    assert told.verdict == "miss"
    assert "is older (1h1m) than the ttl of 1h lets it be" in (told.why or "")


def test_each_asker_has_a_ttl_of_its_own(rig: Rig, hands: Hands) -> None:
    rig.run(cached(given("a")))
    _age(rig, 100.0)
    rig.run(cached(given("a"), spec=replace(CACHED, cache={"ttl": 200.0})))
    assert hands.ran == {"a": 1}
    rig.run(cached(given("a"), spec=replace(CACHED, cache={"ttl": 50.0})))
    assert hands.ran == {"a": 2}
    rig.run(cached(given("a"), spec=replace(CACHED, cache={"ttl": 50.0})))
    assert hands.ran == {"a": 2}


def _age(rig: Rig, seconds: float) -> None:
    db = sqlite3.connect(rig.home.database)
    db.execute("update cache set done_at = done_at - ?, begun_at = begun_at - ?", (seconds, seconds))
    db.commit()
    db.close()


def test_the_parameters_that_were_chosen_stand_for_all(rig: Rig, hands: Hands) -> None:
    spec = replace(CACHED, cache={"key": ["x"]})
    one = PlanNode(id="a", spec=0, args={"x": ("1",), "y": ("1",)})
    two = PlanNode(id="a", spec=0, args={"x": ("1",), "y": ("2",)})
    first, second = (rig.run(cached(work, spec=spec)) for work in (one, two))
    assert hands.ran == {"a": 1}
    left, right = node(rig, first.id, "a"), node(rig, second.id, "a")
    assert left.cache_key == right.cache_key
    assert left.hash != right.hash


@pytest.mark.parametrize(("scope", "runs"), [("home", 1), ("workflow", 1), ("execution", 2)])
def test_a_scope_says_who_shares(rig: Rig, hands: Hands, scope: str, runs: int) -> None:
    spec = replace(CACHED, cache={"scope": scope})
    for _ in range(2):
        rig.run(cached(given("a"), given("b"), spec=spec, last=("a", "b")))
    assert hands.ran.total() == runs


def test_a_refresh_does_it_again_and_replaces_what_was_kept(rig: Rig, hands: Hands) -> None:
    rig.run(cached(given("a")))
    names = ("a", "b")
    again = over(rig.submit(cached(*map(given, names), last=names), refresh=True))
    assert hands.ran.total() == 2  # equal nodes of the refreshed execution are still done once
    after = rig.run(cached(given("c")))
    assert node(rig, after.id, "c").reused_from == again.id


def test_code_that_is_not_known_by_its_content_is_refused(rig: Rig) -> None:
    for code in (None, "import:c0de"):
        handle = rig.run(cached(given("a"), spec=replace(CACHED, code_hash=code)))
        assert handle.error is not None
        assert "give it a `version`" in handle.error.message
    assert rig.run(cached(given("a"), spec=replace(CACHED, code_hash=None, version="1"))).status == "completed"


def test_what_a_replay_keeps_is_not_asked_for(rig: Rig, hands: Hands) -> None:
    first = rig.run(cached(given("a")))
    (row,) = [row for row in rig.records.rows(first.id) if row.kind == "node_ended"]
    event = event_from(row.kind, row.body)
    assert isinstance(event, NodeEnded)
    kept = Kept(rows=[(event._replace(cached_from=first.id), ['"kept"'])])
    again = rig.run(cached(given("a")), kept={"a": kept}, replay_of=first.id, refresh=True)
    assert value(again) == "kept"
    assert hands.ran == {"a": 1}
    assert node(rig, again.id, "a").reused_node is None
    db = sqlite3.connect(rig.home.database)
    assert db.execute("select count(*) from cache_claims").fetchone() == (0,)
    db.close()


# -- two conductors on one home ---------------------------------------------------------------------


@pytest.fixture
def other(rig: Rig, hands: Hands) -> Iterator[Rig]:
    with Rig(rig.home.path, hands, blobs=rig.blobs) as made:
        yield made


def begin_held(rig: Rig, hands: Hands) -> Handle:
    """An execution whose one node is in the hands of a dispatch that does nothing yet."""
    rig.restart(hands, hold=True)
    handle = rig.submit(cached(given("a")))
    rig.dispatch.wait_for(1)
    return handle


def wait_for_it(other: Rig, count: int) -> list[Handle]:
    """So many executions that wait for the same."""
    handles = [other.submit(cached(given("a"))) for _ in range(count)]
    for handle in handles:
        wait_until(lambda handle=handle: _reason(other, handle) == "waits for equal work", "it does not wait")  # type: ignore[misc]
    return handles


def _reason(rig: Rig, handle: Handle) -> str | None:
    return next((found.reason for found in rig.view(handle.id).nodes), None) if handle.wait_recorded(SOON) else None


def test_work_in_flight_elsewhere_is_waited_for(rig: Rig, other: Rig, hands: Hands) -> None:
    owner = begin_held(rig, hands)
    waiters = wait_for_it(other, 2)
    rig.dispatch.let_go()
    assert [value(over(handle)) for handle in (owner, *waiters)] == [["a", 1]] * 3
    assert hands.ran == {"a": 1}


@pytest.mark.parametrize("end", ["dies", "is cancelled", "is paused", "fails"])
def test_one_waiter_takes_over_when_the_owner(rig: Rig, other: Rig, hands: Hands, end: str) -> None:
    owner = begin_held(rig, hands)
    waiters = wait_for_it(other, 3)
    if end == "dies":
        rig.crash()
    elif end == "is cancelled":
        rig.conductor.cancel(owner.id)
    elif end == "is paused":
        rig.conductor.interrupt(owner.id, kill=True)
    else:
        hands.failures = 1
        rig.dispatch.let_go()
    assert {tuple(value(over(handle))) for handle in waiters} == {("a", 2 if end == "fails" else 1)}
    kinds = [[row.kind for row in other.records.rows(handle.id)] for handle in waiters]
    assert sum("cache_owner_lost" in seen for seen in kinds) == 1


def test_who_was_paused_finds_what_was_done_meanwhile(rig: Rig, other: Rig, hands: Hands) -> None:
    owner = begin_held(rig, hands)
    (waiter,) = wait_for_it(other, 1)
    rig.conductor.feed(owner.id, PauseRequested())
    rig.dispatch.tell(Returned(owner.id, [("a", 1)]))
    assert value(over(waiter)) == ["a", 1]
    rig.conductor.feed(owner.id, ResumeRequested())
    assert value(over(owner)) == ["a", 1]
    assert node(rig, owner.id, "a").reused_from == waiter.id


def test_who_is_taken_over_asks_again(rig: Rig, other: Rig, hands: Hands) -> None:
    owner = begin_held(rig, hands)
    (waiter,) = wait_for_it(other, 1)
    rig.crash()
    assert value(over(waiter)) == ["a", 1]
    assert value(over(other.conductor.adopt(owner.id))) == ["a", 1]
    assert hands.ran == {"a": 1}


def test_what_a_generator_handed_over_before_it_was_taken_over_stands(rig: Rig, other: Rig, hands: Hands) -> None:
    owner = begin_held(rig, hands)
    (waiter,) = wait_for_it(other, 1)
    rig.dispatch.tell(ItemsOut(owner.id, "a", 1, 0, ['"first"']))
    wait_until(lambda: any(row.kind == "items_given" for row in rig.records.rows(owner.id)), "it gave nothing")
    rig.crash()
    assert value(over(waiter)) == ["a", 1]
    assert value(over(other.conductor.adopt(owner.id))) == ["first", 1]


def test_what_is_no_list_does_not_go_on_with_a_generator(rig: Rig, other: Rig, hands: Hands) -> None:
    """It runs itself."""
    owner = begin_held(rig, hands)
    (waiter,) = wait_for_it(other, 1)
    rig.dispatch.tell(ItemsOut(owner.id, "a", 1, 0, ['"first"']))
    wait_until(lambda: any(row.kind == "items_given" for row in rig.records.rows(owner.id)), "it gave nothing")
    rig.crash()
    hands.gives_text = True
    assert value(over(waiter)) == "no list"
    hands.gives_text = False
    assert value(over(other.conductor.adopt(owner.id))) == ["first", 2]


def test_a_waiter_that_is_cancelled_leaves_the_others_alone(rig: Rig, other: Rig, hands: Hands) -> None:
    begin_held(rig, hands)
    first, second = wait_for_it(other, 2)
    other.conductor.cancel(first.id)
    assert over(first).status == "cancelled"
    rig.dispatch.let_go()
    assert value(over(second)) == ["a", 1]


def test_many_that_wait_for_different_work_are_served(rig: Rig, other: Rig, hands: Hands) -> None:
    names = tuple(f"n{number}" for number in range(250))
    both = cached(*(given(name, str(number)) for number, name in enumerate(names)), last=names)
    rig.restart(hands, hold=True)
    owner = rig.submit(both)
    assert owner.wait_recorded(SOON)
    wait_until(lambda: rig.record(owner.id).seq >= 250, "it was not told to go on")
    waiter = other.submit(both)
    assert waiter.wait_recorded(SOON)
    wait_until(lambda: other.record(waiter.id).seq >= 250, "it was not told to wait")
    rig.dispatch.let_go()
    assert value(over(owner)) == value(over(waiter))
    assert hands.ran.total() == 250


# -- an answer that ends others ----------------------------------------------------------------------

# A sub-pipeline whose one node fails, so that it fails itself with the last of its others, and all of the execution.
DOOMED = Template(
    nodes=(PlanNode(id="bad", spec=3), PlanNode(id="h", spec=4), given("x", edges=(Edge(source="h", param=""),))),
    last_nodes=("bad",),
)


def doomed(rig: Rig, hands: Hands, text: str) -> Handle:
    """One that asks for "1" in its sub-pipeline, and then for this outside: `h` and `g` are still to end before."""

    def act(lane: Lane, run: NodeRun) -> object:
        if run.node == "s/bad":
            raise ValueError("bad")
        return hands(lane, run)

    rig.restart(act, hold=True)
    scope = PlanNode(id="s", kind=NodeKind.SCOPE, template="sub", bounds=ScopeSettings(error_handler="continue"))
    y = given("y", text, edges=(Edge(source="g", param=""),))
    specs = (CACHED, EXPAND, BRANCH, TASK, replace(TASK, priority=1))
    handle = rig.submit(plan(scope, PlanNode(id="g", spec=3), y, specs=specs, templates={"sub": DOOMED}))
    rig.dispatch.wait_for(3)
    rig.dispatch.let_one_go("s/bad")
    until_node(rig, handle.id, "s/bad", NodeStatus.FAILED)
    return handle


def asks(rig: Rig, handle: Handle, after: str, name: str) -> None:
    rig.dispatch.let_one_go(after)
    wait_until(lambda: node(rig, handle.id, name).reason == "waits for equal work", f"{name} does not wait")


def test_a_hit_may_end_another_that_waits_for_the_same(rig: Rig, other: Rig, hands: Hands) -> None:
    owner = begin_held(rig, hands)
    ending = doomed(other, hands, "1")
    bystander = other.submit(cached(given("a")))
    asks(other, ending, "s/h", "s/x")
    asks(other, ending, "g", "y")
    rig.dispatch.let_go()
    assert value(over(owner)) == value(over(bystander))
    assert over(ending).fault is None
    assert other.statuses(ending.id)["y"] is NodeStatus.CANCELLED
    assert other.conductor.usable


def test_a_hit_may_end_another_that_asks_for_other_work_at_the_same_time(rig: Rig, hands: Hands) -> None:
    rig.run(cached(given("a")))
    ending = doomed(rig, hands, "2")
    rig.dispatch.let_go()  # both ask at once
    assert over(ending).fault is None
    assert rig.statuses(ending.id) == {
        "s": NodeStatus.FAILED,
        "s/bad": NodeStatus.FAILED,
        "s/h": NodeStatus.COMPLETED,
        "s/x": NodeStatus.COMPLETED,
        "g": NodeStatus.COMPLETED,
        "y": NodeStatus.CANCELLED,
    }
    assert claims(rig) == 0
    assert value(rig.run(cached(given("b", "2")))) == ["b", hands.ran.total()]


def test_what_was_waited_for_is_given_back_when_a_hit_ends_its_new_owner(rig: Rig, other: Rig, hands: Hands) -> None:
    def act(lane: Lane, run: NodeRun) -> object:
        if run.node == "b":
            raise ValueError("b")
        return hands(lane, run)

    rig.restart(act, hold=True)
    owner = rig.submit(cached(given("a", "1"), given("b", "2"), last=("a", "b")))
    rig.dispatch.wait_for(2)
    ending = doomed(other, hands, "2")
    asks(other, ending, "s/h", "s/x")
    asks(other, ending, "g", "y")
    rig.dispatch.let_go()  # one is done and the other given up with the same commit
    assert over(owner).fault is None
    assert over(ending).fault is None
    assert other.statuses(ending.id)["y"] is NodeStatus.CANCELLED
    assert claims(rig) == 0


def claims(rig: Rig) -> int:
    db = sqlite3.connect(rig.home.database)
    count = int(db.execute("select count(*) from cache_claims").fetchone()[0])
    db.close()
    return count
