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
from twingraph.core.plan import NodeKind
from twingraph.core.policies import DEFAULT_RETRY, ErrorHandler, RetryPolicy
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus, NodeStatus
from twingraph.engine.kernel import endings, graph, scheduling
from twingraph.engine.kernel.commands import (
    AskCache,
    Command,
    Finish,
    Recall,
    ReleaseLimit,
    SetTimer,
    StartDetached,
    StartDriver,
)
from twingraph.engine.kernel.state import Node, Scope, State

# Losses in a row that end a node.
LOSS_LIMIT = 3
# Seconds by which a timer may be early: clocks of timers and of events need not agree to the last digit.
EARLY = 0.01


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
    running = (
        state.active > 0
        and state.status is ExecutionStatus.RUNNING
        and state.ending is None
        and state.finishing is None
    )
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
    state.specs.extend(event.specs)
    state.templates.update(event.templates)
    scope = state.scopes.get(event.scope)
    if scope is None or scope.closed or state.finishing is not None:
        return
    scope.driven = scope.driven or event.driven
    endings.settle(state, graph.add_nodes(state, scope, event.nodes))


def _graph_closed(state: State, event: GraphClosed) -> None:
    scope = state.scopes.get(event.scope)
    if scope is None or scope.closed:
        return
    scope.result, scope.last_nodes = event.result, event.last_nodes
    endings.close_scope(state, scope, event.error, event.met)


def _map_expanded(state: State, event: MapExpanded) -> None:
    node = _awaited(state, event.node, event.attempt)
    if node is None or (node.children is None and not _takes_outcome(node)) or node.expanded:
        return
    if state.ending is not None or endings.doomed(node):
        endings.end_node(state, node, NodeStatus.CANCELLED)
        return
    if node.lane is not None or node.children is None:
        _now_container(state, node)
    assert node.children is not None
    assert node.pages is not None
    keys = event.keys[max(0, len(node.children) - event.start) :]  # a page that came twice brings nothing new
    twice = graph.taken_twice(state, node, keys)
    if twice is not None:
        endings.settle(state, endings.fail_container(state, node, _twice(node, twice)))
        return
    if keys:
        node.pages.append((event.start, state.seq))
    node.expanded = event.last
    node.open += len(keys)
    first = len(node.children)
    created: list[Node] = []
    for index, key in enumerate(keys, first):
        created += graph.add_item(state, node, key, index)
    endings.settle(state, created)
    if not created:
        _end_empty(state, node, first)


def _end_empty(state: State, node: Node, first: int) -> None:
    """No item came, or items of a workflow without nodes: they are over as soon as they are open."""
    for child in (node.children or ())[first:]:
        if isinstance(child, Scope):
            endings.settle(state, endings.scope_over(state, child))
    if node.expanded and not node.open and not node.over:
        endings.settle(state, endings.finish_container(state, node))


def _twice(node: Node, key: str) -> ErrorRecord:
    return ErrorRecord(
        code=ErrorCode.INVALID_INPUT,
        error_type="ValidationError",
        message=f"the key {key!r} stands for two items of {node.id}; change its `key` so that each item has its own",
        node_id=node.id,
        permanent=True,
    )


def _now_container(state: State, node: Node) -> None:
    """Its own run is over; from here on it lives as long as its children."""
    endings.activate(state, node, False)
    endings.retire(state, node)
    node.error = None
    if node.children is None:
        node.children, node.pages = [], []
    if node.status is not NodeStatus.RUNNING:
        state.move(node, NodeStatus.RUNNING)


def _branch_taken(state: State, event: BranchTaken) -> None:
    node = _awaited(state, event.node, event.attempt)
    if node is None or not _takes_outcome(node):
        return
    if node.spec is not None and event.started is not None and event.ended is not None:
        scheduling.learn(state, node.spec, max(0.0, event.ended - event.started))
    node.branch, node.error = event.handle, None
    endings.end_node(state, node, NodeStatus.COMPLETED)


# -- runs ----------------------------------------------------------------------------------------


def _awaited(state: State, node_id: str, attempt: int) -> Node | None:
    """The node, when word of this attempt may still change it; that of an older attempt is recorded and refused."""
    node = state.nodes.get(node_id)
    return None if node is None or node.over or attempt < node.attempt else node


