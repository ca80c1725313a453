"""How nodes come to be: opening templates, wiring dependencies, and deciding what a node may do once they are met."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

from twingraph.core.plan import Edge, NodeKind, PlanNode, Source
from twingraph.core.statuses import NodeStatus
from twingraph.engine.kernel import bounds
from twingraph.engine.kernel.state import Node, Scope, State, at_once


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
    yield from _wiring(state, created)
    return created


def _wiring(state: State, created: Iterable[Node]) -> Iterator[None]:
    seen = 0
    for node in created:
        edges = node.plan.edges
        for start in range(0, len(edges) or 1, state.at_once):
            some = edges[start : start + state.at_once]
            node.pending -= _depend(node, some)
            seen += len(some) or 1
            if seen >= state.at_once:
                seen = 0
                yield


def is_wide(state: State, plan: PlanNode) -> bool:
    """Whether it waits for so many others that to look at all of them takes a while."""
    return len(plan.edges) > state.at_once


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
    return _depend(node, node.plan.edges)


def _depend(node: Node, edges: Iterable[Edge]) -> int:
    over = 0
    for edge in edges:
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
    nodes = node.scope.nodes
    for edge in node.plan.edges:
        if _edge_state(nodes[edge.source], edge.handle) is not ALIVE:
            return at_once(finding_why_skipped(node, len(node.plan.edges)))
    return None


def finding_why_skipped(node: Node, step: int) -> Generator[None, None, str | None]:
    """The same by and by, so many sources without a pause."""
    nodes = node.scope.nodes
    found: dict[str, set[str | None]] = {ALIVE: set(), DEAD: set(), BROKEN: set()}  # parameters of edges
    needed: set[str] = set()
    for number, edge in enumerate(node.plan.edges, 1):
        found[_edge_state(nodes[edge.source], edge.handle)].add(edge.param)
        if edge.param is not None and not edge.optional:
            needed.add(edge.param)
        if not number % step:
            yield
    alive = found[ALIVE]
    if not (found[DEAD] or found[BROKEN]):
        return None
    for param in found[BROKEN]:
        if param is None or param not in alive or (yield from _has_a_gap(node, param, step)):
            return "upstream"
    return None if alive and needed <= alive else "branch"


def _has_a_gap(node: Node, param: str, step: int) -> Generator[None, None, bool]:
    """Whether one of the values that this argument is made of failed to come: a list of what several nodes give."""
    argument = node.plan.args.get(param) or node.plan.scope_args.get(param, ())
    nodes = node.scope.nodes
    for number, part in enumerate(argument, 1):
        if not number % step:
            yield
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
