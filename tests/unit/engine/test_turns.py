"""No turn of the loop does much, however large an execution is. The clock by which the conductor tells that a moment
is over moves at every look at it, so that nothing here depends on how fast the machine is."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.by_hand import ByHand, Opens
from tests.support.conducting import each, echo, fresh_home, plan, task, value
from twingraph.core.errors import StoreError
from twingraph.core.events import (
    Created,
    Event,
    GraphClosed,
    GraphExtended,
    SignalReceived,
    event_from,
)
from twingraph.core.long_events import Gathered
from twingraph.core.plan import Edge, Hole, NodeKind, Plan, PlanNode, Source, Template
from twingraph.core.policies import ErrorHandler
from twingraph.core.records import Changes, Settings
from twingraph.core.statuses import NodeStatus
from twingraph.dispatch.base import LogLines
from twingraph.engine import garbage
from twingraph.engine.handle import Handle
from twingraph.engine.kernel import State, apply
from twingraph.engine.recorded import Recorded
from twingraph.engine.replay import kept
from twingraph.engine.sizes import USUAL
from twingraph.store.base import Append, Claim, NewExecution
from twingraph.store.blobs.memory import MemoryBlobs
from twingraph.store.sqlite.journal import SqliteJournal

MANY = 3_000
SMALL = plan(task("only"))


def items(lane: object, run: object) -> object:
    return list(range(MANY)) if getattr(run, "node", "") in ("a", "m") else 1


@pytest.fixture
def by_hand(opened: Opens) -> ByHand:
    return opened(items)


def over(handle: Handle) -> bool:
    return handle.wait(0)


def wide() -> Plan:
    return plan(*(task(f"n{number}") for number in range(MANY)))


def test_a_large_execution_is_cancelled_in_many_turns_and_others_go_on_between(by_hand: ByHand) -> None:
    by_hand.dispatch.hold = True
    large = by_hand.submit(wide())
    by_hand.turns_until(lambda: bool(by_hand.dispatch.waiting))
    state = by_hand.state(large)
    ended = [state.ended_count]
    by_hand.conductor.cancel(large.id)
    small = by_hand.submit(SMALL)
    recorded: list[int] = []

    def look() -> None:
        ended.append(state.ended_count)
        if small.status == "running" and not recorded:
            recorded.append(state.ended_count)

    running = len(by_hand.dispatch.waiting)
    by_hand.turns_until(lambda: state.ended_count >= MANY - running, look)
    steps = [after - before for before, after in itertools.pairwise(ended)]
    # In the last turn dispatch reports at once those that ran.
    assert 0 < max(steps[:-1]) <= 2
    assert recorded
    assert recorded[0] < MANY / 2


def test_a_large_workflow_begins_in_many_turns_and_others_go_on_between(by_hand: ByHand) -> None:
    large, small = by_hand.submit(wide()), by_hand.submit(SMALL)
    by_hand.turns_until(lambda: over(small))
    assert not large.wait_recorded(0)
    assert by_hand.turns_until(lambda: large.wait_recorded(0)) > MANY // 1_000
    by_hand.turns_until(lambda: over(large))
    assert large.status == "completed"


def test_a_large_workflow_is_not_searched_for_garbage_while_it_begins(by_hand: ByHand) -> None:
    handle = by_hand.submit(wide())
    by_hand.turn()
    assert not handle.wait_recorded(0)
    assert by_hand.conductor.garbage.in_force
    by_hand.turns_until(lambda: over(handle))
    by_hand.turns_until(lambda: not by_hand.conductor.garbage.in_force)


def test_the_journal_of_a_large_workflow_is_that_of_any_other(by_hand: ByHand) -> None:
    of = summed()
    handle = by_hand.submit(of)
    by_hand.turns_until(lambda: handle.wait_recorded(0))
    rows = by_hand.records.rows(handle.id)[:3]
    events: list[Event] = [
        Created(Settings(max_parallel=10)),
        GraphExtended(of.root.nodes, of.specs, of.templates),
        GraphClosed("", of.root.result, of.root.last_nodes),
    ]
    assert [event_from(row.kind, row.body) for row in rows] == events
    assert len({row.at for row in rows}) == 1
    folded = State(handle.id)
    for row in rows:
        apply(folded, event_from(row.kind, row.body), row.at, row.seq)
    assert list(folded.nodes) == [node.id for node in of.root.nodes]


def test_what_is_wished_of_a_large_workflow_while_it_begins_comes_after_that(by_hand: ByHand) -> None:
    by_hand.dispatch.hold = True
    large = by_hand.submit(wide())
    by_hand.turn()
    assert not large.wait_recorded(0)
    again = by_hand.conductor.cancel(large.id)
    by_hand.turns_until(lambda: over(large) and over(again), by_hand.dispatch.let_go)
    assert (large.status, again.status) == ("cancelled", "cancelled")


def test_a_large_workflow_that_is_interrupted_while_it_begins_is_left_paused(by_hand: ByHand) -> None:
    large = by_hand.submit(wide())
    by_hand.turn()
    by_hand.conductor.interrupt(large.id, kill=False)
    by_hand.turns_until(lambda: over(large))
    assert large.status == "paused"


def test_an_end_while_a_large_workflow_begins_is_told(by_hand: ByHand) -> None:
    large = by_hand.submit(wide())
    by_hand.turn()
    assert not large.wait_recorded(0)
    by_hand.conductor._roster.fail(RuntimeError("stopped"))
    assert str(large.fault) == "stopped"
    by_hand.turn()
    assert by_hand.records.page()[1] == 0


def test_one_that_cannot_be_recorded_is_told_though_it_begins_by_and_by(tmp_path: Path) -> None:
    home = fresh_home(tmp_path / "home")
    by_hand = ByHand(home, items, Full)
    handle = by_hand.submit(wide())
    by_hand.turns_until(lambda: over(handle))
    assert "disk is full" in str(handle.fault)
    by_hand.conductor.end()
    home.close()


def test_a_failure_cancels_the_others_in_many_turns_too(opened: Opens) -> None:

    def fails(lane: object, run: object) -> object:
        raise ValueError("broken")

    by_hand = opened(fails)
    large = by_hand.submit(wide(), parallel=1)
    by_hand.turns_until(lambda: by_hand.conductor._roster.named(large.id) is not None)
    state = by_hand.state(large)
    ended = [0]
    by_hand.turns_until(lambda: over(large), lambda: ended.append(state.ended_count))
    assert large.status == "failed"
    # The one that failed and, in the same turn, the first of what follows.
    assert max(after - before for before, after in itertools.pairwise(ended)) <= 1 + 2


def test_a_long_result_is_put_together_in_many_turns(by_hand: ByHand) -> None:
    handle = by_hand.submit(plan(task("a"), each("m", "a")))
    by_hand.turns_until(lambda: by_hand.conductor._roster.named(handle.id) is not None)
    state = by_hand.state(handle)
    by_hand.turns_until(lambda: state.finishing is not None)
    assert by_hand.turns_until(lambda: over(handle)) >= MANY // USUAL.long_parts
    assert value(handle) == [1] * MANY


def summed() -> Plan:
    """A body's sum over the handles of its calls: one argument with a hole for each."""
    parts: list[str | Hole] = ["["]
    for number in range(MANY):
        parts += [Hole(sources=(Source(node=f"n{number}"),)), ","]
    parts[-1] = "]"
    edges = tuple(Edge(source=f"n{number}", param="x") for number in range(MANY))
    last = PlanNode(id="sum", spec=0, edges=edges, args={"x": tuple(parts)})
    return plan(*(task(f"n{number}") for number in range(MANY)), last)