def _takes_outcome(node: Node) -> bool:
    """Whether a run of it may end now: one is in hand, or was given up before its outcome came after all, or is not
    needed (a cache hit, history). While it is in back-off its attempt has ended already."""
    return node.lane is not None or node.status is NodeStatus.PENDING


def _node_begun(state: State, event: NodeBegun) -> None:
    node = _awaited(state, event.node, event.attempt)
    if node is not None and node.status is NodeStatus.QUEUED:
        state.move(node, NodeStatus.RUNNING)
        if node.spec is not None:
            scheduling.slow(state, node.spec, 2 * scheduling.LANE_SECONDS)


def _nodes_returned(state: State, event: NodesReturned) -> None:
    for node_id, attempt in reversed(event.runs):  # each goes to the front of its queue
        node = _awaited(state, node_id, attempt)
        if node is None or node.lane is None or node.spec is None:
            continue
        if node.kind is not NodeKind.HANDLER and (state.ending is not None or endings.doomed(node)):
            endings.end_node(state, node, NodeStatus.CANCELLED)
            continue
        # It never began: the number of the attempt is free again.
        node.attempt -= 1
        if state.status is ExecutionStatus.RUNNING:
            scheduling.slow(state, node.spec, scheduling.LANE_SECONDS)
        _requeue(state, node)


def _requeue(state: State, node: Node) -> None:
    """The run is gone and nobody is charged: the node goes again as soon as it may."""
    scheduling.leave_lane(state, node)
    if node.status is NodeStatus.RUNNING:
        state.move(node, NodeStatus.RETRYING)
    state.move(node, NodeStatus.PENDING)
    if node.kind is NodeKind.HANDLER and (state.ending is not None or state.status is not ExecutionStatus.PAUSED):
        scheduling.dispatch_now(state, node)
        return
    if node.granted and state.status is ExecutionStatus.PAUSED:
        _release(state, node)
    endings.queue_up(state, node, front=True)


def _release(state: State, node: Node) -> None:
    node.granted = False
    state.commands.append(ReleaseLimit(node.id))


def _node_ended(state: State, event: NodeEnded) -> None:
    node = _awaited(state, event.node, event.attempt)
    if node is None:
        return
    if node.lane is None:
        _ended_without_run(state, node, event)
        return
    node.attempt = event.attempt
    if node.spec is not None and event.begun and event.started is not None and event.ended is not None:
        scheduling.learn(state, node.spec, max(0.0, event.ended - event.started))
    status = event.status
    if status == "completed":
        _completed(state, node, event)
    elif (state.ending is not None or endings.doomed(node)) and node.kind is not NodeKind.HANDLER:
        endings.end_node(state, node, NodeStatus.CANCELLED)
    elif status == "lost":
        _run_lost(state, node, event)
    elif status != "cancelled":
        _run_failed(state, node, event)
    elif state.ending is not None:
        endings.end_node(state, node, NodeStatus.CANCELLED)
    else:  # ended by an interrupt: it goes again when the execution is resumed
        _requeue(state, node)


def _ended_without_run(state: State, node: Node, event: NodeEnded) -> None:
    """Word about a node that is in no lane: of a wait, of a container, or one that came late or from elsewhere."""
    waits = node.kind in graph.WAITS or node.kind is NodeKind.SIDE_EFFECT
    if event.status == "completed":
        if node.children is None and (_takes_outcome(node) or waits):
            node.attempt = event.attempt
            _completed(state, node, event)
    elif node.status is NodeStatus.RUNNING and (waits or node.children is not None):
        error = event.error or _unexplained(node, event)
        if node.children is not None:
            endings.settle(state, endings.fail_container(state, node, error))
        else:
            node.error = error
            endings.end_node(state, node, NodeStatus.FAILED)


def _completed(state: State, node: Node, event: NodeEnded) -> None:
    node.seq, node.shape, node.outputs = state.seq, event.shape, event.outputs
    node.cached_from, node.losses, node.alone, node.error = event.cached_from, 0, False, None
    endings.end_node(state, node, NodeStatus.COMPLETED)


def _unexplained(node: Node, event: NodeEnded) -> ErrorRecord:
    code = event.status if event.status in set(ErrorCode) else ErrorCode.INTERNAL
    message = f"its run ended as {event.status!r} without saying why"
    return ErrorRecord(code=code, error_type="Unexplained", message=message, node_id=node.id, attempt=event.attempt)


def _run_lost(state: State, node: Node, event: NodeEnded) -> None:
    if event.begun:
        _charge_loss(node)
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


