"""The kernel: `apply` takes one event and gives the commands that follow from it.

It is the only way in which the state of an execution changes. No clock, no chance, no I/O: time comes with each event,
chance inside it. Applying the same events in the same order gives the same state and the same commands, so recovery is
folding the journal and ignoring the commands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from twingraph.core.errors import ErrorCode
from twingraph.core.events import (
    Adopted,
    BranchTaken,
    CacheAnswered,
    CacheOwnerLost,
    CancelRequested,
    Created,
    DecisionMade,
    DetachedStarted,
    Event,
    ExecutionEnded,
    GraphClosed,
    GraphExtended,
    LimitGranted,
    MapExpanded,
    NodeBegun,
    NodeEnded,
    NodesReturned,
    PauseRequested,
    ResumeRequested,
    SignalReceived,
    TimerFired,
)
from twingraph.core.execution import ErrorRecord
from twingraph.core.plan import NodeKind
from twingraph.core.policies import DEFAULT_RETRY, ErrorHandler, RetryPolicy
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus, NodeStatus
from twingraph.engine.kernel import endings, graph, scheduling
from twingraph.engine.kernel.commands import (
    AskCache,
    AskLimit,
    Command,
    Finish,
    Recall,
    SetTimer,
    StartDetached,
)
from twingraph.engine.kernel.state import Node, State

# Losses in a row that end a node.
LOSS_LIMIT = 3


def apply(state: State, event: Event, at: float, seq: int) -> list[Command]:
    """Take one event in; the commands that follow from it, in order."""
    if state.clock_from is not None and not isinstance(event, Adopted):
        state.used += max(0.0, at - state.clock_from)
    state.now, state.seq = at, seq
    state.commands = []
    _HANDLERS[type(event)](state, event)
    scheduling.dispatch(state)
    _tend_clock(state)
    return state.commands


def _tend_clock(state: State) -> None:
    """The time-out clock runs while the execution runs and a node of it is under way."""
    running = state.active > 0 and state.status is ExecutionStatus.RUNNING and state.finishing is None
    state.clock_from = state.now if running else None
    if running and state.settings.timeout is not None and not state.timeout_armed:
        state.timeout_armed = True
        state.commands.append(SetTimer("timeout", max(0.0, state.settings.timeout - state.used)))


# -- the graph -----------------------------------------------------------------------------------


def _created(state: State, event: Created) -> None:
    state.settings = event.settings
    state.inputs = event.inputs
    state.move_execution(ExecutionStatus.RUNNING)


def _graph_extended(state: State, event: GraphExtended) -> None:
    scope = state.scopes[event.scope]
    scope.driven = scope.driven or event.driven
    state.specs.extend(event.specs)
    state.templates.update(event.templates)
    endings.settle(state, graph.add_nodes(state, scope, event.nodes))


def _graph_closed(state: State, event: GraphClosed) -> None:
    scope = state.scopes[event.scope]
    scope.result, scope.last_nodes = event.result, event.last_nodes
    if event.error is not None:
        scope.error = event.error
    endings.close_scope(state, scope)


def _map_expanded(state: State, event: MapExpanded) -> None:
    node = _expected(state, event.node, event.attempt)
    if node is None:
        return
    if node.children is None:
        node.children, node.pages = [], []
        _now_container(state, node)
    assert node.pages is not None
    node.pages.append((event.start, state.seq))
    node.expanded = event.last
    node.open += len(event.keys)
    created: list[Node] = []
    for offset, key in enumerate(event.keys):
        created += graph.add_item(state, node, key, event.start + offset)
    endings.settle(state, created)
    if node.expanded and not node.open and not node.over:
        endings.settle(state, endings.finish_container(state, node))


def _now_container(state: State, node: Node) -> None:
    """Its own run is over; from here on it lives as long as its children."""
    endings.activate(state, node, False)
    endings.retire(state, node)
    if node.status is not NodeStatus.RUNNING:
        state.move(node, NodeStatus.RUNNING)


def _branch_taken(state: State, event: BranchTaken) -> None:
    node = _expected(state, event.node, event.attempt)
    if node is not None:
        node.branch = event.handle
        endings.end_node(state, node, NodeStatus.CANCELLED if state.ending else NodeStatus.COMPLETED)


# -- runs ----------------------------------------------------------------------------------------


def _expected(state: State, node_id: str, attempt: int) -> Node | None:
    """The node, when this attempt's end may still change it; an older attempt is recorded and refused."""
    node = state.nodes.get(node_id)
    if node is None or node.over or attempt < node.attempt:
        return None
    node.attempt = max(node.attempt, attempt)
    return node


def _node_begun(state: State, event: NodeBegun) -> None:
    node = _expected(state, event.node, event.attempt)
    if node is not None and node.status is NodeStatus.QUEUED:
        state.move(node, NodeStatus.RUNNING)
        if node.spec is not None:
            scheduling.slow(state, node.spec, 2 * scheduling.LANE_SECONDS)


