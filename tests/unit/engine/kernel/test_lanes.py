"""Lanes: how many run at once, how many nodes share one, and who goes first."""

import json

from tests.unit.engine.kernel.hand import Hand, node, of, task
from twingraph.core import events as ev
from twingraph.core.plan import NodeKind, NodeSpec, PlanNode
from twingraph.engine.kernel import apply, commands, scheduling, snapshot
from twingraph.engine.kernel.parking import PROBE_LANES
from twingraph.engine.kernel.scheduling import LANE_LIMIT, PROBE_SIZE, RECALLED_AT_ONCE


def many(count: int, spec: int = 0, name: str = "n") -> list[PlanNode]:
    return [task(f"{name}{number}", spec=spec) for number in range(count)]


def test_no_more_lanes_than_max_parallel_are_open() -> None:
    hand = Hand(*many(20), max_parallel=2)
    assert [len(lane) for lane in hand.lanes] == [PROBE_SIZE, PROBE_SIZE]


def test_what_only_waits_or_contains_takes_no_lane() -> None:
    hand = Hand(driven=True, max_parallel=1)
    for kind in (NodeKind.SCOPE, NodeKind.DETACHED, NodeKind.SIDE_EFFECT, NodeKind.SLEEP, NodeKind.SIGNAL):
        hand.call(node(kind, str(kind), wait=50.0, signal="go"))
        assert hand.status(str(kind)) == "running"
    hand.call(task("n"))
    assert hand.running == ["n"]


def test_unknown_nodes_are_probed_in_few_small_lanes() -> None:
    hand = Hand(*many(500), max_parallel=100)
    assert len(hand.lanes) == PROBE_LANES
    assert max(len(lane) for lane in hand.lanes) <= PROBE_SIZE


def test_quick_nodes_travel_many_at_a_time() -> None:
    hand = Hand(*many(200), max_parallel=1)
    for number in range(PROBE_SIZE):
        hand.end(f"n{number}", started=1.0, ended=1.0001)
    assert len(hand.lanes[1]) == LANE_LIMIT == 64


def test_no_event_hands_everything_over_at_once() -> None:
    """Else nothing else is decided for a tenth of a second. What is left goes with the next event."""
    count = 3 * scheduling.RUNS_AT_ONCE
    hand = Hand(*many(count), max_parallel=count)
    hand.end("n0", started=1.0, ended=1.0001)
    handed = len(hand.running)
    assert scheduling.RUNS_AT_ONCE <= handed <= scheduling.RUNS_AT_ONCE + LANE_LIMIT + PROBE_LANES * PROBE_SIZE
    hand.end("n1", started=1.0, ended=1.0001)
    assert len(hand.running) >= handed + scheduling.RUNS_AT_ONCE - 1


def test_slow_nodes_travel_alone() -> None:
    hand = Hand(*many(20), max_parallel=1)
    for number in range(PROBE_SIZE):
        hand.end(f"n{number}", started=1.0, ended=2.0)
    assert len(hand.lanes[1]) == 1


def test_a_run_that_takes_a_while_ends_the_probing() -> None:
    hand = Hand(*many(200), max_parallel=100)
    hand.begun("n0")
    assert {len(lane) for lane in hand.lanes[PROBE_LANES:]} == {1}


def test_a_higher_priority_goes_first() -> None:
    specs = [NodeSpec(component="low"), NodeSpec(component="high", priority=5)]
    hand = Hand(task("first"), *many(4, 0, "low"), *many(1, 1, "high"), specs=specs, max_parallel=1)
    assert hand.running == ["high0"]


LOW_AND_HIGH = [NodeSpec(component="low"), NodeSpec(component="high", priority=5)]


def test_what_has_not_begun_makes_room_for_a_higher_priority() -> None:
    hand = Hand(*many(12, 0, "low"), driven=True, specs=LOW_AND_HIGH, max_parallel=3)
    assert [len(lane) for lane in hand.lanes] == [4, 4, 4]
    told = hand.call(task("high", spec=1))
    assert told == [commands.Recall(("low8", "low9", "low10", "low11"))]  # the newest lane is the last to begin
    hand.feed(ev.NodesReturned(tuple((f"low{number}", 1) for number in range(8, 12))))
    assert hand.lanes[3:] == [(("high", 1),)]
    assert 0 not in hand.state.means  # nobody found them slow


def test_as_many_make_room_as_there_are_more_important_ones_and_none_twice() -> None:
    hand = Hand(*many(12, 0, "low"), driven=True, specs=LOW_AND_HIGH, max_parallel=3)
    assert len(hand.call(task("high0", spec=1))) == 1
    assert hand.call(task("high1", spec=1)) == [commands.Recall(("low4", "low5", "low6", "low7"))]
    hand.call(task("high2", spec=1))
    assert hand.call(task("high3", spec=1)) == []


def test_what_runs_makes_no_room() -> None:
    hand = Hand(*many(8, 0, "low"), driven=True, specs=LOW_AND_HIGH, max_parallel=2)
    hand.begun("low4")
    assert hand.call(task("high", spec=1)) == [commands.Recall(("low0", "low1", "low2", "low3"))]


