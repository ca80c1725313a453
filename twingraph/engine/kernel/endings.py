"""How nodes, scopes and executions begin and end, and what that sets off.

Consequences are worked off from a queue rather than by recursion: a chain of ten thousand skipped nodes must not
exhaust the stack.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from twingraph.core.errors import ErrorCode
from twingraph.core.events import OutputMeta
from twingraph.core.plan import NodeKind, PlanNode
from twingraph.core.policies import ErrorHandler
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import ExecutionStatus, NodeStatus
from twingraph.engine.kernel import bodies, bounds, graph, scheduling
from twingraph.engine.kernel.commands import (
    AskCache,
    AskLimit,
    CancelRuns,
    ClearTimer,
    Finish,
    ReleaseLimit,
    SettleCache,
    SetTimer,
    StartDetached,
    StartDriver,
    StopDriver,
    WakeDriver,
)
from twingraph.engine.kernel.state import Node, Scope, State

# Seconds that an ending execution waits for word of the runs that it cancelled.
ENDING_PATIENCE = 8.0


def settle(state: State, candidates: Iterable[Node]) -> None:
    """Begin every node whose sources are all over, and whatever that allows in turn."""
    queue = deque(candidates)
    while queue:
        node = queue.popleft()
        if not node.pending and node.status is NodeStatus.PENDING and not node.active:
            queue.extend(_begin(state, node))


def end_node(state: State, node: Node, status: NodeStatus) -> None:
    """The node is over; whatever follows from that happens too."""
    freed = _end(state, node, status)
    if freed:
        settle(state, freed)


# -- beginnings ----------------------------------------------------------------------------------


def _begin(state: State, node: Node) -> list[Node]:
    """Begin a node whose sources are over; the nodes that may begin because of it."""
    if state.ending is not None or doomed(node):
        return _end(state, node, NodeStatus.CANCELLED)
    reason = graph.why_skipped(node)
    if reason is not None:
        node.reason = reason
        return _end(state, node, NodeStatus.SKIPPED)
    kind = node.kind
    if kind is NodeKind.INPUT:
        return _end(state, node, NodeStatus.COMPLETED)
    if kind is NodeKind.SCOPE:
        return _begin_scope(state, node)
    if state.status is ExecutionStatus.PAUSED and kind is NodeKind.DETACHED:
        node.asked = "resume"
        return []
    if kind in graph.WAITS:
        return _begin_wait(state, node)
    bounds.activate(state, node, True)
    if kind is NodeKind.SIDE_EFFECT:  # the body that asked for it carries it out
        state.move(node, NodeStatus.RUNNING)
        node.attempt = 1
        return []
    queue_up(state, node)
    return []


def _begin_scope(state: State, node: Node) -> list[Node]:
    state.move(node, NodeStatus.RUNNING)
    scope, created = graph.open_scope(state, node.id, node, None)
    node.children, node.expanded, node.open = [scope], True, 1
    if scope.driven:
        bounds.tend_body(state, scope)
        state.commands.append(StartDriver(scope.path))
    return created or scope_over(state, scope)


def queue_up(state: State, node: Node, *, front: bool = False) -> None:
    """Ask for what stands outside the execution: whether the work is to be done at all, then the named limits that it
    wants. Then let it wait for a lane."""
    assert node.spec is not None
    spec = state.specs[node.spec]
    if spec.cache and not node.owns and node.kind is NodeKind.TASK:
        if state.status is ExecutionStatus.PAUSED:  # nobody shall wait for what is paused
            node.asked = "resume"
            return
        node.asked = "cache"
        state.commands.append(AskCache(node.id))
        return
    if spec.limits and not node.granted:
        if state.status is ExecutionStatus.PAUSED:  # what is paused must not hold a limit that others want
            node.asked = "resume"
            return
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
    if node.granted or node.asked == "limit":
        node.granted = False
        state.commands.append(ReleaseLimit(node.id))
    node.asked = None
    if node.due is not None:
        node.due = None
        state.commands.append(ClearTimer(f"node:{node.id}"))


def _settle_work(state: State, node: Node, *, completed: bool) -> None:
    """Its work is done, or given up: whoever waits for it hears."""
    node.owns = False
    state.commands.append(SettleCache(node.id, completed))


def give_back(state: State, node: Node) -> None:
    """What the node holds outside is for others now, and it has to ask anew."""
    if node.granted:
        node.granted = False
        state.commands.append(ReleaseLimit(node.id))
    if node.owns:
        _settle_work(state, node, completed=False)


def give_up_wait(state: State, node: Node) -> None:
    """Nobody waits for it any more. That is no failure."""
    waiting = state.waiting_signals.get(node.plan.signal) if node.plan.signal is not None else None
    if waiting is not None and node in waiting:
        waiting.remove(node)
        if not waiting and node.plan.signal is not None:
            del state.waiting_signals[node.plan.signal]
    end_node(state, node, NodeStatus.CANCELLED)


def _end(state: State, node: Node, status: NodeStatus) -> list[Node]:
    """Put the node to its end; the nodes that may begin because of it."""
    bounds.activate(state, node, False)
    if node.owns or node.asked == "cache":
        _settle_work(state, node, completed=status is NodeStatus.COMPLETED and node.cached_from is None)
    retire(state, node)
    state.move(node, status)
    state.ended_count += 1
    node.order = state.ended_count
    if node.kind is NodeKind.HANDLER:
        _finish_if_over(state)
        return []
    freed = _failed(state, node) if status is NodeStatus.FAILED else []
    for dependent in node.dependents or ():
        dependent.pending -= 1
        if dependent.pending == 0:
            freed.append(dependent)
    node.dependents = None
    scope = node.scope
    if node.item_of is not None:
        freed += _child_over(state, node.item_of)
    else:
        scope.open -= 1
        if scope.driven:
            state.commands.append(WakeDriver(scope.path, node.id))
            bounds.tend_body(state, scope)
        if scope.open == 0:
            freed += scope_over(state, scope)
    if state.ending is not None:
        _finish_if_over(state)
    return freed


def _child_over(state: State, container: Node) -> list[Node]:
    container.open -= 1
    if container.open or not container.expanded or container.over:
        return []
    return finish_container(state, container)


def finish_container(state: State, container: Node) -> list[Node]:
    """All children are over: the container ends as they did."""
    if container.error is not None:  # it failed while they still ran
        return _end(state, container, NodeStatus.FAILED)
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


def doomed(node: Node) -> bool:
    """Whether something around the node was given up, so that it must not run."""
    while not node.scope.cancelled:
        if node.item_of is None:
            return False
        if node.item_of.error is not None:
            return True
        node = node.item_of
    return True


def _failed(state: State, node: Node) -> list[Node]:
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
                return _give_up(state, inner, node)
            inner = inner.item_of
            continue
        scope = inner.scope
        if scope.driven and not scope.closed:
            return _give_up(state, inner, node)  # the body meets the failure, or is asked at its end
        if scope.driven and inner.plan.id in scope.met:
            return _give_up(state, inner, node)  # the body is over, and had given this call up before it failed
        if scope.parent is None:
            begin_ending(state, ExecutionStatus.FAILED, node.error)
            return []
        own = bounds.has_own_rules(scope) and bounds.goes_on(state, scope.parent.scope)
        if own or scope.driven or scope.parent.plan.keep_item_errors:
            scope.error = scope.error or node.error
            return cancel_scope(state, scope)
        inner = scope.parent
    return []


def _failed_itself(node: Node) -> bool:
    """Whether a sub-pipeline failed by its body or its time limit, rather than by a node in it."""
    inside = node.children[0] if node.children else None
    return (
        isinstance(inside, Scope) and inside.driven and node.error is not None and node.error.node_id in (None, node.id)
    )


def _give_up(state: State, container: Node, failed: Node) -> list[Node]:
    return [] if container is failed else fail_container(state, container, failed.error)


def fail_container(state: State, container: Node, error: ErrorRecord | None) -> list[Node]:
    """The container has failed: end what is left of its children, and nothing else."""
    if container.error is not None or container.over:
        return []
    container.error = error or _unexplained(container)
    container.expanded = True
    freed = _cancel(state, container.children or ())
    if not container.open and not container.over:
        freed += _end(state, container, NodeStatus.FAILED)
    return freed


def _unexplained(node: Node) -> ErrorRecord:
    message = "it failed without saying why"
    return ErrorRecord(code=ErrorCode.INTERNAL, error_type="Unexplained", message=message, node_id=node.id)


def cancel_scope(state: State, scope: Scope) -> list[Node]:
    """End what is left of one scope, and nothing else."""
    return [] if scope.cancelled else _cancel(state, (scope,))


def _cancel(state: State, children: Iterable[Node | Scope]) -> list[Node]:
    """End all of these and what is inside them; what runs ends with the word of its run."""
    running: list[str] = []
    freed: list[Node] = []
    queue: deque[Node | Scope] = deque(children)
    while queue:
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
            freed += _end(state, child, NodeStatus.CANCELLED)
        elif child.expanded or child.open:
            child.expanded = True
            queue.extend(child.children)
        else:
            freed += _end(state, child, NodeStatus.CANCELLED)
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
    """The custom error handler, once per node that failed for good. What becomes of it changes nothing."""
    rules = bounds.rules(state, failed.scope)
    spec = rules.handler_component
    if spec is None or rules.error_handler != ErrorHandler.CUSTOM:
        return
    plan = PlanNode(id=f"{failed.id}!handler", kind=NodeKind.HANDLER, spec=spec)
    node = Node(plan.id, plan, Scope("", None, None))
    state.add(node)
    scheduling.dispatch_now(state, node)


# -- endings of scopes and of the execution ---------------------------------------------------------


def _scope_outcome(state: State, scope: Scope) -> NodeStatus:
    if scope.driven:
        scope.error = scope.error or bodies.broken_result(scope)
        if scope.error is not None:
            return NodeStatus.FAILED
        return NodeStatus.CANCELLED if scope.cancelled else NodeStatus.COMPLETED
    statuses = [node.status for node in scope.nodes.values()]
    if not bounds.goes_on(state, scope) and NodeStatus.FAILED in statuses:
        return NodeStatus.FAILED
    if NodeStatus.CANCELLED in statuses:
        return NodeStatus.CANCELLED
    last = [scope.nodes[name] for name in scope.last_nodes]
    if any(node.status is NodeStatus.FAILED or node.reason == "upstream" for node in last):
        return NodeStatus.FAILED
    return NodeStatus.COMPLETED


def scope_over(state: State, scope: Scope) -> list[Node]:
    """All nodes of the scope are over; it is too once no more can come."""
    if scope.open or not scope.closed or scope.outcome is not None:
        return []
    if scope.parent is None:
        _finish_if_over(state)
        return []
    scope.outcome = _scope_outcome(state, scope)
    bounds.stop_clock(state, scope)
    return _child_over(state, scope.parent)


def close_scope(state: State, scope: Scope, error: ErrorRecord | None, met: Iterable[str]) -> None:
    """No more nodes will come. A failure that left the body, or that it never met, is unhandled."""
    scope.closed = True
    scope.driven = scope.driven or error is not None
    bounds.tend_body(state, scope)
    goes_on = bounds.goes_on(state, scope)
    if scope.driven and error is None and not goes_on:
        error = bodies.unmet_failure(scope, met)
    scope.error = scope.error or error
    scope.met = frozenset(name for name in met if name in scope.nodes and not scope.nodes[name].over)
    if error is not None and not goes_on:
        if scope.parent is None:
            begin_ending(state, ExecutionStatus.FAILED, error)
        else:
            settle(state, cancel_scope(state, scope))
    if scope.driven:
        _let_go(state, scope)
    settle(state, scope_over(state, scope))


def _let_go(state: State, scope: Scope) -> None:
    """The body is gone: end what only it would have carried out or waited for, last calls first."""
    returned = bodies.in_result(scope)
    for node in reversed(list(scope.nodes.values())):
        if node.over:
            continue
        if node.kind is NodeKind.SIDE_EFFECT:
            end_node(state, node, NodeStatus.CANCELLED)
        elif node.kind in graph.WAITS and not bodies.is_waited_for(node, returned):
            if node.kind is NodeKind.DETACHED:
                _let_go_detached(state, node)
            else:
                end_node(state, node, NodeStatus.CANCELLED)


def detached_has_started(state: State, node: Node, execution: str) -> None:
    node.reason = execution
    scope = node.scope
    if scope.driven and scope.closed and not bodies.is_waited_for(node, bodies.in_result(scope)):
        _let_go_detached(state, node)


def _let_go_detached(state: State, node: Node) -> None:
    """An execution of its own goes on without the body that called it, once it is known to have started."""
    if node.status is NodeStatus.RUNNING and node.reason is not None:
        end_node(state, node, NodeStatus.COMPLETED)


def begin_ending(state: State, status: ExecutionStatus, error: ErrorRecord | None = None) -> None:
    """The execution will end so. What has not begun is cancelled now; what runs is waited for, but not for long."""
    if state.finishing is not None or state.ending is ExecutionStatus.CANCELLED:
        return
    if state.ending is not None:
        if status is ExecutionStatus.CANCELLED:  # whoever stops it need not wait for its error handlers
            state.ending, state.ending_error = status, None
            state.commands.append(SetTimer("ending", ENDING_PATIENCE))
        return
    state.ending, state.ending_error = status, error
    state.ready.clear()
    state.ready_count = 0
    running: list[str] = []
    for node in state.nodes.values():
        if node.kind is NodeKind.HANDLER:
            # What the workflow itself runs is cancelled; its error handlers are left to finish.
            if node.status is NodeStatus.PENDING:
                scheduling.dispatch_now(state, node)
        elif node.lane is not None:
            running.append(node.id)
        elif not node.over:
            _drop(state, node)
    if running:
        state.commands.append(CancelRuns(tuple(running)))
    if state.in_flight:
        state.commands.append(SetTimer("ending", ENDING_PATIENCE))
    _finish_if_over(state)


def _drop(state: State, node: Node) -> None:
    """Cancel the node as part of the ending of everything: nothing follows from it but the counting."""
    bounds.activate(state, node, False)
    if node.owns or node.asked == "cache":
        _settle_work(state, node, completed=False)
    retire(state, node)
    state.move(node, NodeStatus.CANCELLED)
    state.ended_count += 1
    node.order = state.ended_count
    node.dependents = None
    if node.item_of is not None:
        node.item_of.open -= 1
    elif node.kind is not NodeKind.HANDLER:
        node.scope.open -= 1
        if node.scope.driven:
            state.commands.append(WakeDriver(node.scope.path, node.id))
            bounds.tend_body(state, node.scope)


def lose_patience(state: State) -> None:
    """What was cancelled did not report its end in time. Error handlers may go on, unless somebody stopped it all."""
    if state.ending is None or state.finishing is not None:
        return
    if state.ending is ExecutionStatus.CANCELLED:
        finish(state, state.ending, state.ending_error)
        return
    for node in list(state.nodes.values()):
        if node.lane is not None and node.kind is not NodeKind.HANDLER:
            end_node(state, node, NodeStatus.CANCELLED)


def _finish_if_over(state: State) -> None:
    if state.finishing is not None or state.in_flight:
        return
    if state.ending is not None:
        finish(state, state.ending, state.ending_error)
        return
    root = state.root
    if root.closed and not root.open:
        root.outcome = _scope_outcome(state, root)
        if root.outcome is NodeStatus.COMPLETED:
            finish(state, ExecutionStatus.COMPLETED, None)
        else:
            finish(state, ExecutionStatus.FAILED, root.error or _first_error(root))


def _first_error(scope: Scope) -> ErrorRecord | None:
    return next((node.error for node in scope.nodes.values() if node.error is not None), None)


def finish(state: State, status: ExecutionStatus, error: ErrorRecord | None) -> None:
    running = tuple(node.id for node in state.nodes.values() if node.lane is not None) if state.in_flight else ()
    if running:
        state.commands.append(CancelRuns(running))
    for node in state.nodes.values():
        if not node.over:
            _drop(state, node)
    state.finishing = status
    state.ending_error = error
    state.commands.append(Finish(status, error))
