"""Queues of bounded scopes stand aside while they cannot go, and nobody waits longer or in another order for that."""

from __future__ import annotations

import json
from collections import Counter, deque
from random import Random

import pytest

from tests.support.snapshots import dumped_before, told
from tests.unit.engine.kernel.hand import OUTPUT, Hand, error, node, of, task
from twingraph.core import events as ev
from twingraph.core.plan import NodeKind, NodeSpec, PlanNode, ScopeSettings
from twingraph.core.statuses import EXECUTION_OVER
from twingraph.engine.kernel import State, apply, commands, invariants, parking, snapshot

SPECS = (NodeSpec(component="work"), NodeSpec(component="more"), NodeSpec(component="urgent", priority=5))


def sub(name: str, most: int | None = 1) -> PlanNode:
    return node(NodeKind.SCOPE, name, bounds=ScopeSettings(max_parallel=most))


def opened(scopes: int, each: int, *, learned: bool = False, max_parallel: int = 10) -> Hand:
    """So many sub-pipelines that may each do one thing at a time, with so many things to do."""
    hand = Hand(driven=True, specs=SPECS, max_parallel=max_parallel)
    if learned:
        known(hand)
    for number in range(scopes):
        hand.call(sub(f"s{number}"))
        for at in range(each):
            hand.call(task(f"n{at}"), f"s{number}")
    return hand


def known(hand: Hand) -> None:
    """How long things take is no question any more."""
    hand.call(task("first"))
    hand.end("first", started=0.0, ended=1.0)


def test_what_a_full_scope_holds_back_stands_aside_there() -> None:
    hand = opened(3, 2)
    assert set(hand.state.parked) == {"s0", "s1", "s2"}
    hand.end("s1/n0")
    assert hand.running == ["s0/n0", "s1/n1", "s2/n0"]
    assert set(hand.state.parked) == {"s0", "s2"}


def test_scopes_take_turns_when_lanes_are_scarce() -> None:
    hand = opened(5, 4, learned=True, max_parallel=2)
    done: list[str] = []
    while hand.running:
        done.append(min(hand.running, key=lambda name: hand.state.nodes[name].lane.number))  # type: ignore[union-attr]
        hand.end(done[-1])
    turns = [name.partition("/")[0] for name in done]
    for start in range(0, 20, 5):
        assert len(set(turns[start : start + 5])) == 5, turns
    assert [name for name in done if name.startswith("s3")] == [f"s3/n{at}" for at in range(4)]


def test_those_of_a_scope_around_come_back_one_by_one_and_in_turn() -> None:
    hand = Hand(driven=True, specs=SPECS)
    known(hand)
    hand.call(sub("out", 2))
    for number in range(4):
        hand.call(sub(f"s{number}"), "out")
        for at in range(2):
            hand.call(task(f"n{at}"), f"out/s{number}")
    begun: list[str] = []
    while hand.running:
        begun += [name for name in hand.running if name not in begun]
        hand.end(hand.running[0])
    assert sorted(name[-2:] for name in begun[:4]) == ["n0"] * 4
    assert len(begun) == 8


def test_the_more_important_comes_back_first() -> None:
    hand = Hand(driven=True, specs=SPECS)
    known(hand)
    hand.call(sub("s"))
    for name, spec in (("a", 0), ("b", 0), ("c", 2)):
        hand.call(task(name, spec=spec), "s")
    hand.end("s/a")
    assert hand.running == ["s/c"]
    hand.end("s/c")
    assert hand.running == ["s/b"]


def test_the_place_of_one_that_has_nothing_left_goes_to_the_next() -> None:
    hand = Hand(driven=True, specs=SPECS)
    known(hand)
    hand.call(sub("out", 1))
    for number in range(3):
        hand.call(sub(f"s{number}"), "out")
        hand.call(task("n"), f"out/s{number}")
    hand.feed(ev.GraphClosed("out/s1", error=error()))  # what waits in it is cancelled where it stands
    hand.end("out/s0/n")
    assert hand.running == ["out/s2/n"]


def test_a_free_place_goes_past_what_waits_for_word_of_how_long_it_takes() -> None:
    """Enough lanes find that out, and none of them has begun: others of the sub-pipeline need not wait for that."""
    hand = Hand(driven=True, specs=SPECS, max_parallel=100)
    hand.call(sub("s"))
    for name, spec in (("a", 1), ("b", 0), ("c", 0), ("d", 1)):
        hand.call(task(name, spec=spec), "s")
    for number in range(parking.PROBE_LANES):
        hand.call(task(f"n{number}"))
    hand.end("s/a")
    assert "s/d" in hand.running
    assert (set(hand.state.parked), hand.state.scopes["s"].lanes_open) == ({0}, 1)
    hand.end("s/d")
    assert not [name for name in hand.running if name.startswith("s/")]
    hand.end("n0", started=0.0, ended=1.0)
    assert "s/b" in hand.running


def test_it_goes_past_any_number_of_them_and_from_scope_to_scope() -> None:
    hand = Hand(driven=True, specs=SPECS, max_parallel=100)
    hand.call(sub("out", 1))
    for number in range(5):
        hand.call(sub(f"s{number}"), "out")
        hand.call(task("n", spec=1 if number in (0, 4) else 0), f"out/s{number}")
    for number in range(parking.PROBE_LANES):
        hand.call(task(f"n{number}"))
    hand.end("out/s0/n", started=0.0, ended=1.0)
    assert "out/s4/n" in hand.running


def test_what_finds_out_how_long_it_takes_lets_all_come_at_once() -> None:
    hand = opened(3 * parking.PROBE_LANES, 1, max_parallel=100)
    assert len(hand.running) == parking.PROBE_LANES
    assert set(hand.state.parked) == {0}
    hand.end("s0/n0", started=0.0, ended=1.0)
    assert len(hand.running) == 3 * parking.PROBE_LANES - 1
    assert not hand.state.parked


