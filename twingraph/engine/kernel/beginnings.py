"""How nodes begin: what may, once its sources are over, and what it asks for or waits for first.

Consequences are worked off from a queue rather than by recursion.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence

from twingraph.core.events import OutputMeta
from twingraph.core.plan import NodeKind, PlanNode
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import ExecutionStatus, NodeStatus
from twingraph.engine.kernel import bounds, endings, graph, scheduling
from twingraph.engine.kernel.commands import AskCache, AskLimit, SetTimer, StartDetached, StartDriver
from twingraph.engine.kernel.endings import doomed, end, scope_over
from twingraph.engine.kernel.state import Node, State, go_last


def settle(state: State, candidates: Iterable[Node]) -> None:
    """Begin every node whose sources are all over, and whatever that allows in turn."""
    queue = deque(candidates)
    while queue and not state.chores:  # else all of them are about to be cancelled
        node = queue.popleft()
        if not node.pending and node.status is NodeStatus.PENDING and not node.active:
            queue.extend(_begin(state, node))


def settling(state: State, candidates: Iterable[Node]) -> Iterator[None]:
    """The same by and by. It pauses only while something is left to do."""
    queue = deque(candidates)
    seen = 0
    while queue and not state.chores:
        if seen == state.at_once:
            seen = 0
            yield
        seen += 1
        node = queue.popleft()
        if not node.pending and node.status is NodeStatus.PENDING and not node.active:
            plans = graph.inside(state, node) if node.kind is NodeKind.SCOPE else ()
            if len(plans) > state.at_once or graph.is_wide(state, node.plan):
                queue.extend((yield from _beginning(state, node, plans)))
            else:
                queue.extend(_begin(state, node))


def settle_last(state: State, candidates: Iterable[Node]) -> None:
    """The same as the last thing that an event does, however little led to it."""
    go_last(state, settling(state, candidates))


def end_node(state: State, node: Node, status: NodeStatus) -> None:
    """The node is over; whatever follows from that happens too. For the last thing that an event does."""
    if status is NodeStatus.FAILED or (node.dependents is not None and len(node.dependents) > state.at_once):
        settle_after(state, endings.ending(state, node, status))
        return
    freed = end(state, node, status)
    if freed:
        settle_last(state, freed)


def fail_container(state: State, container: Node, error: ErrorRecord) -> None:
    """A sub-pipeline or map has failed, whatever its nodes do. For the last thing that an event does."""
    settle_after(state, endings.failing_container(state, container, error))


def settle_after(state: State, steps: endings.Freed) -> None:
    """What frees nodes by and by, and then whatever these allow, as the last thing that an event does."""
    go_last(state, _settling_after(state, steps))


def _settling_after(state: State, steps: endings.Freed) -> Iterator[None]:
    freed = yield from steps
    yield from settling(state, freed)


def end_one(state: State, node: Node, status: NodeStatus) -> None:
    """The same at once, since more comes of the event after it."""
    settle(state, end(state, node, status))


def _begin(state: State, node: Node) -> list[Node]:
    """Begin a node whose sources are over; the nodes that may begin because of it."""
    freed = _end_instead(state, node, graph.why_skipped(node))
    return _go(state, node) if freed is None else freed


def _beginning(state: State, node: Node, plans: Sequence[PlanNode]) -> Generator[None, None, list[Node]]:
    """The same by and by, for what waited for very many or opens very many."""
    freed = _end_instead(state, node, (yield from graph.finding_why_skipped(node, state.at_once)))
    if freed is not None:
        return freed
    return (yield from _opening(state, node, plans)) if len(plans) > state.at_once else _go(state, node)


def _go(state: State, node: Node) -> list[Node]:
    kind = node.kind
    if kind is NodeKind.INPUT:
        return end(state, node, NodeStatus.COMPLETED)
    if kind is NodeKind.SCOPE:
        return _begin_scope(state, node)
    if state.status is ExecutionStatus.PAUSED and kind is NodeKind.DETACHED:
        node.asked = "resume"
        return []
    if kind in graph.WAITS:
        return _begin_wait(state, node)
    bounds.activate(state, node, True)
    if kind is NodeKind.SIDE_EFFECT:  # the body that asked for it carries it out
        state.move(node, NodeStatus.RUNNING)
        node.attempt = 1
        return []
    queue_up(state, node)
    return []


def _end_instead(state: State, node: Node, reason: str | None) -> list[Node] | None:
    """End a node that must not begin, for this reason if it is one to skip it; None when it may."""
    if state.ending is not None or doomed(node):
        return end(state, node, NodeStatus.CANCELLED)
    if reason is not None:
        node.reason = reason
        return end(state, node, NodeStatus.SKIPPED)
    return None


def _opening(state: State, node: Node, plans: Sequence[PlanNode]) -> Generator[None, None, list[Node]]:
    """Begin a sub-workflow of many nodes, by and by."""
    state.move(node, NodeStatus.RUNNING)
    scope = graph.new_scope(state, node.id, node, None)
    node.children, node.expanded, node.open = [scope], True, 1
    return (yield from graph.adding(state, scope, plans))


def _begin_scope(state: State, node: Node) -> list[Node]:
    state.move(node, NodeStatus.RUNNING)
    scope, created = graph.open_scope(state, node.id, node, None)
    node.children, node.expanded, node.open = [scope], True, 1
    if scope.driven:
        bounds.tend_body(state, scope)
        state.commands.append(StartDriver(scope.path))
    return created or scope_over(state, scope)


def queue_up(state: State, node: Node, *, front: bool = False) -> None:
    """Ask for what stands outside the execution: whether the work is to be done at all, then the named limits that it
    wants. Then let it wait for a lane."""
    assert node.spec is not None
    spec = state.specs[node.spec]
    if spec.cache and not node.owns and node.kind is NodeKind.TASK:
        if state.status is ExecutionStatus.PAUSED:  # nobody shall wait for what is paused
            node.asked = "resume"
            return
        node.asked = "cache"
        state.commands.append(AskCache(node.id))
        return
    if spec.limits and not node.granted:
        if state.status is ExecutionStatus.PAUSED:  # what is paused must not hold a limit that others want
            node.asked = "resume"
            return
        node.asked = "limit"
        state.commands.append(AskLimit(node.id, tuple(sorted(spec.limits.items())), spec.priority))
        return
    node.asked = None
    scheduling.enqueue(state, node, front=front)


def _begin_wait(state: State, node: Node) -> list[Node]:
    if node.kind is NodeKind.SIGNAL:
        assert node.plan.signal is not None
        kept = state.signals.get(node.plan.signal)
        if kept:
            return complete_signal(state, node, *kept.popleft())
        state.waiting_signals.setdefault(node.plan.signal, deque()).append(node)
    state.move(node, NodeStatus.RUNNING)
    node.attempt = 1
    if node.kind is NodeKind.DETACHED:
        state.commands.append(StartDetached(node.id))
    elif node.plan.wait is not None:
        node.due = state.now + node.plan.wait
        state.commands.append(SetTimer(f"node:{node.id}", node.plan.wait))
    return []


def complete_signal(state: State, node: Node, seq: int, output: OutputMeta) -> list[Node]:
    node.seq, node.shape, node.outputs = seq, "plain", (output,)
    return end(state, node, NodeStatus.COMPLETED)


def give_up_wait(state: State, node: Node) -> None:
    """Nobody waits for it any more. That is no failure."""
    waiting = state.waiting_signals.get(node.plan.signal) if node.plan.signal is not None else None
    if waiting is not None and node in waiting:
        waiting.remove(node)
        if not waiting and node.plan.signal is not None:
            del state.waiting_signals[node.plan.signal]
    end_node(state, node, NodeStatus.CANCELLED)
