"""How nodes, containers and scopes end, and how far a failure reaches.

What ends hands back the nodes that may begin because of it, rather than beginning them: a chain of ten thousand skipped
nodes must not exhaust the stack, nor must pipelines deep inside each other, all ended by the innermost. What a
failure ends is ended by and by. What an ending of everything does to each node is a chore, done after the rest of the
event; what would follow from the rest waits for it, since by then most of it concerns nobody any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator

from twingraph.core.errors import ErrorCode
from twingraph.core.plan import NodeKind, PlanNode
from twingraph.core.policies import ErrorHandler
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import ExecutionStatus, NodeStatus
from twingraph.engine.kernel import bounds, finishing, holdings, scheduling
from twingraph.engine.kernel.commands import CancelRuns, StopDriver, WakeDriver
from twingraph.engine.kernel.state import Node, Scope, State, at_once

Freed = Generator[None, None, list[Node]]


def end(state: State, node: Node, status: NodeStatus) -> list[Node]:
    """Put the node to its end; the nodes that may begin because of it."""
    freed: list[Node] = []
    if _ended(state, node, status, freed):
        _follow(state, node, freed)
    return freed


def ending(state: State, node: Node, status: NodeStatus) -> Freed:
    """The same by and by."""
    _put_to_end(state, node, status)
    if node.kind is NodeKind.HANDLER:
        finishing.finish_if_over(state)
        return []
    freed = (yield from _failed(state, node)) if status is NodeStatus.FAILED else []
    if state.chores:
        state.chores.append(_follow_later(state, node))
        return freed
    waiting, node.dependents = node.dependents or (), None
    for start in range(0, len(waiting), state.at_once):
        if start:
            yield
        _tell(waiting[start : start + state.at_once], freed)
    _follow(state, node, freed)
    return freed


def _ended(state: State, node: Node, status: NodeStatus, freed: list[Node]) -> bool:
    """Put it to its end; whether what follows from that is to be done now."""
    _put_to_end(state, node, status)
    if node.kind is NodeKind.HANDLER:
        finishing.finish_if_over(state)
        return False
    if status is NodeStatus.FAILED:
        freed += at_once(_failed(state, node))
    if state.chores:
        state.chores.append(_follow_later(state, node))
        return False
    return True


def _put_to_end(state: State, node: Node, status: NodeStatus) -> None:
    bounds.activate(state, node, False)
    holdings.settle_work(state, node, completed=status is NodeStatus.COMPLETED)
    scheduling.retire(state, node)
    state.move(node, status)
    state.ended_count += 1
    node.order = state.ended_count


def _follow_later(state: State, node: Node) -> Iterator[None]:
    _follow(state, node, [])  # whatever could begin has been cancelled
    yield


def _follow(state: State, node: Node, freed: list[Node]) -> None:
    """What follows from its end for those that wait for it and those that it is a part of."""
    _end_outwards(state, _told(state, node, freed), freed)


def _end_outwards(state: State, container: Node | None, freed: list[Node]) -> None:
    """This container ends, and so does each around it of which nothing else is left."""
    while container is not None and _ended(state, container, _as_its_children(container), freed):
        container = _told(state, container, freed)


def _told(state: State, node: Node, freed: list[Node]) -> Node | None:
    """Tell who waits for it; the container that is over with it."""
    if node.dependents is not None:
        _tell(node.dependents, freed)
        node.dependents = None
    over: Node | None = None
    scope = node.scope
    if node.item_of is not None:
        over = _without_a_child(node.item_of)
    else:
        scope.open -= 1
        if scope.driven:
            state.commands.append(WakeDriver(scope.path, node.id))
            bounds.tend_body(state, scope)
        if scope.open == 0:
            over = _close(state, scope)
    if state.ending is not None:
        finishing.finish_if_over(state)
    return over


def _tell(dependents: Iterable[Node], freed: list[Node]) -> None:
    for dependent in dependents:
        dependent.pending -= 1
        if dependent.pending == 0:
            freed.append(dependent)


def scope_over(state: State, scope: Scope) -> list[Node]:
    """All nodes of the scope may be over: it is too once no more can come. The nodes that may begin because of it."""
    freed: list[Node] = []
    _end_outwards(state, _close(state, scope), freed)
    return freed


def _close(state: State, scope: Scope) -> Node | None:
    """The container that is over with the scope."""
    if scope.open or not scope.closed or scope.outcome is not None:
        return None
    if scope.parent is None:
        finishing.finish_if_over(state)
        return None
    scope.outcome = finishing.outcome_of(state, scope)
    bounds.stop_clock(state, scope)
    return _without_a_child(scope.parent)


def _without_a_child(container: Node) -> Node | None:
    """One of its children is over: it too, if that was the last."""
    container.open -= 1
    return None if container.open or not container.expanded or container.over else container


def finish_container(state: State, container: Node) -> list[Node]:
    """All children are over: the container ends as they did."""
    freed: list[Node] = []
    _end_outwards(state, container, freed)
    return freed


def _as_its_children(container: Node) -> NodeStatus:
    if container.error is not None:  # it failed while they still ran
        return NodeStatus.FAILED
    failed: Node | Scope | None = None
    cancelled = False
    for child in container.children or ():
        outcome = child.status if type(child) is Node else child.outcome  # type: ignore[union-attr]
        if outcome is NodeStatus.COMPLETED:  # of 100,000 nearly all are
            continue
        if outcome is NodeStatus.FAILED or (outcome is NodeStatus.SKIPPED and _is_broken(child)):
            failed = failed or child
        cancelled = cancelled or outcome is NodeStatus.CANCELLED
    if failed is not None and not container.plan.keep_item_errors:
        container.error = failed.error
        return NodeStatus.FAILED
    return NodeStatus.CANCELLED if cancelled else NodeStatus.COMPLETED


def _is_broken(child: Node | Scope) -> bool:
    return isinstance(child, Node) and child.reason == "upstream"


# -- failures ------------------------------------------------------------------------------------


def doomed(node: Node) -> bool:
    """Whether something around the node was given up, so that it must not run."""
    while not node.scope.cancelled:
        if node.item_of is None:
            return False
        if node.item_of.error is not None:
            return True
        node = node.item_of
    return True


def _failed(state: State, node: Node) -> Freed:
    """A node failed for good: call the custom handler, and decide how far the failure reaches."""
    if not node.children or _failed_itself(node):
        _call_handler(state, node)
    if node.scope.error is None and node.item_of is None and not node.scope.driven:
        node.scope.error = node.error
    if state.ending is not None or bounds.goes_on(state, node.scope):
        return []
    inner: Node = node
    while not inner.scope.cancelled:
        if inner.item_of is not None:
            if inner.item_of.plan.keep_item_errors:
                return (yield from _give_up(state, inner, node))
            inner = inner.item_of
            continue
        scope = inner.scope
        if scope.driven and not scope.closed:
            return (yield from _give_up(state, inner, node))  # the body meets the failure, or is asked at its end
        if scope.driven and inner.plan.id in scope.met:
            return (
                yield from _give_up(state, inner, node)
            )  # the body is over, and had given this call up before it failed
        if scope.parent is None:
            finishing.begin_ending(state, ExecutionStatus.FAILED, node.error)
            return []
        own = bounds.has_own_rules(scope) and bounds.goes_on(state, scope.parent.scope)
        if own or scope.driven or scope.parent.plan.keep_item_errors:
            scope.error = scope.error or node.error
            return (yield from cancelling_scope(state, scope))
        inner = scope.parent
    return []


def _failed_itself(node: Node) -> bool:
    """Whether a sub-pipeline failed by its body or its time limit, rather than by a node in it."""
    inside = node.children[0] if node.children else None
    return (
        isinstance(inside, Scope) and inside.driven and node.error is not None and node.error.node_id in (None, node.id)
    )


def _give_up(state: State, container: Node, failed: Node) -> Freed:
    return [] if container is failed else (yield from failing_container(state, container, failed.error))


def failing_container(state: State, container: Node, error: ErrorRecord | None) -> Freed:
    """The container has failed: end what is left of its children, and nothing else."""
    if container.error is not None or container.over:
        return []
    container.error = error or _unexplained(container)
    container.expanded = True
    freed = yield from _cancelling(state, container.children or ())
    if not container.open and not container.over:
        freed += end(state, container, NodeStatus.FAILED)
    return freed


def _unexplained(node: Node) -> ErrorRecord:
    message = "it failed without saying why"
    return ErrorRecord(code=ErrorCode.INTERNAL, error_type="Unexplained", message=message, node_id=node.id)


def cancelling_scope(state: State, scope: Scope) -> Freed:
    """End what is left of one scope, and nothing else."""
    return [] if scope.cancelled else (yield from _cancelling(state, (scope,)))


def _cancelling(state: State, children: Iterable[Node | Scope]) -> Freed:
    """End all of these and what is inside them; what runs ends with the word of its run."""
    running: list[str] = []
    freed: list[Node] = []
    queue: deque[Node | Scope] = deque(children)
    seen = 0
    while queue:
        if seen == state.at_once and not state.chores:  # else everything is about to end, which is to come after this
            seen = 0
            yield
        seen += 1
        child = queue.popleft()
        if isinstance(child, Scope):
            child.cancelled = True
            queue.extend(child.nodes.values())
            if child.driven and not child.closed:
                freed += _give_up_body(state, child)
        elif child.over:
            continue
        elif child.lane is not None:
            running.append(child.id)
        elif child.children is None:
            freed += end(state, child, NodeStatus.CANCELLED)
        elif child.expanded or child.open:
            child.expanded = True
            queue.extend(child.children)
        else:
            freed += end(state, child, NodeStatus.CANCELLED)
    if running:
        state.commands.append(CancelRuns(tuple(running)))
    return freed


def _give_up_body(state: State, scope: Scope) -> list[Node]:
    """Nothing that the body still does can matter: do not wait for it, it might never look up."""
    scope.closed = True
    bounds.tend_body(state, scope)
    state.commands.append(StopDriver(scope.path))
    return scope_over(state, scope)


def _call_handler(state: State, failed: Node) -> None:
    """The custom error handler, once per node that failed for good, but not for a failure that is kept from an earlier
    execution. What becomes of it changes nothing."""
    rules = bounds.rules(state, failed.scope)
    spec = rules.handler_component
    if spec is None or rules.error_handler != ErrorHandler.CUSTOM or failed.cached_from is not None:
        return
    plan = PlanNode(id=f"{failed.id}!handler", kind=NodeKind.HANDLER, spec=spec)
    node = Node(plan.id, plan, Scope("", None, None))
    state.add(node)
    scheduling.dispatch_now(state, node)
