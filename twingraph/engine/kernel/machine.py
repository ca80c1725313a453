"""The kernel: `apply` takes one event and gives the commands that follow from it.

It is the only way in which the state of an execution changes. No clock, no chance, no I/O: time comes with each event,
chance inside it. Applying the same events in the same order gives the same state and the same commands, so recovery is
folding the journal and ignoring the commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    ItemsGiven,
    LimitGranted,
    MapExpanded,
    NodeBegun,
    NodeEnded,
    NodesReturned,
    OutcomesKept,
    PauseRequested,
    ResumeRequested,
    SignalReceived,
    TimerFired,
)
from twingraph.core.plan import PlanNode
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import ExecutionStatus, NodeStatus
from twingraph.engine.kernel import beginnings, bounds, closing, endings, graph, outside, runs, scheduling
from twingraph.engine.kernel.commands import (
    Command,
    SetTimer,
    StartDriver,
)
from twingraph.engine.kernel.state import Node, Scope, State

# More calls than a body says at once are those of a replay, with which it begins.
_SAID_AT_ONCE = 1_000


def apply(state: State, event: Event, at: float, seq: int) -> list[Command]:
    """Take one event in; the commands that follow from it, in order."""
    begin(state, event, at, seq)
    while state.chores:
        for _ in state.chores.popleft():
            pass
    return conclude(state)


def begin(state: State, event: Event, at: float, seq: int) -> None:
    """The same in parts, for what may be long: `begin`, then all of `state.chores` step by step, then `conclude`."""
    if state.clock_from is not None and not isinstance(event, Adopted):
        state.used += max(0.0, at - state.clock_from)
    if (
        state.timed
        and state.status is ExecutionStatus.RUNNING
        and state.ending is None
        and not isinstance(event, Adopted)
    ):
        state.elapsed += max(0.0, at - state.now)
    state.now, state.seq = at, seq
    state.commands = []
    _HANDLERS[type(event)](state, event)


def conclude(state: State) -> list[Command]:
    scheduling.dispatch(state)
    _tend_clock(state)
    return state.commands


def _tend_clock(state: State) -> None:
    """The time-out clock runs while the execution runs and a node of it is under way, or its body computes."""
    running = (
        (state.active > 0 or state.computing > 0)
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
    if event.body is not None:
        state.body = event.body
        state.root.driven = True
        bounds.tend_body(state, state.root)
        state.commands.append(StartDriver(""))


def _graph_extended(state: State, event: GraphExtended) -> None:
    state.specs.extend(event.specs)
    state.templates.update(event.templates)
    scope = state.scopes.get(event.scope)
    if scope is None or scope.closed or state.finishing is not None:
        return
    scope.driven = scope.driven or event.driven
    many = len(event.nodes) > (_SAID_AT_ONCE if event.driven else state.at_once)
    if many or any(graph.is_wide(state, plan) for plan in event.nodes):
        state.chores.append(_extend(state, scope, event.nodes))
        return
    created = graph.add_nodes(state, scope, event.nodes)
    if scope.driven:
        bounds.tend_body(state, scope)
    beginnings.settle_last(state, created)


def _extend(state: State, scope: Scope, plans: Sequence[PlanNode]) -> Iterator[None]:
    """The same by and by."""
    created = yield from graph.adding(state, scope, plans)
    if scope.driven:
        bounds.tend_body(state, scope)
    yield from beginnings.settling(state, created)


def _graph_closed(state: State, event: GraphClosed) -> None:
    scope = state.scopes.get(event.scope)
    if scope is None or scope.closed:
        return
    scope.result, scope.last_nodes = event.result, event.last_nodes
    scope.shape, scope.outputs = event.shape, event.outputs
    closing.close_scope(state, scope, event.error, event.met)


def _map_expanded(state: State, event: MapExpanded) -> None:
    node = runs.awaited(state, event.node, event.attempt)
    if node is None or (node.children is None and not runs.takes_outcome(node)) or node.expanded:
        return
    if state.ending is not None or endings.doomed(node):
        beginnings.end_node(state, node, NodeStatus.CANCELLED)
        return
    if node.lane is not None or node.children is None:
        _now_container(state, node)
    assert node.children is not None
    assert node.pages is not None
    keys = event.keys[max(0, len(node.children) - event.start) :]  # a page that came twice brings nothing new
    twice = graph.taken_twice(state, node, keys)
    if twice is not None:
        beginnings.fail_container(state, node, _twice(node, twice))
        return
    if keys:
        node.pages.append((event.start, state.seq))
    node.expanded = event.last
    node.open += len(keys)
    first = len(node.children)
    created: list[Node] = []
    for index, key in enumerate(keys, first):
        created += graph.add_item(state, node, key, index)
    if created:
        beginnings.settle_last(state, created)
    else:
        _end_empty(state, node, first)


def _end_empty(state: State, node: Node, first: int) -> None:
    """No item came, or items of a workflow without nodes: they are over as soon as they are open."""
    for child in (node.children or ())[first:]:
        if isinstance(child, Scope):
            beginnings.settle(state, endings.scope_over(state, child))
    if node.expanded and not node.open and not node.over:
        beginnings.settle_last(state, endings.finish_container(state, node))


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
    bounds.activate(state, node, False)
    scheduling.retire(state, node)
    node.error = None
    if node.children is None:
        node.children, node.pages = [], []
    if node.status is not NodeStatus.RUNNING:
        state.move(node, NodeStatus.RUNNING)


def _branch_taken(state: State, event: BranchTaken) -> None:
    node = runs.awaited(state, event.node, event.attempt)
    if node is None or not runs.takes_outcome(node):
        return
    if node.spec is not None and event.started is not None and event.ended is not None:
        scheduling.learn(state, node.spec, max(0.0, event.ended - event.started))
    node.branch, node.error = event.handle, None
    beginnings.end_node(state, node, NodeStatus.COMPLETED)


_HANDLERS: Mapping[type[Event], Callable[[State, Any], None]] = {
    Created: _created,
    GraphExtended: _graph_extended,
    GraphClosed: _graph_closed,
    MapExpanded: _map_expanded,
    BranchTaken: _branch_taken,
    NodeBegun: runs.node_begun,
    NodeEnded: runs.node_ended,
    OutcomesKept: runs.outcomes_kept,
    ItemsGiven: runs.items_given,
    NodesReturned: runs.nodes_returned,
    TimerFired: outside.timer_fired,
    Adopted: outside.adopted,
    CancelRequested: outside.cancel_requested,
    PauseRequested: outside.pause_requested,
    ResumeRequested: outside.resume_requested,
    SignalReceived: outside.signal_received,
    LimitGranted: outside.limit_granted,
    CacheAnswered: outside.cache_answered,
    CacheOwnerLost: outside.cache_owner_lost,
    DetachedStarted: outside.detached_started,
    DecisionMade: outside.decision_made,
    ExecutionEnded: outside.execution_ended,
}
