"""The queues of a state as JSON-able data, and back: their order first, then who stands in them, some in each record,
since tens of thousands may."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any

from twingraph.engine.kernel.state import QueueKey, Queues, State

_IN_RECORD = 500


def order(ready: Mapping[int, Queues]) -> list[Any]:
    """The queues in the order in which it is their turn."""
    return [[priority, list(queues)] for priority, queues in ready.items()]


def dump(state: State) -> Iterator[list[Any]]:
    """Who stands in the queues, some in each record."""
    for place, ready in chain([(None, state.ready)], state.parked.items()):
        for priority, queues in ready.items():
            for key, queue in queues.items():
                nodes = iter(queue)
                while some := [node.id for node in islice(nodes, _IN_RECORD)]:
                    yield [place, priority, key, some]


def load(state: State, raw: dict[str, Any]) -> Iterator[None]:
    """By and by. What an engine before the fourth version wrote names the nodes of each queue with its key."""
    back = _filled if raw["version"] < 4 else _empty
    state.ready = back(state, raw["ready"])
    state.parked = {place: back(state, waiting) for place, waiting in raw.get("parked", ())}
    for place, waiting in state.parked.items():
        for priority, queues in waiting.items():
            state.parked_at.update(((priority, key), place) for key in queues)
    for place, priority, key, nodes in raw.get("queued", ()):
        into = state.ready if place is None else state.parked[place]
        into[priority][_key(key)].extend(state.nodes[node] for node in nodes)
        yield


def _empty(state: State, raw: list[Any]) -> dict[int, Queues]:
    return {priority: Queues((_key(key), deque()) for key in queues) for priority, queues in raw}


def _filled(state: State, raw: list[Any]) -> dict[int, Queues]:
    return {
        priority: Queues((_key(key), deque(state.nodes[node] for node in nodes)) for key, nodes in queues)
        for priority, queues in raw
    }


def _key(raw: int | list[Any]) -> QueueKey:
    return (raw[0], raw[1]) if isinstance(raw, list) else raw
