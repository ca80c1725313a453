"""What one event does to many nodes is done in pieces, with turns of others between, also where the rest of the
execution goes on. That the same comes of it as at once, `Hand` sees to in all tests."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import pytest

from tests.unit.engine.kernel.hand import Hand, in_pieces_of, mapped, node, task
from twingraph.core import events as ev
from twingraph.core.plan import Hole, NodeKind, NodeSpec, PlanNode, ScopeSettings, Source, Template
from twingraph.core.records import ErrorRecord
from twingraph.engine.kernel import State, apply, begin
from twingraph.engine.kernel.state import AT_ONCE

MANY = 5 * AT_ONCE
KEYS = tuple(str(number) for number in range(MANY))
ERROR = ErrorRecord(code="user_error", error_type="ValueError", message="no")
LOST = ErrorRecord(code="timeout", error_type="TimeoutError", message="late", node_id="sub")
FAILED = ev.NodeEnded("m[0]", 1, "failed", error=ERROR)


def most_in_a_piece(state: State, event: ev.Event, at: float, seq: int) -> int:
    """How many nodes end, and how many lose what they wait for, between two pauses at most."""

    def stands() -> tuple[int, int]:
        waits = sum(node.pending for node in state.nodes.values())
        return state.ended_count, waits

    seen = [stands(), *(stands() for _ in pieces(state, event, at, seq))]
    return max(max(after[0] - before[0], before[1] - after[1]) for before, after in itertools.pairwise(seen))


def pieces(state: State, event: ev.Event, at: float, seq: int) -> Iterator[None]:
    """After each."""
    begin(state, event, at, seq)
    yield
    while state.chores:
        yield from state.chores.popleft()
        yield


def folded(journal: Iterable[tuple[ev.Event, float]]) -> tuple[State, int]:
    """All but the last event."""
    state = in_pieces_of(AT_ONCE)
    *before, _ = journal
    for seq, (event, at) in enumerate(before, 1):
        apply(state, event, at, seq)
    return state, len(before) + 1


def with_map(*, keep: bool = False) -> Hand:
    """A body has called a map, whose items are there, and something else."""
    hand = Hand(driven=True)
    hand.call(mapped("m", keep=keep))
    hand.call(task("rest"))
    hand.expand("m", *KEYS)
    return hand


def with_sub(bounds: ScopeSettings | None = None) -> Hand:
    """A body has called a sub-pipeline, which has made many calls that wait for its first."""
    hand = Hand(driven=True)
    hand.call(PlanNode(id="sub", kind=NodeKind.SCOPE, bounds=bounds))
    hand.call(task("rest"))
    hand.call(task("first"), "sub")
    calls = tuple(task(f"n{number}", "first") for number in range(MANY))
    hand.feed(ev.GraphExtended(calls, scope="sub", driven=True))
    return hand


def a_map_fails() -> tuple[Hand, ev.Event]:
    return with_map(), FAILED


def a_body_leaves_by_a_failure() -> tuple[Hand, ev.Event]:
    return with_sub(), ev.GraphClosed("sub", error=ERROR)


def the_time_of_a_sub_pipeline_is_up() -> tuple[Hand, ev.Event]:
    hand = with_sub(ScopeSettings(timeout=5.0))
    hand.at += 10.0
    return hand, ev.TimerFired("scope:sub")


def the_body_of_a_sub_pipeline_is_lost() -> tuple[Hand, ev.Event]:
    return with_sub(), ev.NodeEnded("sub", 1, "failed", error=LOST)


def many_wait_for_one() -> tuple[Hand, ev.Event]:
    hand = with_sub()
    return hand, ev.NodeEnded("sub/first", 1, "completed")


def a_key_stands_for_two() -> tuple[Hand, ev.Event]:
    hand = Hand(driven=True)
    hand.call(mapped("m"))
    hand.call(task("rest"))
    hand.expand("m", *KEYS, last=False)
    return hand, ev.MapExpanded("m", 1, MANY, ("0",), True)


@pytest.mark.parametrize(
    "made",
    [
        a_map_fails,
        a_body_leaves_by_a_failure,
        the_time_of_a_sub_pipeline_is_up,
        the_body_of_a_sub_pipeline_is_lost,
        many_wait_for_one,
        a_key_stands_for_two,
    ],
)
def test_it_is_done_in_pieces(made: object) -> None:
    assert callable(made)
    hand, event = made()
    hand.feed(event)
    assert hand.finish is None  # the rest goes on
    assert hand.status("rest") == "queued"
    state, seq = folded(hand.journal)
    assert most_in_a_piece(state, event, hand.at, seq) <= AT_ONCE + 1


def with_calls(*, ended: str = "completed") -> Hand:
    """A body has made many calls, of which the first has ended so, and the others well."""
    hand = Hand(driven=True)
    for key in KEYS:
        hand.call(task(f"n{key}"))
    for number, key in enumerate(KEYS):
        hand.end(f"n{key}", "completed" if number else ended)
    return hand


def of_all(name: str = "all") -> PlanNode:
    return task(name, *(f"n{key}" for key in KEYS))


ALL = tuple(Hole(sources=(Source(node=f"n{key}"),)) for key in KEYS)


@pytest.mark.parametrize("ended", ["completed", "failed"])
def test_a_call_with_many_arguments_is_taken_in_in_pieces(ended: str) -> None:
    hand = with_calls(ended=ended)
    hand.call(of_all())
    assert hand.status("all") == ("queued" if ended == "completed" else "skipped")
    state, seq = folded(hand.journal)
    assert len(list(pieces(state, hand.journal[-1][0], hand.at, seq))) >= 2 * MANY / AT_ONCE


def test_a_call_with_many_arguments_begins_in_pieces_when_the_last_is_there() -> None:
    hand = with_calls()
    hand.call(task("late"))
    hand.call(task("all", *(f"n{key}" for key in KEYS), "late"))
    hand.end("late")
    assert hand.status("all") == "queued"
    state, seq = folded(hand.journal)
    assert len(list(pieces(state, hand.journal[-1][0], hand.at, seq))) >= MANY / AT_ONCE


@pytest.mark.parametrize("met", [("n0",), ()])
def test_a_body_that_met_one_of_many_failures_closes_in_pieces(met: tuple[str, ...]) -> None:
    hand = with_calls(ended="failed")
    hand.feed(ev.GraphClosed(met=met))
    assert hand.outcome == ("completed" if met else "failed")
    state, seq = folded(hand.journal)
    looked = len(list(pieces(state, hand.journal[-1][0], hand.at, seq)))
    assert looked >= MANY / AT_ONCE or not met  # the one that was not met is the first


def test_what_a_body_returned_is_looked_through_in_pieces() -> None:
    hand = with_calls()
    hand.call(node(NodeKind.SLEEP, "nap", wait=60.0))
    hand.feed(ev.GraphClosed(result=ALL))
    assert (hand.status("nap"), hand.outcome) == ("cancelled", "completed")
    state, seq = folded(hand.journal)
    assert len(list(pieces(state, hand.journal[-1][0], hand.at, seq))) >= MANY / AT_ONCE


def test_a_page_of_a_map_begins_in_pieces() -> None:
    hand = with_map()
    state, seq = folded(hand.journal)
    begun = [state.ready_count, *(state.ready_count for _ in pieces(state, hand.journal[-1][0], hand.at, seq))]
    assert begun[-1] == MANY
    assert max(after - before for before, after in itertools.pairwise(begun)) <= AT_ONCE


@pytest.mark.parametrize("limits", [{}, {"db": MANY}], ids=["free", "limited"])
def test_many_runs_in_flight_are_taken_over_in_pieces(limits: dict[str, int]) -> None:
    hand = Hand(task("first"), specs=[NodeSpec(component="work")], driven=True, max_parallel=MANY)
    calls = tuple(task(f"n{number}", spec=1) for number in range(MANY))
    hand.feed(ev.GraphExtended(calls, (NodeSpec(component="many", limits=limits),), driven=True))
    for number in range(MANY):
        if limits:
            hand.feed(ev.LimitGranted(f"n{number}"))
    hand.end("n0", begun=True, started=0.0, ended=0.0)  # they are quick: the others go in wide lanes
    assert hand.state.in_flight == MANY
    hand.adopt()
    state, seq = folded(hand.journal)
    flying = [state.in_flight, *(state.in_flight for _ in pieces(state, hand.journal[-1][0], hand.at, seq))]
    assert (flying[0], flying[-1]) == (MANY, 0)
    assert max(before - after for before, after in itertools.pairwise(flying)) <= AT_ONCE


def test_in_a_map_that_keeps_errors_only_the_item_ends() -> None:
    hand = with_map(keep=True)
    hand.feed(FAILED)
    assert hand.state.ended_count == 1


def test_all_of_a_map_that_failed_are_over_and_the_rest_goes_on() -> None:
    template = Template(nodes=(task("a"), task("b", "a")), last_nodes=("b",))
    hand = Hand(driven=True, templates={"pair": template}, max_parallel=1)
    hand.call(mapped("m", template="pair"))
    hand.call(task("rest"))
    hand.expand("m", *KEYS)
    hand.end("m[0]/a", "failed")
    for name in [name for name in hand.running if name != "rest"]:
        hand.end(name, "cancelled")
    assert (hand.status("m"), hand.status(f"m[{MANY - 1}]/b"), hand.status("rest")) == ("failed", "cancelled", "queued")
