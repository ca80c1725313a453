"""How nodes come to be: opening templates, wiring dependencies, and deciding what a node may do once they are met."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence

from twingraph.core.plan import NodeKind, PlanNode, Source
from twingraph.core.statuses import NodeStatus
from twingraph.engine.kernel import bounds
from twingraph.engine.kernel.state import Node, Scope, State


def add_nodes(state: State, scope: Scope, plans: Iterable[PlanNode]) -> list[Node]:
    """Create the nodes in their scope and wire their edges. The new nodes, in order."""
    created = _create(state, scope, plans)
    _wire(created)
    return created


def adding(state: State, scope: Scope, plans: Sequence[PlanNode]) -> Generator[None, None, list[Node]]:
    """The same by and by."""
    created: list[Node] = []
    for start in range(0, len(plans), state.at_once):
        created += _create(state, scope, plans[start : start + state.at_once])
        yield
    for start in range(0, len(created), state.at_once):
        _wire(created[start : start + state.at_once])
        yield
    return created


def _create(state: State, scope: Scope, plans: Iterable[PlanNode]) -> list[Node]:
    created = []
    for plan in plans:
        if plan.id in scope.nodes:  # a driver that was not sure whether its call had arrived
            continue
        node = Node(scope.absolute(plan.id), plan, scope)
        scope.nodes[plan.id] = node
        state.add(node)
        created.append(node)
    scope.open += len(created)
    return created


def _wire(created: Iterable[Node]) -> None:
    for node in created:
        node.pending -= depend(node)


def depend(node: Node) -> int:
    """Let it be told by its sources; how many of these are over already."""
    over = 0
    for edge in node.plan.edges:
        source = node.scope.nodes[edge.source]
        if source.over:
            over += 1
        elif source.dependents is None:
            source.dependents = [node]
        else:
            source.dependents.append(node)
    return over


def open_scope(state: State, path: str, parent: Node, index: int | None) -> tuple[Scope, list[Node]]:
    """Open the parent's template under this path, with its nodes."""
    scope = new_scope(state, path, parent, index)
    return scope, add_nodes(state, scope, inside(state, parent))


def new_scope(state: State, path: str, parent: Node, index: int | None) -> Scope:
    """A scope without its nodes. It is closed at once, since a template knows all of them.

    Without a template the scope belongs to a body, which extends and closes it.
    """
    scope = Scope(path, parent, index)
    bounds.bind(scope)
    state.timed = state.timed or scope.clock is not None
    if parent.plan.template is None:
        scope.driven = True
    else:
        scope.closed = True
        scope.last_nodes = state.templates[parent.plan.template].last_nodes
    state.scopes[path] = scope
    return scope


def inside(state: State, parent: Node) -> Sequence[PlanNode]:
    """What the parent's template consists of."""
    template = parent.plan.template
    return () if template is None else state.templates[template].nodes


def is_single(state: State, parent: Node) -> bool:
    """Whether the items of this map are single nodes rather than scopes."""
    assert parent.plan.template is not None
    nodes = state.templates[parent.plan.template].nodes
    return len(nodes) == 1 and nodes[0].id == ""


def add_item(state: State, parent: Node, key: str, index: int) -> list[Node]:
    """Create item `key` of a map. The new nodes."""
    assert parent.plan.template is not None
    assert parent.children is not None
    path = f"{parent.id}[{key}]"
    if not is_single(state, parent):
        scope, created = open_scope(state, path, parent, index)
        parent.children.append(scope)
        return created
    node = Node(path, state.templates[parent.plan.template].nodes[0], parent.scope, parent, index)
    parent.children.append(node)
    state.add(node)
    return [node]


def taken_twice(state: State, parent: Node, keys: Iterable[str]) -> str | None:
    """A key that stands for two items of the map; None when each has its own."""
    seen = set()
    for key in keys:
        path = f"{parent.id}[{key}]"
        if key in seen or path in state.nodes or path in state.scopes:
            return key
        seen.add(key)
    return None


ALIVE, DEAD, BROKEN = "alive", "dead", "broken"


def _edge_state(source: Node, handle: str | None) -> str:
    """Alive: it carries. Dead: a branch went the other way. Broken: the source did not complete."""
    if source.status is NodeStatus.COMPLETED:
        return ALIVE if handle is None or source.branch == handle else DEAD
    if source.status is NodeStatus.SKIPPED and source.reason == "branch":
        return DEAD
    return BROKEN


def why_skipped(node: Node) -> str | None:
    """Why a node whose sources are all over must not run; None when it may."""
    edges = node.plan.edges
    if not edges:
        return None
    nodes = node.scope.nodes
    if all(_edge_state(nodes[edge.source], edge.handle) is ALIVE for edge in edges):
        return None
    states = [_edge_state(nodes[edge.source], edge.handle) for edge in edges]
    alive = {edge.param for edge, how in zip(edges, states, strict=True) if how is ALIVE}
    for param in {edge.param for edge, how in zip(edges, states, strict=True) if how is BROKEN}:
        if param is None or param not in alive or _has_a_gap(node, param):
            return "upstream"
    if not alive:
        return "branch"
    for edge in edges:
        if edge.param is not None and not edge.optional and edge.param not in alive:
            return "branch"
    return None


def _has_a_gap(node: Node, param: str) -> bool:
    """Whether one of the values that this argument is made of failed to come: a list of what several nodes give."""
    argument = node.plan.args.get(param) or node.plan.scope_args.get(param, ())
    nodes = node.scope.nodes
    for part in argument:
        if not isinstance(part, str) and not any(_comes(nodes, source) for source in part.sources):
            givers = [nodes[source.node] for source in part.sources if source.node is not None]
            if any(_edge_state(giver, None) is BROKEN for giver in givers):
                return True
    return False


def _comes(nodes: Mapping[str, Node], source: Source) -> bool:
    if any(nodes[branch].branch != handle for branch, handle in source.branches):
        return False
    return source.node is None or nodes[source.node].status is NodeStatus.COMPLETED


CONTAINERS = frozenset({NodeKind.MAP, NodeKind.SCOPE})
# Kinds that wait for the world and hold neither a lane nor the time-out clock.
WAITS = frozenset({NodeKind.SLEEP, NodeKind.SIGNAL, NodeKind.DETACHED})
