"""What must hold after every event. Tests check it after each step; at O(nodes) it is nothing for production."""

from __future__ import annotations

from collections.abc import Iterator

from twingraph.core.plan import NodeKind
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus, NodeStatus
from twingraph.engine.kernel import graph
from twingraph.engine.kernel.state import State


def broken(state: State) -> list[str]:
    """Every invariant that does not hold, in words."""
    return [*_counters(state), *_lanes(state), *_dependencies(state), *_endings(state)]


def _counters(state: State) -> Iterator[str]:
    for status in NodeStatus:
        real = sum(node.status is status for node in state.nodes.values())
        if real != state.counts[status]:
            yield f"counts[{status}] is {state.counts[status]}, really {real}"
    active = sum(node.active for node in state.nodes.values())
    if active != state.active:
        yield f"active is {state.active}, really {active}"
    ready = sum(len(queue) for queues in state.ready.values() for queue in queues.values())
    if ready != state.ready_count:
        yield f"ready_count is {state.ready_count}, really {ready}"
    for scope in state.scopes.values():
        still_open = sum(not node.over for node in scope.nodes.values())
        if state.ending is None and state.finishing is None and still_open != scope.open:
            yield f"scope {scope.path!r} counts {scope.open} open nodes, really {still_open}"


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
    for node in flying:
        if node.status not in (NodeStatus.QUEUED, NodeStatus.RUNNING):
            yield f"{node.id} is in flight but {node.status}"
    for node in state.nodes.values():
        if node.status is NodeStatus.QUEUED and node.lane is None:
            yield f"{node.id} is queued but in no lane"


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


def _endings(state: State) -> Iterator[str]:
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
        and not any(scope.driven and not scope.closed for scope in state.scopes.values())
        and not any(n.kind is NodeKind.SIDE_EFFECT and not n.over for n in state.nodes.values())
    )
    if stuck:
        yield "the execution runs, but nothing is in flight, ready or awaited"
