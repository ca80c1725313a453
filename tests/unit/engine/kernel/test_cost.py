"""Every event costs the same at any size. Work is counted in function calls, which no busy machine distorts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from tests.unit.engine.kernel.hand import ITEM, OUTPUT, mapped, node, task
from twingraph.core import events as ev
from twingraph.core.plan import NodeKind, NodeSpec, PlanNode, ScopeSettings, Template
from twingraph.core.records import Settings
from twingraph.engine.kernel import State, apply, commands

SPECS = (NodeSpec(component="work"), NodeSpec(component="items"))
Shape = Callable[[int], tuple[tuple[PlanNode, ...], dict[str, int]]]


def chain(count: int) -> tuple[tuple[PlanNode, ...], dict[str, int]]:
    return tuple(task(f"n{at}", *([f"n{at - 1}"] if at else [])) for at in range(count)), {}


def fan(count: int) -> tuple[tuple[PlanNode, ...], dict[str, int]]:
    return (mapped("m"), task("join", "m")), {"m": count}


def nested(count: int) -> tuple[tuple[PlanNode, ...], dict[str, int]]:
    outer = count // 20
    return (mapped("m", template="inner"),), {"m": outer, **{f"m[{at}]": 19 for at in range(outer)}}


def calls_per_event(shape: Shape, count: int) -> float:
    """Python calls inside `apply` over the events of one execution, but for the one that declares the graph."""
    nodes, items = shape(count)
    templates = {"item": ITEM, "inner": Template(nodes=(mapped("", template="item"),), last_nodes=("",))}
    state = State("exec-1")
    apply(state, ev.Created(Settings()), 0.0, 1)
    todo = apply(state, ev.GraphExtended(nodes, SPECS, templates), 0.0, 2)
    apply(state, ev.GraphClosed(last_nodes=(nodes[-1].id,)), 0.0, 3)
    made = len(state.nodes)
    counted = 0

    def count_calls(frame: FrameType, event: str, argument: object) -> None:
        nonlocal counted
        counted += event == "call"

    queue = [run for command in todo if isinstance(command, commands.Dispatch) for run in command.runs]
    events = 3
    while queue:
        name, attempt = queue.pop()
        event: ev.Event = ev.NodeEnded(name, attempt, "completed", 0.0, 0.0001, outputs=(OUTPUT,))
        if name in items:
            event = ev.MapExpanded(name, attempt, 0, tuple(str(key) for key in range(items[name])), last=True)
        events += 1
        sys.setprofile(count_calls)
        new = apply(state, event, float(events), events)
        sys.setprofile(None)
        queue += [run for command in new if isinstance(command, commands.Dispatch) for run in command.runs]
    assert state.finishing == "completed"
    return counted / max(len(state.nodes), made)


@pytest.mark.parametrize("shape", [chain, fan, nested], ids=lambda shape: str(shape.__name__))
def test_a_node_among_twenty_thousand_costs_what_one_among_a_thousand_does(shape: Shape) -> None:
    assert calls_per_event(shape, 20_000) <= 1.2 * calls_per_event(shape, 1_000)


def calls_beside(scopes: int) -> float:
    """Python calls for an event of one sub-pipeline, beside so many that each have all that their own lane allows, and
    more to do."""
    state = State("exec-1")
    seq = 0

    def feed(event: ev.Event) -> list[commands.Command]:
        nonlocal seq
        seq += 1
        return apply(state, event, float(seq), seq)

    feed(ev.Created(Settings(max_parallel=scopes + 1), body="flow"))
    feed(ev.GraphExtended((task("first"),), SPECS, driven=True))
    feed(ev.NodeEnded("first", 1, "completed", 0.0, 1.0, outputs=(OUTPUT,)))
    for number in range(scopes):
        scope = node(NodeKind.SCOPE, f"s{number}", bounds=ScopeSettings(max_parallel=1))
        feed(ev.GraphExtended((scope,), driven=True))
        feed(ev.GraphExtended(tuple(task(f"n{at}") for at in range(3)), scope=f"s{number}", driven=True))
    assert state.in_flight == scopes
    counted = 0

    def count_calls(frame: FrameType, event: str, argument: object) -> None:
        nonlocal counted
        counted += event == "call"

    for number in range(50):
        ended = ev.NodeEnded(f"s{number}/n0", 1, "completed", 0.0, 1.0, outputs=(OUTPUT,))
        sys.setprofile(count_calls)
        feed(ended)
        sys.setprofile(None)
    assert state.in_flight == scopes
    return counted / 50


def test_an_event_of_one_sub_pipeline_costs_the_same_beside_a_thousand_that_are_full() -> None:
    assert calls_beside(1_000) <= 1.2 * calls_beside(100)