@pytest.mark.parametrize("shape", ["map", "calls"])
def test_long_arguments_are_put_together_in_many_turns(opened: Opens, shape: str) -> None:
    given: list[object] = []

    def act(lane: object, run: object) -> object:
        if getattr(run, "node", "") == "sum":
            given.append(json.loads(dict(run.args)["x" if shape == "calls" else "m"]))  # type: ignore[attr-defined]
        return items(lane, run)

    by_hand = opened(act)
    flow = summed() if shape == "calls" else plan(task("a"), each("m", "a"), task("sum", "m"))
    handle = by_hand.submit(flow)
    by_hand.turns_until(lambda: by_hand.conductor._roster.named(handle.id) is not None)
    state = by_hand.state(handle)
    by_hand.turns_until(lambda: "sum" in state.nodes and state.nodes["sum"].status == "queued")
    assert by_hand.turns_until(lambda: bool(given)) >= MANY // USUAL.long_parts
    assert given == [[1] * MANY]
    by_hand.turns_until(lambda: over(handle))
    assert value(handle) == 1


def test_the_items_of_a_map_that_are_workflows_come_in_many_turns(opened: Opens) -> None:
    """With those that lie in them."""
    by_hand = opened(items)
    inner = Template(nodes=tuple(PlanNode(id=f"k{number}", spec=0) for number in range(6)), last_nodes=("k0",))
    outer = Template(
        nodes=(*(task(f"o{number}") for number in range(3)), PlanNode(id="w", kind=NodeKind.SCOPE, template="inner")),
        last_nodes=("w",),
    )
    flow = plan(task("a"), each("m", "a", template="outer"), templates={"outer": outer, "inner": inner})
    handle = by_hand.submit(flow)
    by_hand.turns_until(lambda: by_hand.conductor._roster.named(handle.id) is not None)
    state = by_hand.state(handle)
    there = [0]
    by_hand.turns_until(lambda: state.nodes["m"].expanded, lambda: there.append(len(state.nodes)))
    assert len(state.nodes) == 2 + 10 * MANY
    assert max(after - before for before, after in itertools.pairwise(there)) <= USUAL.map_page


