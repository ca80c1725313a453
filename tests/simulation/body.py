"""A pipeline's body, as a double: it issues calls one by one, waits for some, and is run again from the top after a
crash. What it does next depends on its seed and on what it was told, so that a second run makes the same calls."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from random import Random

from tests.simulation.plans import Pencil
from twingraph.core.plan import Argument, Edge, Hole, NodeKind, PlanNode, ScopeSettings, Source
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import NodeStatus

KINDS = (
    *[NodeKind.TASK] * 6,
    NodeKind.MAP,
    *[NodeKind.SCOPE] * 4,
    NodeKind.SLEEP,
    NodeKind.SIGNAL,
    NodeKind.SIDE_EFFECT,
    NodeKind.DETACHED,
)


@dataclass
class Call:
    node: PlanNode


@dataclass
class Wait:
    node: str


@dataclass
class GiveUp:
    """Wait no longer for a sleep, a signal or an execution of its own."""

    node: str


@dataclass
class Decide:
    number: int  # how many it has asked for before
    calls: int


@dataclass
class Return:
    result: Argument
    error: ErrorRecord | None
    met: tuple[str, ...]
    outputs: tuple[tuple[str, Argument], ...] = ()


Body = Generator[Call | Wait | GiveUp | Decide, NodeStatus | int | None, Return]


def body(seed: str, pencil: Pencil, depth: int) -> Body:
    """Make calls, wait for some of them, catch some failures and let others leave."""
    chance = Random(seed)
    calls: list[str] = []
    waits: list[str] = []
    met: list[str] = []
    decisions = 0
    for number in range(chance.randint(0, 9)):
        sources = chance.sample(calls, min(len(calls), chance.choice((0, 0, 1, 2))))
        edges = tuple(Edge(source=source, param=f"p{at}") for at, source in enumerate(sources))
        call = _call(chance, f"c{number}", edges, pencil, depth)
        yield Call(call)
        calls.append(call.id)
        if call.kind in (NodeKind.SLEEP, NodeKind.SIGNAL, NodeKind.DETACHED):
            waits.append(call.id)
        if chance.random() < 0.2:
            answer = yield Decide(decisions, len(calls))
            decisions += 1
            if answer == 0 and waits:
                yield GiveUp(waits[-1])
        if chance.random() < 0.5:
            name = chance.choice(calls)
            status = yield Wait(name)
            met.append(name)
            caught = chance.random() < 0.5
            if status is NodeStatus.CANCELLED or (status is not NodeStatus.COMPLETED and not caught):
                error = ErrorRecord(code="user_error", error_type="NodeFailed", message=f"{name} is {status}")
                return Return((), error, tuple(met))
    if not calls or chance.random() < 0.3:
        return Return((), None, tuple(met))
    result: Argument = ("[", Hole(sources=(Source(node=chance.choice(calls)),)), "]")
    if chance.random() < 0.3:
        return Return((), None, tuple(met), (("first", result), ("second", ("1",))))
    return Return(result, None, tuple(met))


def _call(chance: Random, name: str, edges: tuple[Edge, ...], pencil: Pencil, depth: int) -> PlanNode:
    kind = chance.choice(KINDS)
    if kind is NodeKind.SCOPE and depth < 2:
        # A sub-pipeline: it has a body of its own.
        return PlanNode(id=name, kind=kind, edges=edges, bounds=_bounds(chance), caller=chance.choice(("", "1")))
    if kind in (NodeKind.MAP, NodeKind.SCOPE) and not pencil.templates:
        kind = NodeKind.TASK
    template = chance.choice(sorted(pencil.templates)) if kind in (NodeKind.MAP, NodeKind.SCOPE) else None
    if kind is NodeKind.SCOPE and template and [node.id for node in pencil.templates[template].nodes] == [""]:
        kind = NodeKind.MAP
    waits = {NodeKind.SLEEP: chance.uniform(0, 20), NodeKind.SIGNAL: chance.choice((None, 20.0))}
    return PlanNode(
        id=name,
        kind=kind,
        spec=chance.randrange(len(pencil.specs)) if kind in (NodeKind.TASK, NodeKind.MAP) else None,
        edges=() if kind is NodeKind.SIDE_EFFECT else edges,  # the body itself carries it out, at once
        template=template,
        keep_item_errors=kind is NodeKind.MAP and chance.random() < 0.5,
        wait=waits.get(kind),
        signal="red" if kind is NodeKind.SIGNAL else None,
        bounds=_bounds(chance) if kind is NodeKind.SCOPE else None,
        caller=chance.choice(("", "1", "1.1")),
        forced=tuple(chance.sample([edge.source for edge in edges], min(len(edges), 1))),
    )


def _bounds(chance: Random) -> ScopeSettings | None:
    if chance.random() < 0.4:
        return None
    return ScopeSettings(
        max_parallel=chance.choice((None, 1, 2)),
        timeout=chance.choice((None, None, 5.0, 30.0)),
        error_handler=chance.choice((None, "fail", "continue", "retry", "custom")),
        handler_component=0,
        continue_on_error=chance.random() < 0.5,
    )
