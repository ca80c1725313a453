"""What becomes of a run: begun, given back, ended well, failed, lost; and which of these is tried again."""

from __future__ import annotations

from dataclasses import replace

from twingraph.core.errors import UNREACHABLE, ErrorCode
from twingraph.core.events import (
    ItemsGiven,
    NodeBegun,
    NodeEnded,
    NodesReturned,
    OutcomesKept,
)
from twingraph.core.plan import NodeKind
from twingraph.core.policies import DEFAULT_RETRY, ErrorHandler, RetryPolicy
from twingraph.core.quantities import byte_count
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import ExecutionStatus, NodeStatus
from twingraph.engine.kernel import beginnings, bounds, endings, graph, holdings, scheduling
from twingraph.engine.kernel.commands import (
    PassItems,
    SetTimer,
)
from twingraph.engine.kernel.state import Node, State

# Losses in a row that end a node.
LOSS_LIMIT = 3


def awaited(state: State, node_id: str, attempt: int) -> Node | None:
    """The node, when word of this attempt may still change it; that of an older attempt is recorded and refused."""
    node = state.nodes.get(node_id)
    return None if node is None or node.over or attempt < node.attempt else node


def takes_outcome(node: Node) -> bool:
    """Whether a run of it may end now: one is in hand, or was given up before its outcome came after all, or is not
    needed (a cache hit, history). While it is in back-off its attempt has ended already."""
    return node.lane is not None or node.status is NodeStatus.PENDING


def node_begun(state: State, event: NodeBegun) -> None:
    node = awaited(state, event.node, event.attempt)
    if node is not None:
        _begin_run(state, node)


def _begin_run(state: State, node: Node) -> None:
    if node.status is NodeStatus.QUEUED:
        state.move(node, NodeStatus.RUNNING)
        if node.spec is not None:
            scheduling.slow(state, node.spec, 2 * scheduling.LANE_SECONDS)


def items_given(state: State, event: ItemsGiven) -> None:
    """A generator has handed items over. Those that are known stand; after a gap nothing can be counted, and the
    outcome brings them all."""
    node = state.nodes.get(event.node)
    if node is None or node.lane is None or event.attempt != node.attempt:
        return
    _begin_run(state, node)
    first, known = node.items, event.start + event.count
    if event.start > first or known <= first:
        return
    offset = first - event.start
    if node.given is None:
        node.given = []
    node.given.append((first, state.seq, offset))
    node.items = known
    scope = node.scope
    if scope.driven and not scope.closed and node.item_of is None:
        state.commands.append(PassItems(node.id, first, known - first, state.seq, offset))


def nodes_returned(state: State, event: NodesReturned) -> None:
    for node_id, attempt in reversed(event.runs):  # each goes to the front of its queue
        node = awaited(state, node_id, attempt)
        if node is None or node.lane is None or node.spec is None:
            continue
        if node.kind is not NodeKind.HANDLER and (state.ending is not None or endings.doomed(node)):
            beginnings.end_one(state, node, NodeStatus.CANCELLED)
            continue
        # It never began: the number of the attempt is free again.
        node.attempt -= 1
        if state.status is ExecutionStatus.RUNNING and not node.lane.recalled:  # the pool itself found it slow
            scheduling.slow(state, node.spec, scheduling.LANE_SECONDS)
        requeue(state, node)


def requeue(state: State, node: Node) -> None:
    """The run is gone and nobody is charged: the node goes again as soon as it may."""
    scheduling.leave_lane(state, node)
    if node.status is NodeStatus.RUNNING:
        state.move(node, NodeStatus.RETRYING)
    state.move(node, NodeStatus.PENDING)
    if node.kind is NodeKind.HANDLER:  # beside all lanes, and without a turn for limits, as it went before
        if state.status is ExecutionStatus.PAUSED and state.ending is None:
            node.asked = "resume"
        else:
            scheduling.dispatch_now(state, node)
        return
    if state.status is ExecutionStatus.PAUSED:
        holdings.give_back(state, node)
    beginnings.queue_up(state, node, front=True)


def node_ended(state: State, event: NodeEnded) -> None:
    node = awaited(state, event.node, event.attempt)
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
        beginnings.end_node(state, node, NodeStatus.CANCELLED)
    elif status == "lost":
        _run_lost(state, node, event)
    elif status != "cancelled":
        _run_failed(state, node, event)
    elif state.ending is not None:
        beginnings.end_node(state, node, NodeStatus.CANCELLED)
    else:  # ended by an interrupt: it goes again when the execution is resumed
        requeue(state, node)


def _ended_without_run(state: State, node: Node, event: NodeEnded) -> None:
    """Word about a node that is in no lane: of a wait, of a container, or one that came late or from elsewhere."""
    waits = node.kind in graph.WAITS or node.kind is NodeKind.SIDE_EFFECT
    if event.status == "completed":
        if node.children is None and (takes_outcome(node) or waits):
            node.attempt = event.attempt
            if node.kind is not NodeKind.DETACHED:  # there it names the other execution
                node.reason = None
            _completed(state, node, event)
    elif event.status == "cancelled" and event.error is None and node.kind in graph.WAITS and node.scope.driven:
        beginnings.give_up_wait(state, node)
    elif node.status is NodeStatus.RUNNING and (waits or node.children is not None):
        error = event.error or _unexplained(node, event)
        if node.children is not None:
            beginnings.fail_container(state, node, error)
        else:
            node.error = error
            beginnings.end_node(state, node, NodeStatus.FAILED)


