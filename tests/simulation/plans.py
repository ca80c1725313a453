"""Random plans: every kind of node, nested, with the policies that they may have."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from twingraph.core.plan import Edge, NodeKind, NodeSpec, PlanNode, Template
from twingraph.core.policies import Backoff, RetryPolicy
from twingraph.core.records import Settings

DEEPEST = 3
# One name has two numbers: each holds for the component that gives it.
LIMITS: tuple[dict[str, int], ...] = (
    {},
    {},
    {},
    {"database": 2},
    {"database": 2, "licence": 1},
    {"licence": 1},
    {"tape": 1},
    {"tape": 2, "database": 2},
)
KINDS = (
    *[NodeKind.TASK] * 7,
    *[NodeKind.MAP] * 2,
    *[NodeKind.BRANCH] * 2,
    NodeKind.SCOPE,
    NodeKind.SLEEP,
    NodeKind.SIGNAL,
    NodeKind.DETACHED,
    NodeKind.INPUT,
)


@dataclass
class Drawn:
    """What one seed has drawn."""

    settings: Settings
    specs: tuple[NodeSpec, ...]
    root: Template
    templates: dict[str, Template] = field(default_factory=dict)


class Pencil:
    """Draws plans with the chance that it is given."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.specs = tuple(self._spec(number) for number in range(chance.randint(1, 5)))
        self.templates: dict[str, Template] = {}

    def draw(self) -> Drawn:
        chance = self.chance
        settings = Settings(
            max_parallel=chance.choice((1, 2, 3, 10)),
            timeout=chance.choice((None, 3600.0, 30.0)),
            error_handler=chance.choice(("fail", "continue", "retry", "custom")),
            handler_component=0,
            continue_on_error=chance.random() < 0.5,
        )
        return Drawn(settings, self.specs, self.template(0), self.templates)

    def _spec(self, number: int) -> NodeSpec:
        chance = self.chance
        retry = RetryPolicy(
            max_attempts=chance.randint(1, 4),
            backoff=chance.choice(list(Backoff)),
            exceptions=chance.choice((None, ("ValueError",))),
        )
        return NodeSpec(
            component=f"component{number}",
            retry=chance.choice((None, retry)),
            priority=chance.choice((0, 0, 5)),
            limits=chance.choice(LIMITS),
            cache=chance.random() < 0.2 or None,
            code_hash="c0de",
            endless=chance.random() < 0.1,
            generator=chance.random() < 0.3,
        )

    def template(self, depth: int) -> Template:
        chance = self.chance
        if depth and chance.random() < 0.3:
            return Template(nodes=(self._node("", (), depth),), last_nodes=("",))
        nodes: list[PlanNode] = []
        for number in range(chance.randint(0 if depth else 1, 8 if not depth else 4)):
            nodes.append(self._node(f"n{number}", tuple(nodes), depth))
        sources = {edge.source for node in nodes for edge in node.edges}
        return Template(nodes=tuple(nodes), last_nodes=tuple(n.id for n in nodes if n.id not in sources))

    def _node(self, name: str, before: tuple[PlanNode, ...], depth: int) -> PlanNode:
        kind = self.chance.choice(KINDS)
        if not name:  # the one node of a map's item runs code, or maps in turn
            kind = NodeKind.MAP if kind is NodeKind.MAP and depth < DEEPEST else NodeKind.TASK
        return self.node(name, kind, self._edges(before), depth)

    def node(self, name: str, kind: NodeKind, edges: tuple[Edge, ...], depth: int) -> PlanNode:
        chance = self.chance
        if kind in (NodeKind.MAP, NodeKind.SCOPE) and depth >= DEEPEST:
            kind = NodeKind.TASK
        template = None
        if kind in (NodeKind.MAP, NodeKind.SCOPE):
            template = f"t{len(self.templates)}"
            self.templates[template] = Template(nodes=())
            drawn = self.template(depth + 1)
            while kind is NodeKind.SCOPE and [node.id for node in drawn.nodes] == [""]:
                drawn = self.template(depth + 1)
            self.templates[template] = drawn
        runs = kind in (NodeKind.TASK, NodeKind.MAP, NodeKind.BRANCH)
        return PlanNode(
            id=name,
            kind=kind,
            spec=chance.randrange(len(self.specs)) if runs else None,
            edges=edges,
            template=template,
            keep_item_errors=kind is NodeKind.MAP and chance.random() < 0.5,
            wait=_wait(chance, kind),
            signal=chance.choice(("red", "green")) if kind is NodeKind.SIGNAL else None,
        )

    def _edges(self, before: tuple[PlanNode, ...]) -> tuple[Edge, ...]:
        chance = self.chance
        edges = []
        for node in chance.sample(before, min(len(before), chance.choice((0, 1, 1, 2, 3)))):
            handle = chance.choice(("true", "false", None)) if node.kind is NodeKind.BRANCH else None
            param = chance.choice((None, "x", "y"))
            edges.append(Edge(source=node.id, param=param, handle=handle, optional=chance.random() < 0.2))
        return tuple(edges)


def _wait(chance: Random, kind: NodeKind) -> float | None:
    if kind is NodeKind.SLEEP:
        return chance.uniform(0, 50)
    return chance.choice((None, 20.0)) if kind is NodeKind.SIGNAL else None
