"""How nodes, scopes and executions begin and end, and what that sets off.

Consequences are worked off from a queue rather than by recursion: a chain of ten thousand skipped nodes must not
exhaust the stack.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from twingraph.core.events import OutputMeta
from twingraph.core.execution import ErrorRecord
from twingraph.core.plan import NodeKind, PlanNode
from twingraph.core.policies import ErrorHandler
from twingraph.core.statuses import ExecutionStatus, NodeStatus
from twingraph.engine.kernel import graph, scheduling
from twingraph.engine.kernel.commands import (
    AskCache,
    AskLimit,
    CancelRuns,
    ClearTimer,
    Finish,
    ReleaseLimit,
    SetTimer,
    StartDetached,
    WakeDriver,
)
from twingraph.engine.kernel.state import Node, Scope, State

# Seconds that an ending execution waits for word of the runs that it cancelled.
ENDING_PATIENCE = 8.0


def settle(state: State, candidates: Iterable[Node]) -> None:
    """Begin every node whose sources are all over, and whatever that allows in turn."""
    queue = deque(node for node in candidates if node.pending == 0)
    while queue:
        node = queue.popleft()
        if node.status is NodeStatus.PENDING and not node.active:
            queue.extend(_begin(state, node))


def end_node(state: State, node: Node, status: NodeStatus) -> None:
    """The node is over; whatever follows from that happens too."""
    settle(state, _end(state, node, status))


def activate(state: State, node: Node, active: bool) -> None:
    """Whether the node keeps the time-out clock going."""
    if node.active is not active:
        node.active = active
        state.active += 1 if active else -1


# -- beginnings ----------------------------------------------------------------------------------


def _begin(state: State, node: Node) -> list[Node]:
    """Begin a node whose sources are over; the nodes that may begin because of it."""
    if state.ending is not None or node.scope.cancelled:
        return _end(state, node, NodeStatus.CANCELLED)
    reason = graph.why_skipped(node)
    if reason is not None:
        node.reason = reason
        return _end(state, node, NodeStatus.SKIPPED)
    if node.kind is NodeKind.INPUT:
        return _end(state, node, NodeStatus.COMPLETED)
    if node.kind is NodeKind.SCOPE:
        state.move(node, NodeStatus.RUNNING)
        scope, created = graph.open_scope(state, node.id, node, None)
        node.children, node.expanded, node.open = [scope], True, 1
        return created or _scope_over(state, scope)
    if node.kind in graph.WAITS:
        return _begin_wait(state, node)
    activate(state, node, True)
    if node.kind is NodeKind.SIDE_EFFECT:  # the body that asked for it carries it out
        state.move(node, NodeStatus.RUNNING)
        node.attempt = 1
        return []
    assert node.spec is not None
    if state.specs[node.spec].cache:
        node.asked = "cache"
        state.commands.append(AskCache(node.id))
    else:
        queue_up(state, node)
    return []


def queue_up(state: State, node: Node, *, front: bool = False) -> None:
    """Ask for the named limits that the node's spec wants, then let it wait for a lane."""
    assert node.spec is not None
    spec = state.specs[node.spec]
    if spec.limits and not node.granted:
        node.asked = "limit"
        state.commands.append(AskLimit(node.id, tuple(sorted(spec.limits.items())), spec.priority))
        return
    node.asked = None
    scheduling.enqueue(state, node, front=front)


def _begin_wait(state: State, node: Node) -> list[Node]:
    if node.kind is NodeKind.SIGNAL:
        assert node.plan.signal is not None
        kept = state.signals.get(node.plan.signal)
        if kept:
            return complete_signal(state, node, *kept.popleft())
        state.waiting_signals.setdefault(node.plan.signal, deque()).append(node)
    state.move(node, NodeStatus.RUNNING)
    node.attempt = 1
    if node.kind is NodeKind.DETACHED:
        state.commands.append(StartDetached(node.id))
    elif node.plan.wait is not None:
        node.due = state.now + node.plan.wait
        state.commands.append(SetTimer(f"node:{node.id}", node.plan.wait))
    return []