def _completed(state: State, node: Node, event: NodeEnded) -> None:
    node.seq, node.shape, node.outputs = state.seq, event.shape, event.outputs
    node.cached_from, node.cached_node = event.cached_from, event.cached_node
    node.losses, node.alone, node.error = 0, False, None
    beginnings.end_node(state, node, NodeStatus.COMPLETED)


def outcomes_kept(state: State, event: OutcomesKept) -> None:
    """All of them end before anything goes on: most of what waits for one of them is among them too."""
    freed: list[Node] = []
    for name, seq, shape, outputs in event.nodes:
        node = state.nodes.get(name)
        if node is None or node.over or node.pending or node.kind is not NodeKind.TASK or not takes_outcome(node):
            continue
        node.attempt = max(1, node.attempt)
        node.seq, node.shape, node.outputs = state.seq, shape, outputs
        node.cached_from, node.kept_at = event.execution, seq
        node.losses, node.alone, node.error, node.reason = 0, False, None, None
        freed += endings.end(state, node, NodeStatus.COMPLETED)
    beginnings.settle_last(state, freed)


def _unexplained(node: Node, event: NodeEnded) -> ErrorRecord:
    code = event.status if event.status in set(ErrorCode) else ErrorCode.INTERNAL
    message = f"its run ended as {event.status!r} without saying why"
    return ErrorRecord(code=code, error_type="Unexplained", message=message, node_id=node.id, attempt=event.attempt)


def _run_lost(state: State, node: Node, event: NodeEnded) -> None:
    away = event.error if event.error is not None and event.error.error_type == UNREACHABLE else None
    if event.begun or away is not None:
        _charge_loss(node)
    if node.losses < LOSS_LIMIT:
        if away is None or node.kind is NodeKind.HANDLER:
            requeue(state, node)
        else:
            _pause(state, node, _pause_after_loss(node, event.chance))
        return
    if away is not None:
        node.error = replace(away, message=f"{away.message}; it was tried {node.losses} times in a row")
    else:
        node.error = ErrorRecord(
            code=ErrorCode.WORKER_LOST,
            error_type="WorkerLost",
            message=f"the process that ran it was killed from outside {node.losses} times in a row; "
            "look for the out-of-memory killer, or give the node less to do at once",
            node_id=node.id,
            attempt=event.attempt,
        )
    beginnings.end_node(state, node, NodeStatus.FAILED)


def _pause(state: State, node: Node, delay: float) -> None:
    """Its next attempt begins after so long."""
    scheduling.retire(state, node)
    state.move(node, NodeStatus.RETRYING)
    node.due = state.now + delay
    state.commands.append(SetTimer(f"node:{node.id}", delay))


def _pause_after_loss(node: Node, chance: float) -> float:
    return DEFAULT_RETRY.delay(max(1, node.losses), chance)


def longest_pause(state: State, node: Node) -> float:
    """Of a node that waits for its next attempt. It has spent one, unless it was lost to what could not be reached."""
    rules = policy(state, node)
    spent = rules.delay(node.spent, 1.0) if rules is not None and node.spent else 0.0
    return max(spent, _pause_after_loss(node, 1.0)) if node.alone else spent


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


def policy(state: State, node: Node) -> RetryPolicy | None:
    if node.kind is NodeKind.HANDLER:
        return None
    own = state.specs[node.spec].retry if node.spec is not None else None
    if own is None and bounds.rules(state, node.scope).error_handler == ErrorHandler.RETRY:
        return DEFAULT_RETRY
    return own


def _run_failed(state: State, node: Node, event: NodeEnded) -> None:
    node.spent += 1
    node.losses, node.alone = 0, False
    error = node.error = event.error or _unexplained(node, event)
    node.cached_from = event.cached_from
    rules = policy(state, node)
    if (
        rules is None
        or event.cached_from is not None  # an earlier execution has tried it as often as it might
        or node.spent >= rules.max_attempts
        or error.permanent
        or not _may_try_again(state, node, event, rules, error)
    ):
        beginnings.end_node(state, node, NodeStatus.FAILED)
        return
    _pause(state, node, rules.delay(node.spent, event.chance))


def _may_try_again(state: State, node: Node, event: NodeEnded, rules: RetryPolicy, error: ErrorRecord) -> bool:
    """Whether the policy tries again after this error. What ran out of memory gets more, where the policy says so."""
    if event.status != ErrorCode.OOM or rules.on_oom is None:
        return rules.matches(error.types or (error.error_type,))
    limit = node.memory or declared_memory(state, node)
    more = None if limit is None else rules.memory_after(limit)
    if more is not None:
        node.memory = more
    return more is not None


def declared_memory(state: State, node: Node) -> int | None:
    """The memory limit, in bytes, that the author gave."""
    memory = state.specs[node.spec].resources.get("memory") if node.spec is not None else None
    try:
        return byte_count(memory) if memory else None
    except ValueError:  # its dispatch refuses it
        return None