def test_nothing_stands_aside_in_an_execution_that_ends() -> None:
    hand = opened(3, 2)
    hand.feed(ev.CancelRequested())
    assert (hand.state.parked, hand.state.parked_at, hand.state.ready_count) == ({}, {}, 0)


def test_a_snapshot_knows_what_stands_aside() -> None:
    hand = opened(40, 2, max_parallel=100)
    state = snapshot.load(json.loads(snapshot.text(hand.state)))
    assert set(state.parked) == {0, *(f"s{number}" for number in range(parking.PROBE_LANES))}
    event = ev.NodeEnded("s3/n0", 1, "completed", 0.0, 1.0, outputs=(OUTPUT,))
    assert apply(state, event, 200.0, 999) == apply(hand.state, event, 200.0, 999)
    assert snapshot.text(state) == snapshot.text(hand.state)


def test_without_it_a_snapshot_of_before_can_be_read() -> None:
    raw = dumped_before(opened(3, 1).state, 2)
    del raw["parked"]
    assert invariants.broken(snapshot.load(raw)) == []


class Scopes:
    """Sub-pipelines in sub-pipelines, each with lanes of its own or none, and everything that may happen in them. Every
    step is checked by the invariants: that no lane stays free which anybody could use is one of them."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.hand = Hand(driven=True, specs=SPECS, max_parallel=chance.choice((1, 3, 8)), error_handler="continue")
        self.open = [""]
        self.calls = 0

    def step(self) -> None:
        chance, hand = self.chance, self.hand
        running = hand.running
        way = chance.choice(("scope", "call", "call", "call", *["end"] * 6, "other")) if running else "call"
        if way == "scope" and len(self.open) < 30:
            self.call(sub(f"c{self.calls}", chance.choice((None, 1, 1, 2))), scope=True)
        elif way in ("scope", "call"):
            for _ in range(chance.choice((1, 1, 6))):
                self.call(task(f"c{self.calls}", spec=chance.randrange(3)))
        elif way == "end":
            self.end(chance.choice(running))
        else:
            self.other(running)

    def call(self, plan: PlanNode, *, scope: bool = False) -> None:
        inside = self.chance.choice(self.open)
        self.calls += 1
        self.hand.call(plan, inside)
        if scope and self.hand.state.nodes:
            self.open.append(f"{inside}/{plan.id}" if inside else plan.id)

    def end(self, name: str) -> None:
        status = self.chance.choice(("completed", "completed", "completed", "failed", "lost", "cancelled"))
        seconds = self.chance.choice((0.0001, 1.0)) if self.chance.random() < 0.6 else None
        self.hand.end(name, status, started=None if seconds is None else 0.0, ended=seconds)

    def other(self, running: list[str]) -> None:
        chance, hand = self.chance, self.hand
        way = chance.choice(("begun", "returned", "adopt", "pause", "resume", "close"))
        if way == "begun":
            hand.begun(chance.choice(running))
        elif way == "returned":
            name = chance.choice(running)
            hand.feed(ev.NodesReturned(((name, hand.state.nodes[name].attempt),)))
        elif way == "adopt":
            hand.adopt()
        elif way == "pause":
            hand.feed(ev.PauseRequested())
        elif way == "resume":
            hand.feed(ev.ResumeRequested())
        elif len(self.open) > 1 and chance.random() < 0.3:
            scope = chance.choice(self.open[1:])
            self.open.remove(scope)
            hand.feed(ev.GraphClosed(scope, error=error()))

    def finish(self) -> None:
        """Let everything run to its end: nothing may be left behind."""
        self.hand.feed(ev.ResumeRequested())
        for path in sorted(self.open, key=len, reverse=True):
            self.hand.feed(ev.GraphClosed(path))
        while self.hand.running:
            self.hand.end(self.chance.choice(self.hand.running))
        assert self.hand.outcome is not None
        self.hand.feed(ev.ExecutionEnded(self.hand.outcome))
        assert self.hand.state.status in EXECUTION_OVER
        assert not self.hand.state.parked


@pytest.mark.parametrize("seed", range(25))
def test_no_place_stays_free_whatever_happens(seed: int) -> None:
    scopes = Scopes(Random(seed))
    for number in range(120):
        scopes.step()
        if number % 20 == 0:  # what was written down goes on as what was not
            state = scopes.hand.state
            again = snapshot.load(json.loads(snapshot.text(state)))
            assert snapshot.text(again) == snapshot.text(state)
            assert told(again) == told(state)
    scopes.finish()


def events_of(hand: Hand) -> State:
    state = State("exec-1")
    for seq, (event, at) in enumerate(hand.journal, 1):
        apply(state, event, at, seq)
    return state


def test_a_folded_journal_stands_aside_alike() -> None:
    scopes = Scopes(Random(7))
    for _ in range(200):
        scopes.step()
    assert snapshot.text(events_of(scopes.hand)) == snapshot.text(scopes.hand.state)


def test_under_scarce_lanes_no_scope_is_served_twice_before_another_that_could_go() -> None:
    """As before, when every queue was looked at with every event: whoever could go has a turn in each round."""
    hand = opened(12, 30, learned=True, max_parallel=4)
    lanes: deque[str] = deque(hand.running)
    counted: Counter[str] = Counter(name.partition("/")[0] for name in lanes)
    for _ in range(200):
        told = hand.end(lanes.popleft())
        for lane in of(commands.Dispatch, told):
            for name, _ in lane.runs:
                lanes.append(name)
                counted[name.partition("/")[0]] += 1
        assert max(counted.values()) - min(counted.values()) <= 2
