"""Queues that cannot go now stand aside at what they wait for, so that no event has to look at all of them.

The nodes of a bounded scope have queues of their own. A queue whose scope has no lane left is parked at the nearest
scope that is full; one of whose spec enough lanes find out how long it takes, at the spec. Whatever comes free there
lets one come back: of the highest priority the one that has waited longest, behind those that can go already. One that
comes back and cannot use the place after all, because it stands still further inside, or at its spec, or has nothing
left, lets the next one come. So for every free place of a scope with parked queues there is a queue on its way to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from twingraph.engine.kernel import bounds
from twingraph.engine.kernel.state import Node, Place, QueueKey, Queues, Scope, State

PROBE_LANES = 16


def crowded(state: State, spec: int) -> bool:
    """Whether enough lanes find out already how long this takes."""
    return spec not in state.means and state.probing.get(spec, 0) >= PROBE_LANES


def park(state: State, priority: int, key: tuple[int, str], queue: deque[Node], place: Place) -> None:
    """The queue, which was taken out of those that may go, waits for this. Who waits for a place that it came back for
    and does not use, which lies outside this one, may come. Outside a spec lie all the scopes."""
    waiting = state.parked.setdefault(place, {})
    waiting.setdefault(priority, Queues())[key] = queue
    state.parked_at[priority, key] = place
    outside = bounds.around(state.scopes[key[1]])
    if isinstance(place, str):
        while next(outside).path != place:
            pass
    _let_others(state, outside, key[0])


def passed(state: State, key: tuple[int, str]) -> None:
    """The queue turned out to have nothing to hand over: whoever waits for the same places may come."""
    _let_others(state, bounds.around(state.scopes[key[1]]), key[0])


def _let_others(state: State, scopes: Iterator[Scope], spec: int) -> None:
    """What is free in these is not taken."""
    for scope in scopes:
        if bounds.left(scope) > 0:
            bring_back(state, scope.path)
    if not crowded(state, spec):
        bring_back(state, spec)


def bring_back(state: State, place: Place) -> None:
    """A place came free: the first that waits for it may go."""
    waiting = state.parked.get(place)
    if waiting is None:
        return
    priority = max(waiting)
    queues = waiting[priority]
    key, queue = queues.popitem(last=False)
    state.ready.setdefault(priority, Queues())[key] = queue
    del state.parked_at[priority, key]
    if not queues:
        del waiting[priority]
        if not waiting:
            del state.parked[place]


def bring_all_back(state: State, place: Place) -> None:
    for priority, queues in state.parked.pop(place, {}).items():
        state.ready.setdefault(priority, Queues()).update(queues)
        for key in queues:
            del state.parked_at[priority, key]


def find(state: State, priority: int, key: QueueKey) -> deque[Node] | None:
    """The queue, if it is parked."""
    place = state.parked_at.get((priority, key)) if state.parked_at else None
    return None if place is None else state.parked[place][priority][key]


def parked(state: State) -> Iterator[deque[Node]]:
    """All of them."""
    for waiting in state.parked.values():
        for queues in waiting.values():
            yield from queues.values()
