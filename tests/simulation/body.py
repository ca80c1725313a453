"""A pipeline's body, as a double: it issues calls one by one, waits for some, and is run again from the top after a
crash. What it does next depends on its seed and on what it was told, so that a second run makes the same calls."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from random import Random

from tests.simulation.plans import Pencil
from twingraph.core.plan import Argument, Edge, Hole, NodeKind, PlanNode, Source
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import NodeStatus

KINDS = (
    *[NodeKind.TASK] * 6,
    NodeKind.MAP,
    NodeKind.SCOPE,
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
class Return:
    result: Argument
    error: ErrorRecord | None
    met: tuple[str, ...]


Body = Generator[Call | Wait, NodeStatus | None, Return]


def body(seed: str, pencil: Pencil, depth: int) -> Body:
    """Make calls, wait for some of them, catch some failures and let others leave."""
    chance = Random(seed)
    calls: list[str] = []
    met: list[str] = []
    for number in range(chance.randint(0, 7)):
        sources = chance.sample(calls, min(len(calls), chance.choice((0, 0, 1, 2))))
        edges = tuple(Edge(source=source, param=f"p{at}") for at, source in enumerate(sources))
        yield Call(_call(chance, f"c{number}", edges, pencil, depth))
        calls.append(f"c{number}")
        if chance.random() < 0.5:
            name = chance.choice(calls)
            status = yield Wait(name)
            met.append(name)
            caught = chance.random() < 0.5
            if status is NodeStatus.CANCELLED or (status is not NodeStatus.COMPLETED and not caught):
                error = ErrorRecord(code="user_error", error_type="NodeFailed", message=f"{name} is {status}")
                return Return((), error, tuple(met))
    result: Argument = ()
    if calls and chance.random() < 0.7:
        result = ("[", Hole(sources=(Source(node=chance.choice(calls)),)), "]")
    return Return(result, None, tuple(met))


def _call(chance: Random, name: str, edges: tuple[Edge, ...], pencil: Pencil, depth: int) -> PlanNode:
    kind = chance.choice(KINDS)
    if kind is NodeKind.SCOPE and depth < 2:
        return PlanNode(id=name, kind=kind, edges=edges)  # a sub-pipeline: it has a body of its own
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
    )
