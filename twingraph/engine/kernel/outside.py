"""What comes from outside the graph: time, wishes of people, answers to what the kernel asked, take-overs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from twingraph.core.errors import ErrorCode
from twingraph.core.events import (
    Adopted,
    CacheAnswered,
    CacheOwnerLost,
    CancelRequested,
    DecisionMade,
    DetachedStarted,
    ExecutionEnded,
    LimitGranted,
    PauseRequested,
    ResumeRequested,
    SignalReceived,
    TimerFired,
)
from twingraph.core.plan import NodeKind
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus, NodeStatus
from twingraph.engine.kernel import beginnings, bounds, closing, finishing, holdings, runs, scheduling
from twingraph.engine.kernel.commands import (
    AskCache,
    Finish,
    Recall,
    ReleaseLimit,
    SetTimer,
    StartDetached,
    StartDriver,
)
from twingraph.engine.kernel.state import Node, State

# Seconds by which a timer may be early: clocks of timers and of events need not agree to the last digit.
EARLY = 0.01


def timer_fired(state: State, event: TimerFired) -> None:
    if event.timer == "timeout":
        _timeout_due(state)
    elif event.timer == "ending":
        closing.lose_patience(state)
    elif event.timer.startswith("scope:"):
        _scope_due(state, event.timer.removeprefix("scope:"))
    else:
        node = state.nodes.get(event.timer.removeprefix("node:"))
        if node is None or node.over or node.due is None:
            return
        if state.now < node.due - EARLY:  # a firing that came twice, or a clock that was set back
            state.commands.append(SetTimer(event.timer, _left(state, node, node.due)))
        else:
            _node_due(state, node)


def _left(state: State, node: Node, due: float) -> float:
    """How long the node still has to wait: never longer than it was to wait in all, whatever the clock was when it
    began. Clocks are set back, and those of two machines need not agree."""
    longest = runs.longest_pause(state, node) if node.status is NodeStatus.RETRYING else node.plan.wait or 0.0
    left = max(0.0, min(due - state.now, longest))
    node.due = min(due, state.now + left)
    return left


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
    finishing.begin_ending(state, ExecutionStatus.FAILED, error)


def _scope_due(state: State, path: str) -> None:
    scope = state.scopes.get(path)
    if scope is None or scope.cancelled or state.ending is not None or not bounds.time_is_up(state, scope, EARLY):
        return
    pipeline = scope.parent
    assert pipeline is not None
    assert scope.clock is not None
    error = ErrorRecord(
        code=ErrorCode.TIMEOUT,
        error_type="TimeoutError",
        message=f"the pipeline {pipeline.id} took longer than its timeout of {scope.clock.limit:g} s",
        node_id=pipeline.id,
    )
    beginnings.fail_container(state, pipeline, error)


def _node_due(state: State, node: Node) -> None:
    node.due = None
    if node.status is NodeStatus.RETRYING:
        state.move(node, NodeStatus.PENDING)
        beginnings.queue_up(state, node)
    elif node.kind is NodeKind.SLEEP:
        beginnings.end_node(state, node, NodeStatus.COMPLETED)
    else:
        node.error = ErrorRecord(
            code=ErrorCode.TIMEOUT,
            error_type="TimeoutError",
            message=f"nothing came within {node.plan.wait:g} s",
            node_id=node.id,
        )
        beginnings.end_node(state, node, NodeStatus.FAILED)


def adopted(state: State, event: Adopted) -> None:
    """The conductor before is gone and with it every run in flight; what it had asked for is asked again."""
    if state.status in EXECUTION_OVER:
        return
    if state.finishing is not None:
        state.commands.append(Finish(state.finishing, state.ending_error))
        return
    state.timeout_armed = False
    _go_through(state, _begin_anew(state))


def _go_through(state: State, steps: Iterator[None]) -> None:
    """What concerns each node, as the last thing that an event does: of many, by and by."""
    if len(state.nodes) > state.at_once:
        state.chores.append(steps)
    else:
        for _ in steps:
            pass


def _begin_anew(state: State) -> Iterator[None]:
    # Who held a limit may have held it with the conductor before only: all of them ask anew.
    asking = scheduling.withdraw(state, lambda node: node.granted or node.owns)
    flying: list[Node] = []
    for number, node in enumerate(state.nodes.values(), 1):
        if not number % state.at_once:
            yield
        node.granted = False
        if node.owns:
            holdings.give_back(state, node)
        if node.lane is not None:
            flying.append(node)
        elif not node.over:
            _ask_again(state, node)
    for number, node in enumerate(asking, 1):
        beginnings.queue_up(state, node)
        if not number % state.at_once:
            yield
    for number, node in enumerate(reversed(flying), 1):  # each goes to the front of its queue
        if state.ending is not None and node.kind is not NodeKind.HANDLER:
            beginnings.end_one(state, node, NodeStatus.CANCELLED)
        else:
            runs.requeue(state, node)
        if not number % state.at_once:
            yield
    bounds.arm_all(state, anew=True)
    if state.ending is not None and state.in_flight:
        state.commands.append(SetTimer("ending", finishing.ENDING_PATIENCE))
    if state.ending is None:
        state.commands.extend(StartDriver(s.path) for s in state.scopes.values() if s.driven and not s.closed)


def _ask_again(state: State, node: Node) -> None:
    if node.due is not None:
        state.commands.append(SetTimer(f"node:{node.id}", _left(state, node, node.due)))
    elif node.asked == "limit":
        beginnings.queue_up(state, node)
    elif node.asked == "cache":
        state.commands.append(AskCache(node.id))
    elif node.kind is NodeKind.DETACHED and node.status is NodeStatus.RUNNING:
        state.commands.append(StartDetached(node.id))


def cancel_requested(state: State, event: CancelRequested) -> None:
    if state.status not in EXECUTION_OVER:
        finishing.begin_ending(state, ExecutionStatus.CANCELLED)


def pause_requested(state: State, event: PauseRequested) -> None:
    if state.ending is not None or state.finishing is not None or state.status in EXECUTION_OVER:
        return
    state.reason = event.reason
    if state.status is ExecutionStatus.PAUSED:
        return
    state.move_execution(ExecutionStatus.PAUSED)
    _go_through(state, _come_to_rest(state))


def _come_to_rest(state: State) -> Iterator[None]:
    """What is paused holds nothing that others want, and keeps nobody waiting who stands in line behind it."""
    asking = [node for node in state.nodes.values() if node.asked == "limit"]
    for number, node in enumerate([*scheduling.withdraw(state, lambda node: node.granted or node.owns), *asking], 1):
        holdings.give_back(state, node)
        beginnings.queue_up(state, node)
        if not number % state.at_once:
            yield
    for node in state.nodes.values():
        if node.owns and node.status is NodeStatus.RETRYING:
            holdings.give_back(state, node)
    if state.in_flight:
        state.commands.append(Recall())


def resume_requested(state: State, event: ResumeRequested) -> None:
    if state.status is ExecutionStatus.PAUSED:
        state.move_execution(ExecutionStatus.RUNNING)
        state.reason = None
        _go_through(state, _go_on_again(state))


def _go_on_again(state: State) -> Iterator[None]:
    parked = [node for node in state.nodes.values() if node.asked == "resume"]
    for number, node in enumerate(parked, 1):
        node.asked = None
        if node.kind is NodeKind.HANDLER:
            scheduling.dispatch_now(state, node)
        elif node.active:
            beginnings.queue_up(state, node)
        if not number % state.at_once:
            yield
    yield from beginnings.settling(state, parked)
    bounds.arm_all(state)


def signal_received(state: State, event: SignalReceived) -> None:
    waiting = state.waiting_signals.get(event.name)
    while waiting:
        node = waiting.popleft()
        if not node.over:
            beginnings.settle_last(state, beginnings.complete_signal(state, node, state.seq, event.output))
            return
    state.signals.setdefault(event.name, deque()).append((state.seq, event.output))


def limit_granted(state: State, event: LimitGranted) -> None:
    node = state.nodes.get(event.node)
    if node is None or node.asked != "limit":
        if node is None or not node.granted:  # it ended meanwhile, or gave its turn up
            state.commands.append(ReleaseLimit(event.node))
        return
    node.granted = True
    _go_on(state, node)


def _go_on(state: State, node: Node) -> None:
    """What the node asked for is its own now. What is paused gives it back at once, and will ask again."""
    node.asked = None
    if state.status is ExecutionStatus.PAUSED:
        holdings.give_back(state, node)
    beginnings.queue_up(state, node)


def cache_answered(state: State, event: CacheAnswered) -> None:
    node = state.nodes.get(event.node)
    if node is None or node.over or node.asked != "cache":
        return
    if event.verdict == "wait":
        node.reason = "waits for equal work"
    else:
        node.reason, node.owns = None, True
        _go_on(state, node)


def cache_owner_lost(state: State, event: CacheOwnerLost) -> None:
    cache_answered(state, CacheAnswered(event.node, "miss"))


def detached_started(state: State, event: DetachedStarted) -> None:
    node = state.nodes.get(event.node)
    if node is not None and not node.over:
        closing.detached_has_started(state, node, event.execution)


def decision_made(state: State, event: DecisionMade) -> None:
    """Kept for the body that asked, which is answered alike when it runs again."""
    scope = state.scopes.get(event.scope)
    if scope is not None and not scope.closed:
        scope.decisions.append((len(scope.nodes), event))


def execution_ended(state: State, event: ExecutionEnded) -> None:
    state.move_execution(ExecutionStatus(event.status))
    state.ending_error = event.error