def test_the_memory_of_a_large_execution_is_freed_by_and_by(by_hand: ByHand) -> None:
    assert garbage.LARGE < MANY
    handle = by_hand.submit(wide(), parallel=1000)
    by_hand.turns_until(lambda: by_hand.conductor._roster.named(handle.id) is not None)
    state = by_hand.state(handle)
    by_hand.turns_until(lambda: over(handle))
    left = [len(state.nodes)]
    by_hand.turns_until(lambda: not state.nodes, lambda: left.append(len(state.nodes)))
    assert max(before - after for before, after in itertools.pairwise(left)) <= 1_000
    assert not state.root.nodes


def test_a_small_one_that_ends_beside_a_large_one_leaves_no_circles(by_hand: ByHand) -> None:
    """No search for garbage would find them before the large one is over."""
    by_hand.conductor.garbage.holds(-1, MANY)
    handle = by_hand.submit(SMALL)
    by_hand.turns_until(lambda: by_hand.conductor._roster.named(handle.id) is not None)
    state = by_hand.state(handle)
    by_hand.turns_until(lambda: over(handle))
    by_hand.turns_until(lambda: not state.nodes)
    assert not state.root.nodes
    assert by_hand.conductor.garbage.in_force


def test_one_that_was_lost_and_came_back_is_not_searched_for_garbage(by_hand: ByHand) -> None:
    waiting = (PlanNode(id=f"n{number}", kind=NodeKind.SIGNAL, signal="go") for number in range(MANY))
    handle = by_hand.submit(plan(*waiting))  # nobody has word of it while its nodes go
    roster, garbage = by_hand.conductor._roster, by_hand.conductor.garbage
    by_hand.turns_until(lambda: handle.wait_recorded(0))
    held = roster.named(handle.id)
    assert held is not None
    by_hand.turns_until(lambda: not (held.carrying or held.todo or held.unwritten))
    assert garbage.in_force
    by_hand.conductor._leaving.lost(held)
    roster.add(held)
    by_hand.turns_until(lambda: not held.state.nodes)
    by_hand.turn()
    assert garbage.in_force
    roster.remove(held)


