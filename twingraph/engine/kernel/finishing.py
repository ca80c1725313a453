"""How an execution ends: by itself, by the failure that it does not survive, or because somebody stopped it."""

from __future__ import annotations

from collections.abc import Iterator

from twingraph.core.plan import NodeKind
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import ExecutionStatus, NodeStatus
from twingraph.engine.kernel import bodies, bounds, holdings, scheduling
from twingraph.engine.kernel.commands import CancelRuns, Finish, SetTimer, WakeDriver
from twingraph.engine.kernel.state import Node, Scope, State

# Seconds that an ending execution waits for word of the runs that it cancelled.
ENDING_PATIENCE = 8.0


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
    state.parked.clear()
    state.parked_at.clear()
    state.ready_count = 0
    state.chores.append(_cancel_all(state))


def _cancel_all(state: State) -> Iterator[None]:
    running: list[str] = []
    for node in state.nodes.values():
        yield
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
    finish_if_over(state)


def _drop(state: State, node: Node) -> None:
    """Cancel the node as part of the ending of everything: nothing follows from it but the counting."""
    bounds.activate(state, node, False)
    holdings.settle_work(state, node, completed=False)
    scheduling.retire(state, node)
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


def finish_if_over(state: State) -> None:
    if state.finishing is not None or state.in_flight or state.chores:
        return
    if state.ending is not None:
        finish(state, state.ending, state.ending_error)
        return
    root = state.root
    if root.closed and not root.open:
        root.outcome = outcome_of(state, root)
        if root.outcome is NodeStatus.COMPLETED:
            finish(state, ExecutionStatus.COMPLETED, None)
        else:
            finish(state, ExecutionStatus.FAILED, root.error or _first_error(root))


def outcome_of(state: State, scope: Scope) -> NodeStatus:
    all_went_well = state.counts[NodeStatus.COMPLETED] == len(state.nodes)  # then 100,000 need not be looked at
    if scope.driven:
        if scope.error is None and not all_went_well:
            scope.error = bodies.broken_result(scope)
        if scope.error is not None:
            return NodeStatus.FAILED
        return NodeStatus.CANCELLED if scope.cancelled else NodeStatus.COMPLETED
    if all_went_well:
        return NodeStatus.COMPLETED
    statuses = [node.status for node in scope.nodes.values()]
    if not bounds.goes_on(state, scope) and NodeStatus.FAILED in statuses:
        return NodeStatus.FAILED
    if NodeStatus.CANCELLED in statuses:
        return NodeStatus.CANCELLED
    last = [scope.nodes[name] for name in scope.last_nodes]
    if any(node.status is NodeStatus.FAILED or node.reason == "upstream" for node in last):
        return NodeStatus.FAILED
    return NodeStatus.COMPLETED


def _first_error(scope: Scope) -> ErrorRecord | None:
    return next((node.error for node in scope.nodes.values() if node.error is not None), None)


def finish(state: State, status: ExecutionStatus, error: ErrorRecord | None) -> None:
    running = tuple(node.id for node in state.nodes.values() if node.lane is not None) if state.in_flight else ()
    if running:
        state.commands.append(CancelRuns(running))
    for node in state.nodes.values() if state.ended_count < len(state.nodes) else ():
        if not node.over:
            _drop(state, node)
    state.finishing = status
    state.ending_error = error
    state.commands.append(Finish(status, error))