def complete_signal(state: State, node: Node, seq: int, output: OutputMeta) -> list[Node]:
    node.seq, node.shape, node.outputs = seq, "plain", (output,)
    return _end(state, node, NodeStatus.COMPLETED)


# -- endings of nodes ----------------------------------------------------------------------------


def retire(state: State, node: Node) -> None:
    """Give back what the node held outside while it was under way."""
    scheduling.leave_lane(state, node)
    if node.granted:
        node.granted = False
        state.commands.append(ReleaseLimit(node.id))
    if node.due is not None:
        node.due = None
        state.commands.append(ClearTimer(f"node:{node.id}"))


def _end(state: State, node: Node, status: NodeStatus) -> list[Node]:
    """Put the node to its end; the nodes that may begin because of it."""
    activate(state, node, False)
    retire(state, node)
    state.move(node, status)
    if node.kind is NodeKind.HANDLER:
        return _finish_if_over(state)
    freed: list[Node] = []
    if status is NodeStatus.FAILED:
        freed += _failed(state, node)
    for dependent in node.dependents or ():
        dependent.pending -= 1
        if dependent.pending == 0:
            freed.append(dependent)
    node.dependents = None
    if node.item_of is not None:
        return freed + _child_over(state, node.item_of)
    scope = node.scope
    if scope.driven:
        state.commands.append(WakeDriver(scope.path, node.id))
    scope.open -= 1
    if scope.open == 0:
        freed += _scope_over(state, scope)
    return freed


def _child_over(state: State, container: Node) -> list[Node]:
    container.open -= 1
    if container.open or not container.expanded or container.over:
        return _finish_if_over(state) if state.ending is not None else []
    return finish_container(state, container)


def finish_container(state: State, container: Node) -> list[Node]:
    """All children are over: the container ends as they did."""
    failed: Node | Scope | None = None
    cancelled = False
    for child in container.children or ():
        outcome = child.status if isinstance(child, Node) else child.outcome
        if outcome is NodeStatus.FAILED or (outcome is NodeStatus.SKIPPED and _is_broken(child)):
            failed = failed or child
        cancelled = cancelled or outcome is NodeStatus.CANCELLED
    if failed is not None and not container.plan.keep_item_errors:
        container.error = failed.error
        return _end(state, container, NodeStatus.FAILED)
    return _end(state, container, NodeStatus.CANCELLED if cancelled else NodeStatus.COMPLETED)


def _is_broken(child: Node | Scope) -> bool:
    return isinstance(child, Node) and child.reason == "upstream"


# -- failures ------------------------------------------------------------------------------------


def _goes_on(state: State) -> bool:
    """Whether what does not depend on a failed node goes on."""
    handler = state.settings.error_handler
    return handler == ErrorHandler.CONTINUE or (handler == ErrorHandler.CUSTOM and state.settings.continue_on_error)


def _failed(state: State, node: Node) -> list[Node]:
    """A node failed for good: call the custom handler, and decide how far the failure reaches."""
    if node.kind not in graph.CONTAINERS or not node.children:
        _call_handler(state, node)
    if node.scope.error is None and node.item_of is None:
        node.scope.error = node.error
    if state.ending is not None or _goes_on(state):
        return []
    inner: Node = node
    while True:
        if inner.item_of is not None:
            if inner.item_of.plan.keep_item_errors:
                return []
            inner = inner.item_of
            continue
        scope = inner.scope
        if scope.driven:
            return []  # the body that drives the scope meets the failure, or is asked at its end
        if scope.parent is None:
            begin_ending(state, ExecutionStatus.FAILED, node.error)
            return []
        if scope.parent.plan.keep_item_errors:
            return cancel_scope(state, scope)
        inner = scope.parent


def cancel_scope(state: State, scope: Scope) -> list[Node]:
    """End what is left of one scope, and nothing else."""
    running: list[str] = []
    freed = _cancel_nodes(state, scope, running)
    if running:
        state.commands.append(CancelRuns(tuple(running)))
    return freed


