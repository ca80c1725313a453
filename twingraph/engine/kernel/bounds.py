"""What bounds a part of an execution: a sub-pipeline's own lanes, its own clock, its own word on failures.

A scope knows the nearest bounded scope that it lies in, which may be itself. Where there is none, all of this costs one
look at an attribute.
"""

from __future__ import annotations

from collections.abc import Iterator

from twingraph.core.plan import NodeKind, ScopeSettings
from twingraph.core.policies import ErrorHandler
from twingraph.core.records import Settings
from twingraph.core.statuses import ExecutionStatus
from twingraph.engine.kernel.commands import ClearTimer, SetTimer
from twingraph.engine.kernel.state import Clock, Node, Scope, State


def bind(scope: Scope) -> None:
    """Tell a new scope what bounds it."""
    parent = scope.parent
    if parent is None:
        return
    scope.bound = parent.scope.bound
    if parent.plan.bounds is not None and parent.kind is NodeKind.SCOPE:
        scope.bounds, scope.bound = parent.plan.bounds, scope
        if scope.bounds.timeout is not None:
            scope.clock = Clock(scope.bounds.timeout)


def around(scope: Scope) -> Iterator[Scope]:
    """The bounded scopes that this one lies in, itself included, from the inside out."""
    bound = scope.bound
    while bound is not None:
        yield bound
        assert bound.parent is not None
        bound = bound.parent.scope.bound


# -- failures ------------------------------------------------------------------------------------


def rules(state: State, scope: Scope) -> Settings | ScopeSettings:
    """Where it says what a failure in this scope means."""
    for bound in around(scope):
        if has_own_rules(bound):
            assert bound.bounds is not None
            return bound.bounds
    return state.settings


def has_own_rules(scope: Scope) -> bool:
    return scope.bounds is not None and scope.bounds.error_handler is not None


def goes_on(state: State, scope: Scope) -> bool:
    """Whether what does not depend on a failed node of the scope goes on."""
    said = state.settings if scope.bound is None else rules(state, scope)
    handler = said.error_handler
    return handler == ErrorHandler.CONTINUE or (handler == ErrorHandler.CUSTOM and said.continue_on_error)


# -- lanes ---------------------------------------------------------------------------------------


def room(scope: Scope, free: int) -> int:
    """How many of the free lanes nodes of this scope may have."""
    for bound in around(scope):
        assert bound.bounds is not None
        if bound.bounds.max_parallel is not None:
            free = min(free, bound.bounds.max_parallel - bound.lanes_open)
    return free


def left(scope: Scope) -> int:
    """How many lanes a bounded scope may still open, whatever lies around it."""
    assert scope.bounds is not None
    most = scope.bounds.max_parallel
    return 1 if most is None else most - scope.lanes_open


def full(scope: Scope) -> Scope | None:
    """The nearest scope around that may not open another lane."""
    return next((bound for bound in around(scope) if left(bound) <= 0), None)


def count_lane(bound: Scope, change: int) -> None:
    for scope in around(bound):
        scope.lanes_open += change


# -- clocks --------------------------------------------------------------------------------------


def activate(state: State, node: Node, active: bool) -> None:
    """Whether the node keeps the time-out clocks going."""
    if node.active is not active:
        node.active = active
        change = 1 if active else -1
        state.active += change
        if node.scope.bound is not None:
            _count_active(state, node.scope, change)


def tend_body(state: State, scope: Scope) -> None:
    """As long as no call of it is open, a body computes, which keeps the time-out clocks going."""
    computes = scope.driven and not scope.closed and not scope.open
    if scope.computes is not computes:
        scope.computes = computes
        change = 1 if computes else -1
        state.computing += change
        if scope.bound is not None:
            _count_active(state, scope, change)


def _count_active(state: State, scope: Scope, change: int) -> None:
    for bound in around(scope):
        clock = bound.clock
        if clock is None:
            continue
        clock.active += change
        if clock.since is None:
            clock.since = state.elapsed
            _arm(state, bound, clock)
        elif not clock.active:
            clock.used += state.elapsed - clock.since
            clock.since = None


def used(state: State, clock: Clock) -> float:
    """Seconds."""
    return clock.used + (state.elapsed - clock.since if clock.since is not None else 0.0)


def _arm(state: State, scope: Scope, clock: Clock) -> None:
    if not clock.armed and state.status is ExecutionStatus.RUNNING and state.ending is None:
        clock.armed = True
        state.commands.append(SetTimer(f"scope:{scope.path}", max(0.0, clock.limit - used(state, clock))))


def arm_all(state: State, *, anew: bool = False) -> None:
    """Time counts again after a pause, or anew after an adoption, with which all timers are gone."""
    if not state.timed:
        return
    for scope in state.scopes.values():
        clock = scope.clock
        if clock is not None:
            clock.armed = clock.armed and not anew
            if clock.since is not None:
                _arm(state, scope, clock)


def time_is_up(state: State, scope: Scope, early: float) -> bool:
    """The scope's timer has fired: whether its time is really used up. If not, it is set again."""
    clock = scope.clock
    if clock is None or scope.outcome is not None:
        return False
    clock.armed = False
    if used(state, clock) >= clock.limit - early:
        return True
    if clock.since is not None:
        _arm(state, scope, clock)
    return False


def stop_clock(state: State, scope: Scope) -> None:
    if scope.clock is not None and scope.clock.armed:
        scope.clock.armed = False
        state.commands.append(ClearTimer(f"scope:{scope.path}"))