def test_many_make_room_by_and_by() -> None:
    """Each event looks at some lanes only, so that it costs the same however many are open."""
    hand = Hand(*many(100, 0, "low"), driven=True, specs=LOW_AND_HIGH, max_parallel=100)
    hand.begun("low0")  # from here on they travel alone
    assert len(hand.lanes) > 2 * RECALLED_AT_ONCE
    more = tuple(task(f"high{number}", spec=1) for number in range(2 * RECALLED_AT_ONCE + 50))
    events = (ev.GraphExtended(more, driven=True), ev.TimerFired("x"))
    counts = [len(of(commands.Recall, hand.feed(event))[-1].nodes) for event in events]
    assert counts == [RECALLED_AT_ONCE, RECALLED_AT_ONCE]


def test_equals_and_more_important_ones_make_no_room() -> None:
    hand = Hand(*many(8, 1, "high"), driven=True, specs=LOW_AND_HIGH, max_parallel=2)
    assert hand.call(task("low", spec=0)) + hand.call(task("high", spec=1)) == []


def test_where_a_lane_is_free_nobody_is_recalled() -> None:
    hand = Hand(*many(1, 0, "low"), driven=True, specs=LOW_AND_HIGH, max_parallel=2)
    told = hand.call(task("high", spec=1))
    assert [type(command) for command in told] == [commands.Dispatch]


def test_where_more_came_than_one_event_hands_over_nobody_is_recalled() -> None:
    """Lanes are left for them: they go with the next event."""
    hand = Hand(*many(12, 0, "low"), driven=True, specs=LOW_AND_HIGH, max_parallel=2 * scheduling.LANES_AT_ONCE)
    hand.call(task("high", spec=1))
    hand.begun("high")  # from here on they travel alone
    more = tuple(task(f"high{number}", spec=1) for number in range(scheduling.LANES_AT_ONCE + 50))
    told = hand.feed(ev.GraphExtended(more, driven=True))
    assert (len(of(commands.Dispatch, told)), of(commands.Recall, told)) == (scheduling.LANES_AT_ONCE, [])
    assert len(of(commands.Dispatch, hand.feed(ev.TimerFired("x")))) == 50


def test_a_restored_execution_makes_room_alike() -> None:
    hand = Hand(*many(12, 0, "low"), driven=True, specs=LOW_AND_HIGH, max_parallel=3)
    hand.call(task("high0", spec=1))
    again = snapshot.load(json.loads(json.dumps(snapshot.dump(hand.state))))
    assert snapshot.dump(again) == snapshot.dump(hand.state)
    more = ev.GraphExtended((task("high1", spec=1),), driven=True)
    assert apply(again, more, 200.0, 99) == [commands.Recall(("low4", "low5", "low6", "low7"))]


def test_specs_of_one_priority_take_turns() -> None:
    specs = [NodeSpec(component="a"), NodeSpec(component="b")]
    hand = Hand(*many(9, 0, "a"), *many(9, 1, "b"), specs=specs, max_parallel=1)
    while len(hand.lanes) < 4:
        hand.end(hand.running[0], started=1.0, ended=2.0)
    assert [lane[0][0][0] for lane in hand.lanes] == ["a", "b", "a", "b"]


def test_endless_nodes_hold_no_slot_and_wait_for_none() -> None:
    specs = [NodeSpec(component="task"), NodeSpec(component="stream", endless=True)]
    hand = Hand(*many(1), *many(3, 1, "s"), *many(1, 0, "z"), specs=specs, max_parallel=1)
    assert set(hand.running) == {"n0", "z0", "s0", "s1", "s2"}
    assert hand.state.lanes_open == 1


def test_returned_runs_keep_their_place_and_their_attempt() -> None:
    hand = Hand(*many(4), max_parallel=1)
    hand.feed(ev.NodesReturned((("n1", 1), ("n2", 1), ("n3", 1))))
    hand.end("n0", started=1.0, ended=2.0)
    assert hand.lanes[1] == (("n1", 1),)


def test_what_was_returned_was_slow_and_is_sent_alone() -> None:
    hand = Hand(*many(4), max_parallel=2)
    hand.feed(ev.NodesReturned((("n1", 1),)))
    assert hand.state.means[0] > 0


def test_an_error_handler_makes_room_for_nobody() -> None:
    """Given back in a pause, it goes again in a lane like any other."""
    specs = [*LOW_AND_HIGH, NodeSpec(component="handler")]
    hand = Hand(
        task("a"), driven=True, specs=specs, max_parallel=1, error_handler="custom", handler_component=2,
        continue_on_error=True,
    )  # fmt: skip
    hand.end("a", "failed")
    (handler,) = hand.running
    hand.feed(ev.PauseRequested())
    hand.feed(ev.NodesReturned(((handler, 1),)))
    hand.feed(ev.ResumeRequested())
    assert hand.running == [handler]
    assert of(commands.Recall, hand.call(task("high", spec=1))) == []
    again = snapshot.load(json.loads(json.dumps(snapshot.dump(hand.state))))
    assert snapshot.dump(again) == snapshot.dump(hand.state)
