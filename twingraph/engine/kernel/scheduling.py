"""Which nodes go next, and in what lanes.

Nodes wait per priority and spec, in order of arrival; specs of one priority take turns. How many nodes share a lane
follows from how long nodes of their spec take: quick ones travel 64 at a time, slow ones alone. As long as nothing is
known about a spec, a few small lanes find out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import chain, islice

from twingraph.core.plan import NodeKind
from twingraph.core.statuses import ExecutionStatus, NodeStatus
from twingraph.engine.kernel import bounds, parking
from twingraph.engine.kernel.commands import ClearTimer, Dispatch, Recall, ReleaseLimit
from twingraph.engine.kernel.state import Lane, Node, QueueKey, Queues, Scope, State

LANE_LIMIT = 64
LANE_SECONDS = 0.02  # a lane should be through after about this long
# With one event so many runs are handed over at most, and a lane more, or so many lanes; the next event, which some of
# them brings, goes on with it. Ten times what keeps any pool busy, and done in milliseconds.
RUNS_AT_ONCE = 4_000
LANES_AT_ONCE = 1_000
PROBE_SIZE = 4
# So many lanes are looked at for those that have not begun, at each event: where the newest run, all do.
RECALLED_AT_ONCE = 32
# Nodes that never end hold no slot: their queues are served first, whatever is free.
ENDLESS = 1 << 30
# The weight of the newest attempt in the mean duration of its spec.
NEWEST = 0.2


def enqueue(state: State, node: Node, *, front: bool = False) -> None:
    """The node may run as soon as a lane is free."""
    spec = node.spec
    assert spec is not None
    settings = state.specs[spec]
    priority = ENDLESS if settings.endless else settings.priority
    queues = state.ready.get(priority)
    if queues is None:
        queues = state.ready[priority] = Queues()
    bound = node.scope.bound
    key: QueueKey = spec if bound is None else (spec, bound.path)
    queue = queues.get(key)
    if queue is None and bound is not None:
        queue = parking.find(state, priority, key)
    if queue is None:
        queue = queues[key] = deque()
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
    if state.parked:
        parking.bring_all_back(state, spec)


def _lane_size(state: State, spec: int, waiting: int, free: int) -> int:
    if state.specs[spec].platform != "local":
        return 1  # each has a place of its own, and nothing is gained by sharing the way there
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
    ready = state.ready
    for priority in sorted(ready, reverse=True) if len(ready) > 1 else tuple(ready):
        queues = ready[priority]
        if priority == ENDLESS:
            _serve_endless(state, queues)
        elif free > 0:
            left = _serve(state, priority, queues, free)
            if left is None:
                return
            free = left
        if queues and free <= 0 and priority != ENDLESS:
            _make_room(state, priority, queues)
            return


def _make_room(state: State, priority: int, queues: Queues) -> None:
    """Recall what has not begun of lower priorities: as many lanes as there are nodes that could use them, the newest
    first, which are the last to begin."""
    lower = [known for known, lanes in state.yielding.items() if known < priority and lanes]
    if not lower:
        return
    most = sum(min(len(state.yielding[known]), RECALLED_AT_ONCE) for known in lower)
    wanted = -state.recalled
    for key, queue in queues.items():
        if wanted >= most:  # more cannot be recalled
            break
        wanted += len(queue) if _has_room(state, key) else 0
    nodes: list[str] = []
    for known in sorted(lower):
        for lane in list(islice(reversed(state.yielding[known].values()), RECALLED_AT_ONCE)):
            if wanted <= 0:
                break
            if all(node.lane is not lane or node.status is NodeStatus.QUEUED for node in lane.nodes):
                nodes += [node.id for node in lane.nodes if node.lane is lane]
                del state.yielding[known][lane.number]
                lane.recalled = True
                state.recalled += 1
                wanted -= 1
    if nodes:
        state.commands.append(Recall(tuple(nodes)))


def _has_room(state: State, key: QueueKey) -> bool:
    return isinstance(key, int) or bounds.room(state.scopes[key[1]], 1) > 0


def _serve_endless(state: State, queues: Queues) -> None:
    for key, queue in queues.items():
        while queue:
            _open_lane(state, key, queue, 1, counted=False, probe=False)
    queues.clear()


def _serve(state: State, priority: int, queues: Queues, free: int) -> int | None:
    """One lane for each spec in turn, as long as any is free; how many are left for others. None: this event has handed
    over enough, and lanes are left for the next, so that nobody need make room."""
    held_back = 0
    most, most_lanes = state.in_flight + RUNS_AT_ONCE, state.lanes_open + LANES_AT_ONCE
    while free > 0 and held_back < len(queues):
        if state.in_flight >= most or state.lanes_open >= most_lanes:
            return None
        key, queue = queues.popitem(last=False)
        spec = key if isinstance(key, int) else key[0]
        crowded = parking.crowded(state, spec)
        if isinstance(key, int):
            room = free
            if crowded:
                queues[key] = queue
                held_back += 1
                continue
        else:
            scope = state.scopes[key[1]]
            full = bounds.full(scope)
            if crowded or full is not None:
                parking.park(state, priority, key, queue, spec if full is None else full.path)
                held_back = 0  # another may have come for it
                continue
            room = bounds.room(scope, free)
        size = _lane_size(state, spec, len(queue), room)
        if _open_lane(state, key, queue, size, counted=True, probe=spec not in state.means):
            free -= 1
            held_back = 0
        elif isinstance(key, tuple):
            parking.passed(state, key)
        if not queue:
            continue
        if isinstance(key, tuple) and (full := bounds.full(state.scopes[key[1]])) is not None:
            parking.park(state, priority, key, queue, full.path)
        else:
            queues[key] = queue  # behind the others: specs take turns from event to event
    return free


def _open_lane(state: State, key: QueueKey, queue: deque[Node], size: int, *, counted: bool, probe: bool) -> bool:
    """Hand over the first nodes of the queue; False when none of them still waits."""
    runs: list[tuple[str, int]] = []
    memory: int | None = None
    lane = Lane(state.lane_counter + 1, 0, counted=counted, probe=probe)
    if isinstance(key, int):
        spec = key
    else:
        spec, lane.bound = key[0], state.scopes[key[1]]
    while queue and len(runs) < size:
        if runs and _stands_apart(queue[0]):
            break
        node = queue.popleft()
        state.ready_count -= 1
        if node.status is not NodeStatus.PENDING or node.asked is not None:
            continue  # it ended while it waited: a late outcome, history, or a cancel
        node.attempt += 1
        node.lane = lane
        state.move(node, NodeStatus.QUEUED)
        runs.append((node.id, node.attempt))
        lane.nodes.append(node)
        if _stands_apart(node):
            memory = node.memory
            break
    if not runs:
        return False
    _count_lane(state, lane, spec, len(runs))
    if counted and not any(node.kind is NodeKind.HANDLER for node in lane.nodes):
        lane.priority = state.specs[spec].priority
        may_yield(state, lane)
    state.commands.append(Dispatch(lane.number, spec, tuple(runs), memory))
    return True


def _stands_apart(node: Node) -> bool:
    """A node that was lost before runs alone, so that its loss can be laid at its door; as does one that may use more
    memory than others of its spec."""
    return node.alone or node.memory is not None


def may_yield(state: State, lane: Lane) -> None:
    """The lane could be recalled, should something more important have to wait."""
    assert lane.priority is not None
    lanes = state.yielding.get(lane.priority)
    if lanes is None:
        lanes = state.yielding[lane.priority] = {}
    lanes[lane.number] = lane


def _count_lane(state: State, lane: Lane, spec: int, runs: int) -> None:
    lane.open = runs
    state.lane_counter += 1
    state.in_flight += runs
    if lane.counted:
        state.lanes_open += 1
        if lane.bound is not None:
            bounds.count_lane(lane.bound, 1)
    if lane.probe:
        state.probing[spec] = state.probing.get(spec, 0) + 1


def withdraw(state: State, wanted: Callable[[Node], bool]) -> list[Node]:
    """Take these out of the queues, in order."""
    taken: list[Node] = []
    may_go = (queue for queues in state.ready.values() for queue in queues.values())
    for queue in chain(may_go, parking.parked(state)):
        for _ in range(len(queue)):
            node = queue.popleft()
            (taken if wanted(node) else queue).append(node)
    state.ready_count -= len(taken)
    return taken


def dispatch_now(state: State, node: Node) -> None:
    """Hand one node over beside all lanes: the error handler, which must run even while everything else ends."""
    assert node.spec is not None
    node.asked = None
    lane = node.lane = Lane(state.lane_counter + 1, 0)
    _count_lane(state, lane, node.spec, 1)
    node.attempt += 1
    state.move(node, NodeStatus.QUEUED)
    state.commands.append(Dispatch(lane.number, node.spec, ((node.id, node.attempt),)))


def slow(state: State, spec: int, seconds: float) -> None:
    """A run of this spec has already taken so long, or held up others."""
    state.means[spec] = max(state.means.get(spec, 0.0), seconds)
    state.probing.pop(spec, None)
    if state.parked:
        parking.bring_all_back(state, spec)


def leave_lane(state: State, node: Node) -> None:
    """The node's run is over or was given back."""
    lane = node.lane
    if lane is None:
        return
    node.lane = None
    state.in_flight -= 1
    lane.open -= 1
    if lane.open:
        return
    if lane.counted:
        state.lanes_open -= 1
        if lane.bound is not None:
            bounds.count_lane(lane.bound, -1)
            if state.parked:
                _let_back(state, lane.bound)
    if lane.recalled:
        state.recalled -= 1
    elif lane.priority is not None:
        del state.yielding[lane.priority][lane.number]
    if lane.probe and node.spec in state.probing:
        state.probing[node.spec] -= 1
        if state.parked:
            parking.bring_back(state, node.spec)


def _let_back(state: State, bound: Scope) -> None:
    """A lane in this scope is free again. Who waits further outside comes first: others wait there too."""
    for scope in reversed(list(bounds.around(bound))):
        parking.bring_back(state, scope.path)


def retire(state: State, node: Node) -> None:
    """Give back what the node held outside while it was under way."""
    leave_lane(state, node)
    if node.granted or node.asked == "limit":
        node.granted = False
        state.commands.append(ReleaseLimit(node.id))
    node.asked = None
    if node.due is not None:
        node.due = None
        state.commands.append(ClearTimer(f"node:{node.id}"))
