"""Which nodes go next, and in what lanes.

Nodes wait per priority and spec, in order of arrival; specs of one priority take turns. How many nodes share a lane
follows from how long nodes of their spec take: quick ones travel 64 at a time, slow ones alone. As long as nothing is
known about a spec, a few small lanes find out.
"""

from __future__ import annotations

from collections import deque

from twingraph.core.statuses import ExecutionStatus, NodeStatus
from twingraph.engine.kernel.commands import Dispatch
from twingraph.engine.kernel.state import Lane, Node, State

LANE_LIMIT = 64
LANE_SECONDS = 0.02  # a lane should be through after about this long
PROBE_LANES = 16
PROBE_SIZE = 4
# The weight of the newest attempt in the mean duration of its spec.
NEWEST = 0.2


def enqueue(state: State, node: Node, *, front: bool = False) -> None:
    """The node may run as soon as a lane is free."""
    spec = node.spec
    assert spec is not None
    queues = state.ready.setdefault(state.specs[spec].priority, {})
    queue = queues.get(spec)
    if queue is None:
        queue = queues[spec] = deque()
    if front:
        queue.appendleft(node)
    else:
        queue.append(node)
    state.ready_count += 1


def learn(state: State, spec: int, seconds: float) -> None:
    """An attempt of this spec took so long."""
    mean = state.means.get(spec)
    state.means[spec] = seconds if mean is None else mean + NEWEST * (seconds - mean)
    state.probing.pop(spec, None)


def _lane_size(state: State, spec: int, waiting: int, free: int) -> int:
    mean = state.means.get(spec)
    if mean is None:
        return min(PROBE_SIZE, -(-waiting // free))
    if mean * LANE_LIMIT <= LANE_SECONDS:
        return LANE_LIMIT
    return max(1, int(LANE_SECONDS / mean))


def dispatch(state: State) -> None:
    """Fill free lanes. Called once at the end of every event."""
    if not state.ready_count or state.status is not ExecutionStatus.RUNNING or state.ending is not None:
        return
    free = state.settings.max_parallel - state.lanes_open
    for priority in sorted(state.ready, reverse=True) if len(state.ready) > 1 else list(state.ready):
        queues = state.ready[priority]
        while queues and free > 0:
            started = _serve_round(state, queues, free)
            if not started:
                break
            free -= started
        if not queues:
            del state.ready[priority]
        if free <= 0:
            return


def _serve_round(state: State, queues: dict[int, deque[Node]], free: int) -> int:
    """One lane for each spec that may have one; the number of lanes started."""
    started = 0
    for spec in list(queues):
        if started >= free:
            break
        queue = queues[spec]
        unknown = spec not in state.means
        if unknown and state.probing.get(spec, 0) >= PROBE_LANES:
            continue
        endless = state.specs[spec].endless
        lane = _open_lane(state, spec, queue, 1 if endless else _lane_size(state, spec, len(queue), free - started))
        if lane is not None and not endless:
            started += 1
            if unknown:
                state.probing[spec] = state.probing.get(spec, 0) + 1
        if not queue:
            del queues[spec]
    return started


def _open_lane(state: State, spec: int, queue: deque[Node], size: int) -> Lane | None:
    runs: list[tuple[str, int]] = []
    lane = Lane(state.lane_counter + 1, 0)
    while queue and len(runs) < size:
        # A node that was lost before runs alone, so that its loss can be laid at its door.
        if queue[0].losses and runs:
            break
        node = queue.popleft()
        state.ready_count -= 1
        if node.status is not NodeStatus.PENDING:
            continue  # it ended while it waited: history of another scheduler, or a cancel
        node.attempt += 1
        node.lane = lane
        state.move(node, NodeStatus.QUEUED)
        runs.append((node.id, node.attempt))
        if node.losses:
            break
    if not runs:
        return None
    lane.open = len(runs)
    state.lane_counter += 1
    state.in_flight += len(runs)
    if not state.specs[spec].endless:
        state.lanes_open += 1
    state.commands.append(Dispatch(lane.number, spec, tuple(runs)))
    return lane


def dispatch_now(state: State, node: Node) -> None:
    """Hand one node over beside all lanes: the error handler, which must run even while everything else ends."""
    assert node.spec is not None
    state.lane_counter += 1
    state.in_flight += 1
    state.lanes_open += 1
    node.attempt += 1
    node.lane = Lane(state.lane_counter, 1)
    state.move(node, NodeStatus.QUEUED)
    state.commands.append(Dispatch(state.lane_counter, node.spec, ((node.id, node.attempt),)))


def slow(state: State, spec: int, seconds: float) -> None:
    """A run of this spec has already taken so long, or held up others."""
    state.means[spec] = max(state.means.get(spec, 0.0), seconds)
    state.probing.pop(spec, None)


def leave_lane(state: State, node: Node) -> None:
    """The node's run is over or was given back."""
    lane = node.lane
    if lane is None:
        return
    node.lane = None
    state.in_flight -= 1
    lane.open -= 1
    if lane.open == 0 and node.spec is not None and not state.specs[node.spec].endless:
        state.lanes_open -= 1
        if node.spec in state.probing:
            state.probing[node.spec] -= 1
