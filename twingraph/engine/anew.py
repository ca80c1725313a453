"""What came of a node: whatever took its value, was ordered after it, or was called once a body had looked at it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from twingraph.core.plan import Argument, NodeKind, Plan, PlanNode, Template
from twingraph.engine.kernel import Node, Scope, State


def with_consequences(state: State, starts: Iterable[str]) -> set[str]:
    """The ids of these nodes and of all that came of them, in the whole execution."""
    return _Search(state).of(state.nodes[name] for name in starts)


def takers_of(state: State, inputs: Iterable[str]) -> list[str]:
    """The nodes of a drawn workflow that are given any of these inputs of the execution."""
    return takers_in((node.plan for node in state.root.nodes.values()), inputs)


def takers_in(nodes: Iterable[PlanNode], inputs: Iterable[str]) -> list[str]:
    """The same of a plan: its nodes that are given any of these inputs."""
    wanted = set(inputs)
    return [
        node.id
        for node in nodes
        if (node.kind is NodeKind.INPUT and node.id in wanted)
        or any(_inputs_in(part) & wanted for part in (*node.args.values(), *node.scope_args.values()))
    ]


def also_now(state: State, plan: Plan, starts: Iterable[str], inputs: Iterable[str]) -> list[str]:
    """What else is to be done again for a plan that was drawn otherwise than the one that was carried out.

    Which of its recorded nodes take these inputs, or come of the starts, only as it is drawn now: nodes that are new
    in it may stand between.
    """
    starts, added = list(starts), list[str]()
    new = takers_in(plan.root.nodes, inputs)
    while True:
        found = with_consequences(state, [*starts, *added])
        more = [name for name in _come_of(state, plan, found, new) if name in state.nodes and name not in found]
        if not more:
            return added
        added += more


def _come_of(state: State, plan: Plan, found: set[str], new: Iterable[str]) -> list[str]:
    """The nodes that follow, by the edges of the plan, from these and from what contains them; scope by scope."""
    touched: dict[str, tuple[Scope, set[str]]] = {state.root.path: (state.root, set(new))}
    for name in found:
        node: Node | None = state.nodes[name]
        while node is not None:
            whole = node.item_of or node
            touched.setdefault(whole.scope.path, (whole.scope, set()))[1].add(whole.plan.id)
            node = whole.scope.parent
    come = list(new)
    for scope, ids in touched.values():
        template = _template_now(plan, scope)
        if template is None:
            continue
        prefix = f"{scope.path}/" if scope.path else ""
        come += sorted(prefix + one for one in _reached(template.nodes, ids))
    return come


def _template_now(plan: Plan, scope: Scope) -> Template | None:
    """What the nodes of this scope are drawn as now; None where there is no such scope any more."""
    if scope.parent is None:
        return plan.root
    around = _template_now(plan, scope.parent.scope)
    nodes = around.nodes if around is not None else ()
    template = next((node.template for node in nodes if node.id == scope.parent.plan.id), None)
    return plan.templates.get(template) if template is not None else None


def _reached(nodes: Iterable[PlanNode], ids: set[str]) -> set[str]:
    """Where the edges lead from these; of them only those that are reached themselves."""
    after: dict[str, list[str]] = {}
    for node in nodes:
        for edge in node.edges:
            after.setdefault(edge.source, []).append(node.id)
    reached: set[str] = set()
    queue = list(ids)
    while queue:
        more = set(after.get(queue.pop(), ())) - reached
        reached |= more
        queue += more
    return reached


def inputs_taken(state: State) -> set[str]:
    """The names of all inputs that a drawn workflow can take."""
    found = {node.plan.id for node in state.root.nodes.values() if node.kind is NodeKind.INPUT}
    for node in state.root.nodes.values():
        for part in (*node.plan.args.values(), *node.plan.scope_args.values()):
            found |= _inputs_in(part)
    return found


def _inputs_in(argument: Argument) -> set[str]:
    holes = (part for part in argument if not isinstance(part, str))
    return {source.input for hole in holes for source in hole.sources if source.input is not None}


class _Search:
    def __init__(self, state: State) -> None:
        self._state = state
        self._found: set[str] = set()
        self._passed: set[str] = set()  # containers of which something is among the found
        self._after: dict[str, dict[str, list[Node]]] = {}  # by scope: who takes what
        self._looked: dict[str, dict[str, int]] = {}  # by driven scope: before which call a node was first looked at
        self._from: dict[str, int] = {}  # by driven scope: the first call of those that all come after a look
        self._queue: deque[Node] = deque()

    def of(self, starts: Iterable[Node]) -> set[str]:
        self._queue.extend(starts)
        while self._queue:
            node = self._queue.popleft()
            if node.id not in self._found:
                self._found.add(node.id)
                self._queue.extend(_inside(node))
                self._follow(node)
        return self._found

    def _follow(self, node: Node) -> None:
        """What comes after it, and after what it is a part of; its siblings there are none of that."""
        if node.item_of is None:
            self._queue.extend(self._takers(node))
        container = node.item_of or node.scope.parent
        if container is not None and container.id not in self._passed and container.id not in self._found:
            self._passed.add(container.id)
            self._follow(container)

    def _takers(self, node: Node) -> Iterator[Node]:
        scope = node.scope
        if scope.path not in self._after:
            self._read(scope)
        yield from self._after[scope.path].get(node.plan.id, ())
        first = self._looked[scope.path].get(node.plan.id)
        if first is not None:
            calls = list(scope.nodes.values())
            before = self._from.get(scope.path, len(calls))
            self._from[scope.path] = min(first, before)
            yield from calls[first:before]

    def _read(self, scope: Scope) -> None:
        after = self._after[scope.path] = {}
        looked = self._looked[scope.path] = {}
        for position, node in enumerate(scope.nodes.values()):
            for edge in node.plan.edges:
                after.setdefault(edge.source, []).append(node)
            for name in node.plan.forced:
                looked.setdefault(name, position)


def _inside(node: Node) -> Iterator[Node]:
    for child in node.children or ():
        if isinstance(child, Scope):
            yield from child.nodes.values()
        else:
            yield child