def _nodes_returned(state: State, event: NodesReturned) -> None:
    for node_id, attempt in event.runs:
        node = _expected(state, node_id, attempt)
        if node is None or node.lane is None or node.spec is None:
            continue
        if state.ending is not None or node.scope.cancelled:
            endings.end_node(state, node, NodeStatus.CANCELLED)
            continue
        # It never began: the number of the attempt is free again.
        node.attempt -= 1
        scheduling.slow(state, node.spec, scheduling.LANE_SECONDS)
        _requeue(state, node)


def _requeue(state: State, node: Node) -> None:
    scheduling.leave_lane(state, node)
    if node.status is NodeStatus.RUNNING:
        state.move(node, NodeStatus.RETRYING)
    if node.status is not NodeStatus.PENDING:
        state.move(node, NodeStatus.PENDING)
    endings.queue_up(state, node, front=True)


def _node_ended(state: State, event: NodeEnded) -> None:
    node = _expected(state, event.node, event.attempt)
    if node is None:
        return
    if node.spec is not None and event.begun and event.started is not None and event.ended is not None:
        scheduling.learn(state, node.spec, max(0.0, event.ended - event.started))
    if event.status == "completed":
        node.seq, node.shape, node.outputs = state.seq, event.shape, event.outputs
        node.cached_from, node.losses = event.cached_from, 0
        endings.end_node(state, node, NodeStatus.COMPLETED)
    elif state.ending is not None and node.kind is not NodeKind.HANDLER:
        endings.end_node(state, node, NodeStatus.CANCELLED)
    elif event.status == "cancelled":
        _run_cancelled(state, node)
    elif event.status == "lost":
        _run_lost(state, node, event)
    else:
        _run_failed(state, node, event)


def _run_cancelled(state: State, node: Node) -> None:
    if node.scope.cancelled or node.lane is None:
        endings.end_node(state, node, NodeStatus.CANCELLED)
    else:  # ended by an interrupt: it goes again when the execution is resumed
        _requeue(state, node)


def _run_lost(state: State, node: Node, event: NodeEnded) -> None:
    if event.begun:
        node.losses += 1
    if node.losses < LOSS_LIMIT:
        _requeue(state, node)
        return
    node.error = ErrorRecord(
        code=ErrorCode.WORKER_LOST,
        error_type="WorkerLost",
        message=f"the process that ran it was killed from outside {node.losses} times in a row; "
        "look for the out-of-memory killer, or give the node less to do at once",
        node_id=node.id,
        attempt=event.attempt,
    )
    endings.end_node(state, node, NodeStatus.FAILED)


def _policy(state: State, node: Node) -> RetryPolicy | None:
    if node.kind is NodeKind.HANDLER:
        return None
    policy = state.specs[node.spec].retry if node.spec is not None else None
    if policy is None and state.settings.error_handler == ErrorHandler.RETRY:
        return DEFAULT_RETRY
    return policy


def _run_failed(state: State, node: Node, event: NodeEnded) -> None:
    node.spent += 1
    node.losses = 0
    node.error = event.error
    policy = _policy(state, node)
    error = event.error
    again = (
        policy is not None
        and node.spent < policy.max_attempts
        and error is not None
        and not error.permanent
        and policy.matches(error.types or (error.error_type,))
        and not node.scope.cancelled
    )
    if not again or policy is None:
        endings.end_node(state, node, NodeStatus.FAILED)
        return
    endings.retire(state, node)
    state.move(node, NodeStatus.RETRYING)
    delay = policy.delay(node.spent, event.chance)
    node.due = state.now + delay
    state.commands.append(SetTimer(f"node:{node.id}", delay))


# -- time, wishes from outside, answers ------------------------------------------------------------


def _timer_fired(state: State, event: TimerFired) -> None:
    if event.timer == "timeout":
        _timeout_due(state)
    elif event.timer == "ending":
        if state.ending is not None and state.finishing is None:
            endings.finish(state, state.ending, state.ending_error)
    else:
        node = state.nodes.get(event.timer.removeprefix("node:"))
        if node is not None and not node.over and node.due is not None:
            _node_due(state, node)


def _timeout_due(state: State) -> None:
    state.timeout_armed = False
    limit = state.settings.timeout
    # A millisecond of grace: clocks of timers and of events need not agree to the last digit.
    if limit is None or state.used < limit - 0.001:
        return
    error = ErrorRecord(
        code=ErrorCode.TIMEOUT,
        error_type="TimeoutError",
        message=f"the execution took longer than its timeout of {limit:g} s",
    )
    endings.begin_ending(state, ExecutionStatus.FAILED, error)