def test_a_large_workflow_is_taken_over_in_many_turns(opened: Opens) -> None:
    before = opened(items)
    before.dispatch.hold = True
    large = before.submit(wide())
    before.turns_until(lambda: bool(before.dispatch.waiting))
    held = before.conductor._roster.named(large.id)
    assert held is not None
    before.conductor._leaving.give_up(held, RuntimeError("as if it had died"))
    after = opened(items)
    again = after.conductor.adopt(large.id)
    assert after.turns_until(lambda: again.wait_recorded(0)) > MANY // 1_000
    after.turns_until(lambda: over(again))
    assert again.status == "completed"


class Full(SqliteJournal):
    def create(self, new: NewExecution, first: Append) -> Claim:
        raise StoreError("the disk is full")


class Refuses(SqliteJournal):
    def release(self, numbers: Sequence[int], owner: str) -> None:
        raise RuntimeError("a defect")


def test_an_end_that_meets_a_defect_still_lets_everything_go(tmp_path: Path) -> None:
    home = fresh_home(tmp_path / "home")
    by_hand = ByHand(home, items, Refuses)
    handle = by_hand.submit(wide(), parallel=1000)
    by_hand.turns_until(lambda: by_hand.conductor.garbage.in_force)
    with pytest.raises(RuntimeError, match="a defect"):
        by_hand.conductor.end()
    assert handle.fault is not None
    assert not by_hand.conductor.garbage.in_force
    assert by_hand.loop.is_closed()
    home.close()


def test_a_value_that_is_missing_ends_the_node_and_not_the_engine(opened: Opens) -> None:
    """Put together ahead or not."""
    by_hand = opened(echo)
    edges = tuple(Edge(source=f"n{number}", param="x") for number in range(USUAL.long_parts + 1))
    parts = tuple(
        Hole(sources=(Source(node=f"n{number}", output="nothing"),)) for number in range(USUAL.long_parts + 1)
    )
    last = PlanNode(id="sum", spec=0, edges=edges, args={"x": parts})
    handle = by_hand.submit(plan(*(task(f"n{number}") for number in range(USUAL.long_parts + 1)), last))
    by_hand.turns_until(lambda: over(handle))
    assert handle.status == "failed"
    assert handle.error is not None
    assert "gave no output 'nothing'" in handle.error.message


def test_what_a_replay_keeps_comes_in_many_turns(by_hand: ByHand) -> None:
    flow = plan(*(task(f"n{number}") for number in range(MANY)), task("end"))
    first = by_hand.submit(flow, parallel=1_000)
    by_hand.turns_until(lambda: over(first))
    changes = Changes(anew=("end",))
    recorded = Recorded(by_hand.records, first.id, MemoryBlobs())
    known, before = kept(recorded, changes), recorded.state
    recorded.let_go()
    assert not before.nodes
    assert not before.root.nodes
    assert len(known) == MANY
    again = by_hand.submit(flow, replay_of=first.id, changes=changes, kept=known)
    by_hand.turns_until(lambda: by_hand.conductor._roster.named(again.id) is not None)
    state = by_hand.state(again)
    ended = [state.ended_count]
    by_hand.turns_until(lambda: over(again), lambda: ended.append(state.ended_count))
    # A page for what is to run now, and one that goes with the commit.
    assert max(after - before for before, after in itertools.pairwise(ended)) <= 2 * 250 + 1
    assert again.status == "completed"


