"""What happens once no more nodes will come: the body is gone, or nobody waits any longer for what was cancelled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from twingraph.core.plan import NodeKind
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import ExecutionStatus, NodeStatus
from twingraph.engine.kernel import bodies, bounds, graph
from twingraph.engine.kernel.beginnings import end_one, settling
from twingraph.engine.kernel.endings import cancelling_scope, scope_over
from twingraph.engine.kernel.finishing import begin_ending, finish
from twingraph.engine.kernel.state import Node, Scope, State, go_last

_OF_A_BODY = graph.WAITS | {NodeKind.SIDE_EFFECT}


def close_scope(state: State, scope: Scope, error: ErrorRecord | None, met: Iterable[str]) -> None:
    """No more nodes will come. A failure that left the body, or that it never met, is unhandled."""
    scope.closed = True
    scope.driven = scope.driven or error is not None
    bounds.tend_body(state, scope)
    go_last(state, _closing(state, scope, error, met))


def _closing(state: State, scope: Scope, error: ErrorRecord | None, met: Iterable[str]) -> Iterator[None]:
    """By and by."""
    goes_on = bounds.goes_on(state, scope)
    if scope.driven and error is None and not goes_on and state.counts[NodeStatus.FAILED]:
        error = yield from bodies.finding_unmet(scope, met, state.at_once)
    scope.error = scope.error or error
    scope.met = frozenset(name for name in met if name in scope.nodes and not scope.nodes[name].over)
    if goes_on:  # an error does not end the rest of it
        error = None
    if error is not None and scope.parent is None:
        begin_ending(state, ExecutionStatus.FAILED, error)
    elif error is not None:
        freed = yield from cancelling_scope(state, scope)
        yield from settling(state, freed)
    if scope.driven and not state.chores:
        yield from _letting_go(state, scope)
    yield from settling(state, scope_over(state, scope))


def _letting_go(state: State, scope: Scope) -> Iterator[None]:
    """The body is gone: end what only it would have carried out or waited for, last calls first."""
    left = [node for node in scope.nodes.values() if node.kind in _OF_A_BODY and not node.over]
    if not left:
        return
    returned = yield from bodies.finding_returned(scope, state.at_once)
    for number, node in enumerate(reversed(left), 1):
        if not number % state.at_once and not state.chores:
            yield
        if node.over:
            continue
        if node.kind is NodeKind.SIDE_EFFECT:
            end_one(state, node, NodeStatus.CANCELLED)
        elif node.kind in graph.WAITS and not bodies.is_waited_for(node, returned):
            if node.kind is NodeKind.DETACHED:
                _let_go_detached(state, node)
            else:
                end_one(state, node, NodeStatus.CANCELLED)


def detached_has_started(state: State, node: Node, execution: str) -> None:
    node.reason = execution
    scope = node.scope
    if scope.driven and scope.closed:
        go_last(state, _letting_go_detached(state, node))


def _letting_go_detached(state: State, node: Node) -> Iterator[None]:
    returned = yield from bodies.finding_returned(node.scope, state.at_once)
    if not bodies.is_waited_for(node, returned):
        _let_go_detached(state, node)


def _let_go_detached(state: State, node: Node) -> None:
    """An execution of its own goes on without the body that called it, once it is known to have started."""
    if node.status is NodeStatus.RUNNING and node.reason is not None:
        end_one(state, node, NodeStatus.COMPLETED)


def lose_patience(state: State) -> None:
    """What was cancelled did not report its end in time. Error handlers may go on, unless somebody stopped it all."""
    if state.ending is None or state.finishing is not None:
        return
    if state.ending is ExecutionStatus.CANCELLED:
        finish(state, state.ending, state.ending_error)
        return
    for node in list(state.nodes.values()):
        if node.lane is not None and node.kind is not NodeKind.HANDLER:
            end_one(state, node, NodeStatus.CANCELLED)