def _cancel_nodes(state: State, scope: Scope, running: list[str]) -> list[Node]:
    scope.cancelled = True
    freed: list[Node] = []
    for node in list(scope.nodes.values()):
        if node.over:
            continue
        if node.lane is not None:
            running.append(node.id)
        elif node.children is None:
            freed += _end(state, node, NodeStatus.CANCELLED)
        for child in node.children or ():
            if isinstance(child, Scope):
                freed += _cancel_nodes(state, child, running)
            elif child.lane is not None:
                running.append(child.id)
            elif not child.over:
                freed += _end(state, child, NodeStatus.CANCELLED)
    return freed


def _call_handler(state: State, failed: Node) -> None:
    """The custom error handler, once per node that failed for good. What becomes of it changes nothing."""
    spec = state.settings.handler_component
    if spec is None or state.settings.error_handler != ErrorHandler.CUSTOM:
        return
    plan = PlanNode(id=f"{failed.id}!handler", kind=NodeKind.HANDLER, spec=spec)
    node = Node(plan.id, plan, Scope("", None, None))
    state.add(node)
    scheduling.dispatch_now(state, node)


# -- endings of scopes and of the execution ---------------------------------------------------------


def _scope_outcome(state: State, scope: Scope) -> NodeStatus:
    if scope.driven:
        return NodeStatus.FAILED if scope.error is not None else NodeStatus.COMPLETED
    statuses = [node.status for node in scope.nodes.values()]
    if not _goes_on(state) and NodeStatus.FAILED in statuses:
        return NodeStatus.FAILED
    if not scope.cancelled and NodeStatus.CANCELLED in statuses:
        return NodeStatus.CANCELLED
    last = [scope.nodes[name] for name in scope.last_nodes]
    if any(node.status is NodeStatus.FAILED or node.reason == "upstream" for node in last):
        return NodeStatus.FAILED
    return NodeStatus.COMPLETED


def _scope_over(state: State, scope: Scope) -> list[Node]:
    """All nodes of the scope are over; it is too once no more can come."""
    if scope.open or not scope.closed:
        return []
    if scope.parent is None:
        return _finish_if_over(state)
    scope.outcome = _scope_outcome(state, scope)
    return _child_over(state, scope.parent)


def close_scope(state: State, scope: Scope) -> None:
    scope.closed = True
    settle(state, _scope_over(state, scope))


def begin_ending(state: State, status: ExecutionStatus, error: ErrorRecord | None = None) -> None:
    """The execution will end so. What has not begun is cancelled now; what runs is waited for, but not for long."""
    if state.ending is not None:
        return
    state.ending, state.ending_error = status, error
    for node in state.nodes.values():
        if node.over or node.lane is not None:
            continue
        activate(state, node, False)
        retire(state, node)
        state.move(node, NodeStatus.CANCELLED)
        node.dependents = None
    state.ready.clear()
    state.ready_count = 0
    if state.in_flight:
        # Handlers of custom error handling are left to finish: only what the workflow itself runs is cancelled.
        running = tuple(n.id for n in state.nodes.values() if n.lane is not None and n.kind is not NodeKind.HANDLER)
        if running:
            state.commands.append(CancelRuns(running))
        state.commands.append(SetTimer("ending", ENDING_PATIENCE))
    _finish_if_over(state)


def _finish_if_over(state: State) -> list[Node]:
    if state.finishing is not None:
        return []
    if state.ending is not None:
        if not state.in_flight:
            finish(state, state.ending, state.ending_error)
        return []
    root = state.root
    if root.closed and not root.open and not state.in_flight:
        root.outcome = _scope_outcome(state, root)
        if root.outcome is NodeStatus.FAILED:
            finish(state, ExecutionStatus.FAILED, root.error or _first_error(root))
        else:
            finish(state, ExecutionStatus.COMPLETED, None)
    return []


def _first_error(scope: Scope) -> ErrorRecord | None:
    return next((node.error for node in scope.nodes.values() if node.error is not None), None)


def finish(state: State, status: ExecutionStatus, error: ErrorRecord | None) -> None:
    for node in state.nodes.values():
        if not node.over:
            activate(state, node, False)
            retire(state, node)
            state.move(node, NodeStatus.CANCELLED)
    state.finishing = status
    state.ending_error = error
    state.commands.append(Finish(status, error))