def test_a_flood_of_printed_lines_is_noted_in_many_turns_and_all_of_it_before_the_end(opened: Opens) -> None:
    by_hand = opened(echo)
    by_hand.dispatch.hold = True
    handle = by_hand.submit(SMALL)
    by_hand.turns_until(lambda: bool(by_hand.dispatch.waiting))
    held = by_hand.conductor._roster.named(handle.id)
    assert held is not None
    many = 20 * USUAL.log_lines
    by_hand.dispatch.tell(
        LogLines(handle.id, "only", 1, [(0.0, "info", "stdout", str(number)) for number in range(many)])
    )
    by_hand.dispatch.let_go()
    noted, written, at_the_end, seq = [0], [0], [], 0

    def look() -> None:
        nonlocal seq
        new = by_hand.records.logs(handle.id, after=seq, limit=many)
        seq = new[-1].seq if new else seq
        noted.append(len(held.logs))
        written.append(written[-1] + len(new))
        if by_hand.records.rows(handle.id)[-1].kind == "execution_ended":
            at_the_end.append(written[-1])

    by_hand.turns_until(lambda: over(handle), look)
    assert max(after - before for before, after in itertools.pairwise(noted)) <= 2 * USUAL.log_lines
    assert max(after - before for before, after in itertools.pairwise(written)) <= USUAL.rows
    assert (max(noted), at_the_end[0]) == (many, many)


def test_what_waits_for_one_node_begins_in_many_turns_and_others_go_on_between(opened: Opens) -> None:
    by_hand = opened(echo)
    by_hand.dispatch.hold = True
    waiting = tuple(task(f"n{number}", "first") for number in range(MANY))
    large = by_hand.submit(plan(task("first"), *waiting))
    by_hand.turns_until(lambda: bool(by_hand.dispatch.waiting))
    state = by_hand.state(large)
    begun, recorded = [state.ready_count], list[int]()
    small = by_hand.submit(SMALL)
    by_hand.dispatch.let_go()

    def look() -> None:
        begun.append(state.ready_count)
        if small.wait_recorded(0) and not recorded:
            recorded.append(state.ready_count)

    rows = len(by_hand.records.rows(large.id))
    by_hand.turns_until(lambda: state.ended_count == 1 and state.in_flight > 0, look)
    # So many with the event itself, and as many in the moment after it.
    assert 0 < max(after - before for before, after in itertools.pairwise(begun)) <= 2 * USUAL.at_once
    assert recorded
    assert recorded[0] < MANY / 2
    assert len(by_hand.records.rows(large.id)) == rows  # as if it had happened at once
    by_hand.turns_until(lambda: over(large), by_hand.dispatch.let_go)
    assert large.status == "completed"


def test_what_is_skipped_because_of_one_node_is_so_in_many_turns(opened: Opens) -> None:
    """The failure frees one node alone, and that one all the others."""

    def fails(lane: object, run: object) -> object:
        raise ValueError("no")

    by_hand = opened(fails)
    by_hand.dispatch.hold = True
    waiting = tuple(task(f"n{number}", "gate") for number in range(MANY))
    of = plan(task("first"), task("gate", "first"), *waiting)
    large = by_hand.submit(of, error_handler=ErrorHandler.CONTINUE)
    by_hand.turns_until(lambda: bool(by_hand.dispatch.waiting))
    state = by_hand.state(large)
    by_hand.dispatch.let_go()
    seen = [0]
    by_hand.turns_until(lambda: seen[-1] == MANY + 1, lambda: seen.append(state.counts[NodeStatus.SKIPPED]))
    assert max(after - before for before, after in itertools.pairwise(seen)) <= 2 * USUAL.at_once
    by_hand.turns_until(lambda: over(large))
    assert large.status == "failed"


def test_a_workflow_of_many_nodes_is_opened_and_begins_in_many_turns(opened: Opens) -> None:
    by_hand = opened(echo)
    by_hand.dispatch.hold = True
    inside = tuple(PlanNode(id=f"n{number}", spec=0) for number in range(MANY))
    gate = PlanNode(id="gate", kind=NodeKind.SCOPE, edges=(Edge(source="first"),), template="inside")
    large = by_hand.submit(plan(task("first"), gate, templates={"inside": Template(nodes=inside, last_nodes=("n0",))}))
    by_hand.turns_until(lambda: bool(by_hand.dispatch.waiting))
    state = by_hand.state(large)
    by_hand.dispatch.let_go()
    created, begun = [len(state.nodes)], [0]

    def look() -> None:
        created.append(len(state.nodes))
        begun.append(state.ready_count + state.in_flight)

    by_hand.turns_until(lambda: begun[-1] == MANY, look)
    for seen in (created, begun):
        assert max(after - before for before, after in itertools.pairwise(seen)) <= 2 * USUAL.at_once
    by_hand.turns_until(lambda: over(large), by_hand.dispatch.let_go)
    assert large.status == "completed"


