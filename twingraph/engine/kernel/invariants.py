"""What must hold after every event. Tests check it after each step; at O(nodes) it is nothing for production."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from twingraph.core.plan import NodeKind
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus, NodeStatus
from twingraph.engine.kernel import bounds, graph, parking, scheduling
from twingraph.engine.kernel.state import Node, Place, QueueKey, Scope, State


def broken(state: State) -> list[str]:
    """Every invariant that does not hold, in words."""
    return [
        *_counters(state),
        *_lanes(state),
        *_parked(state),
        *_idle(state),
        *_clocks(state),
        *_dependencies(state),
        *_holdings(state),
        *_endings(state),
    ]


def _counters(state: State) -> Iterator[str]:
    for status in NodeStatus:
        real = sum(node.status is status for node in state.nodes.values())
        if real != state.counts[status]:
            yield f"counts[{status}] is {state.counts[status]}, really {real}"
    active = sum(node.active for node in state.nodes.values())
    if active != state.active:
        yield f"active is {state.active}, really {active}"
    ready = sum(len(queue) for queue in _queues(state))
    if ready != state.ready_count:
        yield f"ready_count is {state.ready_count}, really {ready}"
    over = sum(node.over for node in state.nodes.values())
    if len({node.order for node in state.nodes.values() if node.order}) != over or state.ended_count != over:
        yield f"{over} nodes are over, ended_count is {state.ended_count}, and each must have an order of its own"
    computing = sum(scope.driven and not scope.closed and not scope.open for scope in state.scopes.values())
    if computing != state.computing:
        yield f"computing is {state.computing}, really {computing}"
    for scope in state.scopes.values():
        still_open = sum(not node.over for node in scope.nodes.values())
        if still_open != scope.open:
            yield f"scope {scope.path!r} counts {scope.open} open nodes, really {still_open}"
    for node in state.nodes.values():
        if node.children is not None:
            unfinished = sum(c.outcome is None if isinstance(c, Scope) else not c.over for c in node.children)
            if unfinished != node.open:
                yield f"{node.id} counts {node.open} open children, really {unfinished}"


def _lanes(state: State) -> Iterator[str]:
    flying = [node for node in state.nodes.values() if node.lane is not None]
    if len(flying) != state.in_flight:
        yield f"in_flight is {state.in_flight}, really {len(flying)}"
    lanes = {node.lane.number for node in flying if node.lane and node.kind is not NodeKind.HANDLER}
    counted = {node.lane.number for node in flying if node.lane and node.lane.counted}
    if len(counted) != state.lanes_open:
        yield f"lanes_open is {state.lanes_open}, really {len(counted)}"
    if len(lanes & counted) > state.settings.max_parallel:
        yield f"{len(lanes)} lanes are open, over max_parallel {state.settings.max_parallel}"
    for scope in state.scopes.values():
        if scope.bounds is not None:
            yield from _bounded_lanes(scope, flying)
    recalled = {node.lane.number for node in flying if node.lane and node.lane.recalled}
    if len(recalled) != state.recalled:
        yield f"recalled is {state.recalled}, really {len(recalled)}"
    could = {node.lane.number for node in flying if node.lane and node.lane.priority is not None} - recalled
    yielding = {number for known in state.yielding.values() for number in known}
    if yielding != could:
        yield f"lanes {sorted(yielding)} could make room, really {sorted(could)}"
    for node in flying:
        if node.status not in (NodeStatus.QUEUED, NodeStatus.RUNNING):
            yield f"{node.id} is in flight but {node.status}"
    for node in state.nodes.values():
        if node.status is NodeStatus.QUEUED and node.lane is None:
            yield f"{node.id} is queued but in no lane"


def _bounded_lanes(scope: Scope, flying: list[Node]) -> Iterator[str]:
    inside = [node for node in flying if node.lane and node.lane.counted and scope in bounds.around(node.scope)]
    lanes = {node.lane.number for node in inside if node.lane}
    if len(lanes) != scope.lanes_open:
        yield f"scope {scope.path!r} counts {scope.lanes_open} open lanes, really {len(lanes)}"
    limit = scope.bounds.max_parallel if scope.bounds else None
    if limit is not None and len(lanes) > limit:
        yield f"{len(lanes)} lanes are open in {scope.path!r}, over its max_parallel {limit}"


def _queues(state: State) -> Iterator[deque[Node]]:
    for queues in state.ready.values():
        yield from queues.values()
    yield from parking.parked(state)


def _parked(state: State) -> Iterator[str]:
    """A queue stands aside only as long as whatever is free where it waits has somebody on the way to it."""
    at = {(p, key): place for place, by in state.parked.items() for p, queues in by.items() for key in queues}
    if at != state.parked_at:
        yield f"{sorted(map(str, at))} stand aside, noted are {sorted(map(str, state.parked_at))}"
    coming = [key for queues in state.ready.values() for key in queues]
    for place in state.parked:
        if isinstance(place, int):
            left = 1 if place in state.means else parking.PROBE_LANES - state.probing.get(place, 0)
            due = sum(isinstance(key, tuple) and key[0] == place for key in coming)
        else:
            scope = state.scopes[place]
            left = bounds.left(scope)
            due = sum(_leads_through(state, key, scope, None) for key in coming)
            due += sum(_leads_through(state, key, scope, stands) for (_, key), stands in at.items())
        if left > due:
            yield f"{left} places are free at {place!r}, where queues wait, and {due} are on their way to them"


def _idle(state: State) -> Iterator[str]:
    """A free lane is used as long as anybody has a use for it."""
    most = min(state.settings.max_parallel, scheduling.LANES_AT_ONCE)
    busy = state.lanes_open >= most or state.in_flight >= scheduling.RUNS_AT_ONCE
    if busy or state.status is not ExecutionStatus.RUNNING or state.ending is not None:
        return
    for queue in _queues(state):
        waiting = [node for node in queue if node.status is NodeStatus.PENDING and node.asked is None]
        if waiting and waiting[0].spec is not None:
            full = bounds.full(waiting[0].scope) is not None
            if not full and not parking.crowded(state, waiting[0].spec):
                yield f"lanes are free and {waiting[0].id} could go"


def _leads_through(state: State, key: QueueKey, scope: Scope, stands: Place | None) -> bool:
    """Whether this queue will come to the scope: it may go, or stands aside further outside. One that waits at its spec
    takes nothing."""
    if isinstance(key, int):
        return False
    around = [bound.path for bound in bounds.around(state.scopes[key[1]])]
    if scope.path not in around:
        return False
    return stands is None or (isinstance(stands, str) and around.index(stands) > around.index(scope.path))


def _clocks(state: State) -> Iterator[str]:
    for scope in state.scopes.values():
        clock = scope.clock
        if clock is None:
            continue
        active = sum(node.active and scope in bounds.around(node.scope) for node in state.nodes.values())
        active += sum(other.computes and scope in bounds.around(other) for other in state.scopes.values())
        if active != clock.active or (clock.since is not None) != bool(active):
            yield f"the clock of {scope.path!r} counts {clock.active}, really {active}, and runs from {clock.since}"
        running = state.status is ExecutionStatus.RUNNING and state.ending is None and state.finishing is None
        given_up = scope.parent is not None and scope.parent.error is not None
        if running and active and not clock.armed and not given_up:
            yield f"the clock of {scope.path!r} runs and no timer is set"


def _dependencies(state: State) -> Iterator[str]:
    for node in state.nodes.values():
        if node.kind is NodeKind.HANDLER or state.ending is not None:
            continue
        unmet = sum(not node.scope.nodes[edge.source].over for edge in node.plan.edges)
        if not node.over and unmet != node.pending:
            yield f"{node.id} waits for {node.pending} edges, really {unmet}"
        if node.status not in (NodeStatus.PENDING, NodeStatus.CANCELLED) and unmet:
            yield f"{node.id} is {node.status} before its dependencies are over"
        if node.kind in graph.CONTAINERS and node.status is NodeStatus.RUNNING and node.expanded and not node.open:
            yield f"{node.id} has no open child and is not over"


def _holdings(state: State) -> Iterator[str]:
    queued = [node for queue in _queues(state) for node in queue]
    ready = {node.id for node in queued if node.status is NodeStatus.PENDING and node.asked is None}
    for node in state.nodes.values():
        if node.over and (node.active or node.granted or node.owns or node.asked or node.lane or node.due is not None):
            yield f"{node.id} is {node.status} and still holds something"
        if node.asked == "resume" and state.status is not ExecutionStatus.PAUSED:
            yield f"{node.id} waits for the end of a pause, but the execution is {state.status}"
        if node.status is NodeStatus.RETRYING and node.due is None:
            yield f"{node.id} is in back-off and no timer is set"
        if node.status is NodeStatus.PENDING and node.active and node.asked is None and node.id not in ready:
            yield f"{node.id} may run and stands in no queue"
        if node.lane is not None and node.granted is False and _wants_limit(state, node):
            yield f"{node.id} is in flight without its limits"
        if node.lane is not None and not node.owns and _is_shared(state, node):
            yield f"{node.id} is in flight and the cache was not asked"


def _wants_limit(state: State, node: Node) -> bool:
    return node.kind is not NodeKind.HANDLER and node.spec is not None and bool(state.specs[node.spec].limits)


def _is_shared(state: State, node: Node) -> bool:
    return node.kind is NodeKind.TASK and node.spec is not None and bool(state.specs[node.spec].cache)


def _endings(state: State) -> Iterator[str]:
    if state.finishing is not None and any(not node.over for node in state.nodes.values()):
        yield "the end is commanded but nodes are not over"
    if state.ending is not None and state.finishing is None and not state.in_flight:
        yield "the execution is ending, waits for nothing, and its end is not commanded"
    if state.status in EXECUTION_OVER:
        left = [node.id for node in state.nodes.values() if not node.over]
        if left:
            yield f"the execution is {state.status} but {left[:5]} are not over"
    stuck = (
        state.status is ExecutionStatus.RUNNING
        and state.finishing is None
        and state.root.closed
        and not state.in_flight
        and not state.ready_count
        and not any(n.due is not None or n.asked or n.kind in graph.WAITS for n in state.nodes.values() if not n.over)
        and not any(n.pages is not None and not n.expanded and not n.over for n in state.nodes.values())  # more pages
        and not any(scope.driven and not scope.closed for scope in state.scopes.values())
        and not any(n.kind is NodeKind.SIDE_EFFECT and not n.over for n in state.nodes.values())
    )
    if stuck:
        yield "the execution runs, but nothing is in flight, ready or awaited"