def _node_due(state: State, node: Node) -> None:
    node.due = None
    if node.status is NodeStatus.RETRYING:
        state.move(node, NodeStatus.PENDING)
        endings.queue_up(state, node)
    elif node.kind is NodeKind.SLEEP:
        endings.end_node(state, node, NodeStatus.COMPLETED)
    else:
        node.error = ErrorRecord(
            code=ErrorCode.TIMEOUT,
            error_type="TimeoutError",
            message=f"nothing came within {node.plan.wait:g} s",
            node_id=node.id,
        )
        endings.end_node(state, node, NodeStatus.FAILED)


def _adopted(state: State, event: Adopted) -> None:
    """The conductor before is gone and with it every run in flight; what it had asked for is asked again."""
    if state.status in EXECUTION_OVER:
        return
    if state.finishing is not None:
        state.commands.append(Finish(state.finishing, state.ending_error))
        return
    state.timeout_armed = False
    for node in list(state.nodes.values()):
        if node.lane is not None:
            if node.kind is NodeKind.HANDLER:
                scheduling.leave_lane(state, node)
                state.move(node, NodeStatus.PENDING)
                scheduling.dispatch_now(state, node)
            elif state.ending is not None:
                endings.end_node(state, node, NodeStatus.CANCELLED)
            else:
                _requeue(state, node)
        elif node.due is not None:
            state.commands.append(SetTimer(f"node:{node.id}", max(0.0, node.due - state.now)))
        elif node.asked == "limit":
            spec = state.specs[node.spec or 0]
            state.commands.append(AskLimit(node.id, tuple(sorted(spec.limits.items())), spec.priority))
        elif node.asked == "cache":
            state.commands.append(AskCache(node.id))
        elif node.kind is NodeKind.DETACHED and node.status is NodeStatus.RUNNING:
            state.commands.append(StartDetached(node.id))


def _cancel_requested(state: State, event: CancelRequested) -> None:
    if state.status not in EXECUTION_OVER:
        endings.begin_ending(state, ExecutionStatus.CANCELLED)


def _pause_requested(state: State, event: PauseRequested) -> None:
    if state.status is ExecutionStatus.RUNNING and state.ending is None and state.finishing is None:
        state.move_execution(ExecutionStatus.PAUSED)
        state.reason = event.reason
        if state.in_flight:
            state.commands.append(Recall())


def _resume_requested(state: State, event: ResumeRequested) -> None:
    if state.status is ExecutionStatus.PAUSED:
        state.move_execution(ExecutionStatus.RUNNING)
        state.reason = None


def _signal_received(state: State, event: SignalReceived) -> None:
    waiting = state.waiting_signals.get(event.name)
    while waiting:
        node = waiting.popleft()
        if not node.over:
            endings.settle(state, endings.complete_signal(state, node, state.seq, event.output))
            return
    state.signals.setdefault(event.name, deque()).append((state.seq, event.output))


def _limit_granted(state: State, event: LimitGranted) -> None:
    node = state.nodes.get(event.node)
    if node is not None and node.asked == "limit" and not node.over:
        node.granted = True
        endings.queue_up(state, node)


def _cache_answered(state: State, event: CacheAnswered) -> None:
    node = state.nodes.get(event.node)
    if node is None or node.over or node.asked != "cache":
        return
    node.reason = "waits for equal work" if event.verdict == "wait" else None
    if event.verdict != "wait":
        endings.queue_up(state, node)


def _cache_owner_lost(state: State, event: CacheOwnerLost) -> None:
    _cache_answered(state, CacheAnswered(event.node, "miss"))


def _detached_started(state: State, event: DetachedStarted) -> None:
    node = state.nodes[event.node]
    node.reason = event.execution


def _decision_made(state: State, event: DecisionMade) -> None:
    """Kept in the journal for the body that asked; the kernel has no use for it."""


def _execution_ended(state: State, event: ExecutionEnded) -> None:
    state.move_execution(ExecutionStatus(event.status))
    state.ending_error = event.error


_HANDLERS: Mapping[type[Event], Callable[[State, Any], None]] = {
    Created: _created,
    GraphExtended: _graph_extended,
    GraphClosed: _graph_closed,
    MapExpanded: _map_expanded,
    BranchTaken: _branch_taken,
    NodeBegun: _node_begun,
    NodeEnded: _node_ended,
    NodesReturned: _nodes_returned,
    TimerFired: _timer_fired,
    Adopted: _adopted,
    CancelRequested: _cancel_requested,
    PauseRequested: _pause_requested,
    ResumeRequested: _resume_requested,
    SignalReceived: _signal_received,
    LimitGranted: _limit_granted,
    CacheAnswered: _cache_answered,
    CacheOwnerLost: _cache_owner_lost,
    DetachedStarted: _detached_started,
    DecisionMade: _decision_made,
    ExecutionEnded: _execution_ended,
}