def test_what_comes_during_a_long_piece_of_work_is_taken_in_in_many_turns_and_in_order(opened: Opens) -> None:
    by_hand = opened(echo)
    by_hand.dispatch.hold = True
    large = by_hand.submit(plan(task("first"), *(task(f"n{number}", "first") for number in range(MANY))))
    by_hand.turns_until(lambda: bool(by_hand.dispatch.waiting))
    held = by_hand.conductor._roster.named(large.id)
    assert held is not None
    by_hand.dispatch.let_go()
    by_hand.turns_until(lambda: held.waiting is not None)
    signals = 100
    for number in range(signals):
        by_hand.conductor.feed(large.id, SignalReceived(f"s{number}", ("output", "0" * 32, 2)), ["{}"])
    by_hand.turns_until(lambda: held.waiting is not None and len(held.waiting) == signals)
    assert not held.state.signals
    small = by_hand.submit(SMALL)
    seen, recorded = [0], list[int]()

    def look() -> None:
        seen.append(len(held.state.signals))
        if small.wait_recorded(0) and not recorded:
            recorded.append(seen[-1])

    by_hand.turns_until(lambda: len(held.state.signals) == signals, look)
    assert max(after - before for before, after in itertools.pairwise(seen)) == 1
    assert recorded
    assert recorded[0] < signals
    assert list(held.state.signals) == [f"s{number}" for number in range(signals)]
    by_hand.turns_until(lambda: over(large), by_hand.dispatch.let_go)
    heard = [event_from(row.kind, row.body) for row in by_hand.records.rows(large.id) if row.kind == "signal_received"]
    assert [event.name for event in heard if isinstance(event, SignalReceived)] == list(held.state.signals)


def test_the_text_of_a_large_workflow_is_read_back_in_many_turns(
    opened: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = opened(items)
    before.dispatch.hold = True
    large = before.submit(wide())
    before.turns_until(lambda: bool(before.dispatch.waiting))
    held = before.conductor._roster.named(large.id)
    assert held is not None
    before.conductor._leaving.give_up(held, RuntimeError("as if it had died"))
    add, read = Gathered.add, [0]

    def counting(gathered: Gathered, piece: list[Any]) -> None:
        read[-1] += 1
        add(gathered, piece)

    monkeypatch.setattr(Gathered, "add", counting)
    after = opened(items)
    again = after.conductor.adopt(large.id)
    after.turns_until(lambda: again.wait_recorded(0), lambda: read.append(0))
    assert sum(read) > 10
    assert max(read) == 1


def test_the_pages_of_a_map_that_a_replay_keeps_come_in_many_turns_and_one_commit(by_hand: ByHand) -> None:
    flow = plan(task("a"), each("m", "a"), task("end", "m"))
    first = by_hand.submit(flow, parallel=1_000)
    by_hand.turns_until(lambda: over(first))
    changes = Changes(anew=("end",))
    known = kept(Recorded(by_hand.records, first.id, MemoryBlobs()), changes)
    again = by_hand.submit(flow, replay_of=first.id, changes=changes, kept=known)
    by_hand.turns_until(lambda: by_hand.conductor._roster.named(again.id) is not None)
    state = by_hand.state(again)
    there, written = [len(state.nodes)], [0]

    def look() -> None:
        there.append(len(state.nodes))
        written.append(sum(row.kind == "map_expanded" for row in by_hand.records.rows(again.id)))

    by_hand.turns_until(lambda: over(again), look)
    assert max(after - before for before, after in itertools.pairwise(there)) <= USUAL.map_page
    assert set(written) == {0, MANY // USUAL.map_page}
    assert again.status == "completed"
