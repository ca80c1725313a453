"""The state as data: what is loaded is what was dumped, also from an older engine."""

import json
from typing import Any

import pytest

from tests.support.snapshots import dumped_before, told
from tests.unit.engine.kernel.hand import Hand, mapped, node, task
from twingraph.core import events as ev
from twingraph.core.plan import Hole, NodeKind, ScopeSettings, Source
from twingraph.engine.kernel import State, apply, snapshot


def thaw(hand: Hand) -> State:
    frozen = json.dumps(snapshot.dump(hand.state))
    state = snapshot.load(json.loads(frozen))
    assert json.dumps(snapshot.dump(state)) == frozen
    return state


def bodied() -> Hand:
    hand = Hand(driven=True, body="flow:main", max_parallel=2)
    bounds = ScopeSettings(max_parallel=1, timeout=9.0, error_handler="continue")
    hand.call(node(NodeKind.SCOPE, "sub", bounds=bounds))
    for name in "abc":
        hand.call(task(name), "sub")
    return hand


def test_decisions_stay_where_they_were_made() -> None:
    hand = bodied()
    hand.feed(ev.DecisionMade("sub", "now", [1, {"b": 2}], caller="1", place="flow.py:3"))
    assert thaw(hand).scopes["sub"].decisions == [
        (3, ev.DecisionMade("sub", "now", (1, {"b": 2}), caller="1", place="flow.py:3"))
    ]


def test_the_entry_of_the_body_is_kept() -> None:
    assert thaw(bodied()).body == "flow:main"


def test_what_a_body_returned_is_kept() -> None:
    hand = bodied()
    outputs: Any = (("x", (Hole(sources=(Source(node="sub"),)),)),)
    hand.feed(ev.GraphClosed(shape="dict", outputs=outputs))
    root = thaw(hand).root
    assert (root.shape, root.outputs) == ("dict", outputs)


def test_given_items_and_orders_are_kept() -> None:
    hand = bodied()
    hand.feed(ev.ItemsGiven("sub/a", 1, 0, 4))
    hand.end("sub/a")
    kept = thaw(hand)
    assert kept.nodes["sub/a"].given == hand.state.nodes["sub/a"].given
    assert (kept.nodes["sub/a"].items, kept.nodes["sub/a"].order, kept.ended_count) == (4, 1, 1)


def test_bounds_go_on_as_they_were() -> None:
    hand = bodied()
    state = thaw(hand)
    event = ev.NodeEnded("sub/a", 1, "completed", outputs=(("output", "0" * 32, 2),))
    assert apply(state, event, hand.at + 4, 99) == apply(hand.state, event, hand.at + 4, 99)
    fired = ev.TimerFired("scope:sub")
    assert apply(state, fired, hand.at + 9, 100) == apply(hand.state, fired, hand.at + 9, 100)
    assert str(state.nodes["sub"].error) == str(hand.state.nodes["sub"].error)


def test_what_an_older_engine_wrote_can_be_read() -> None:
    hand = Hand(task("a"), task("b", "a"), mapped("m"))
    hand.end("a")
    raw = dumped_before(hand.state, 1)
    for name in ("body", "computing", "elapsed", "ended_count", "timed"):
        del raw["plain"][name]
    for given in raw["nodes"]:
        given.pop("order", None)
    for given in raw["scopes"]:
        for name in ("shape", "outputs", "decisions"):
            del given[name]
    state = snapshot.load(raw)
    assert (state.nodes["a"].order, state.ended_count, state.root.decisions) == (1, 1, [])


def many() -> Hand:
    """A thousand nodes in one scope, queue and map, a thousand that wait for one, and queues that stand aside."""
    hand = Hand(driven=True, max_parallel=4)
    for name in ("s", "t"):
        hand.call(node(NodeKind.SCOPE, name, bounds=ScopeSettings(max_parallel=1)))
        for number in range(3):
            hand.call(task(f"n{number}"), name)
    hand.call(mapped("m"))
    hand.expand("m", *map(str, range(1_200)))
    hand.call(task("source"))
    hand.feed(ev.GraphExtended(tuple(task(f"n{number}", "source") for number in range(1_200)), driven=True))
    hand.feed(ev.GraphExtended(tuple(task(f"o{number}") for number in range(1_200)), driven=True))
    assert hand.state.parked
    return hand


def test_the_third_version_can_be_read() -> None:
    state = many().state
    raw = dumped_before(state)
    assert told(snapshot.load(dumped_before(state))) == told(state)
    _, *lines = written(state, 50).split("\n")
    around = {name: value for name, value in raw.items() if name not in ("nodes", "scopes")}
    scopes = ",".join(json.dumps(scope) for scope in raw["scopes"])
    nodes = lines[: lines.index('],"scopes":[')]
    old = "\n".join([json.dumps(around)[:-1] + ',"nodes":[', *nodes, '],"scopes":[', scopes, "]}"])
    assert told(by_and_by(old)[0]) == told(state)


def test_no_line_is_long_however_much_lies_in_one_scope_or_queue() -> None:
    state = many().state
    text = written(state, 1)
    assert max(map(len, text.split("\n"))) < 10_000
    again = by_and_by(text)[0]
    assert written(again, 1) == text
    assert told(again) == told(state)


def test_what_a_newer_engine_wrote_is_refused() -> None:
    raw = snapshot.dump(Hand(task("a")).state)
    with pytest.raises(ValueError, match="version 99"):
        snapshot.load({**raw, "version": 99})


def test_the_text_is_the_dump() -> None:
    state = bodied().state
    assert json.loads(snapshot.text(state)) == json.loads(json.dumps(snapshot.dump(state)))


def by_and_by(text: str) -> tuple[State, int]:
    """What was read, and in how many steps."""
    reading, steps = snapshot.read(text), 0
    try:
        while True:
            next(reading)
            steps += 1
    except StopIteration as end:
        return end.value, steps


def written(state: State, at_once: int) -> str:
    writing = snapshot.written(state, at_once)
    try:
        while True:
            next(writing)
    except StopIteration as end:
        return str(end.value)


def test_a_large_state_is_read_in_many_steps() -> None:
    hand = Hand(*(task(f"n{number}", *(["n0"] if number else [])) for number in range(1_000)))
    hand.end("n0")
    text = written(hand.state, 50)
    state, steps = by_and_by(text)
    assert steps > 20
    assert written(state, 50) == text
    assert json.loads(text) == json.loads(snapshot.text(hand.state))


def test_names_with_any_signs_are_read_line_by_line() -> None:
    hand = Hand(driven=True)
    for name in ("a\nb", '],"scopes":[', "]}", "c,", "\u2028"):
        hand.call(task(name))
    text = written(hand.state, 1)
    assert written(by_and_by(text)[0], 1) == text


def test_one_that_stands_in_one_line_is_read_too() -> None:
    state = bodied().state
    assert snapshot.text(by_and_by(json.dumps(snapshot.dump(state)))[0]) == snapshot.text(state)