def _charge_loss(node: Node) -> None:
    """Charge the node, unless others had begun in the same process: then nobody knows whose fault it was."""
    assert node.lane is not None
    node.alone = True
    first = node.lane.lost
    if first is None:
        node.lane.lost = node
        node.losses += 1
    elif first.losses:
        first.losses -= 1


def _policy(state: State, node: Node) -> RetryPolicy | None:
    if node.kind is NodeKind.HANDLER:
        return None
    policy = state.specs[node.spec].retry if node.spec is not None else None
    if policy is None and state.settings.error_handler == ErrorHandler.RETRY:
        return DEFAULT_RETRY
    return policy


def _run_failed(state: State, node: Node, event: NodeEnded) -> None:
    node.spent += 1
    node.losses, node.alone = 0, False
    error = node.error = event.error or _unexplained(node, event)
    policy = _policy(state, node)
    if (
        policy is None
        or node.spent >= policy.max_attempts
        or error.permanent
        or not policy.matches(error.types or (error.error_type,))
    ):
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
        endings.lose_patience(state)
    else:
        node = state.nodes.get(event.timer.removeprefix("node:"))
        if node is None or node.over or node.due is None:
            return
        if state.now < node.due - EARLY:  # a firing that came twice, or a clock that was set back
            state.commands.append(SetTimer(event.timer, node.due - state.now))
        else:
            _node_due(state, node)


def _timeout_due(state: State) -> None:
    state.timeout_armed = False
    limit = state.settings.timeout
    if limit is None or state.used < limit - EARLY:
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
    # Who held a limit may have held it with the conductor before only: all of them ask anew.
    asking = scheduling.withdraw(state, lambda node: node.granted)
    flying: list[Node] = []
    for node in state.nodes.values():
        node.granted = False
        if node.lane is not None:
            flying.append(node)
        elif not node.over:
            _ask_again(state, node)
    for node in asking:
        endings.queue_up(state, node)
    for node in reversed(flying):  # each goes to the front of its queue
        if state.ending is not None and node.kind is not NodeKind.HANDLER:
            endings.end_node(state, node, NodeStatus.CANCELLED)
        else:
            _requeue(state, node)
    if state.ending is not None and state.in_flight:
        state.commands.append(SetTimer("ending", endings.ENDING_PATIENCE))
    state.commands.extend(StartDriver(s.path) for s in state.scopes.values() if s.parent and s.driven and not s.closed)


def _ask_again(state: State, node: Node) -> None:
    if node.due is not None:
        state.commands.append(SetTimer(f"node:{node.id}", max(0.0, node.due - state.now)))
    elif node.asked == "limit":
        endings.queue_up(state, node)
    elif node.asked == "cache":
        state.commands.append(AskCache(node.id))
    elif node.kind is NodeKind.DETACHED and node.status is NodeStatus.RUNNING:
        state.commands.append(StartDetached(node.id))


def _cancel_requested(state: State, event: CancelRequested) -> None:
    if state.status not in EXECUTION_OVER:
        endings.begin_ending(state, ExecutionStatus.CANCELLED)


def _pause_requested(state: State, event: PauseRequested) -> None:
    if state.ending is not None or state.finishing is not None or state.status in EXECUTION_OVER:
        return
    state.reason = event.reason
    if state.status is ExecutionStatus.PAUSED:
        return
    state.move_execution(ExecutionStatus.PAUSED)
    for node in scheduling.withdraw(state, lambda node: node.granted):
        _release(state, node)
        endings.queue_up(state, node)
    if state.in_flight:
        state.commands.append(Recall())


def _resume_requested(state: State, event: ResumeRequested) -> None:
    if state.status is ExecutionStatus.PAUSED:
        state.move_execution(ExecutionStatus.RUNNING)
        state.reason = None
        parked = [node for node in state.nodes.values() if node.asked == "resume"]
        for node in parked:
            node.asked = None
            if node.active:
                endings.queue_up(state, node)
        endings.settle(state, parked)


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
    if node is None or node.asked != "limit":
        if node is None or not node.granted:  # it ended meanwhile, or gave its turn up
            state.commands.append(ReleaseLimit(event.node))
        return
    node.asked = None
    if state.status is ExecutionStatus.PAUSED:
        _release(state, node)
    else:
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
    node = state.nodes.get(event.node)
    if node is not None and not node.over:
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
