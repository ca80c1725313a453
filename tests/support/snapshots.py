"""A state as data in which all is named: also who lies in what and who waits for whom, which a snapshot leaves out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from twingraph.engine.kernel import State, snapshot
from twingraph.engine.kernel.state import Queues, Scope


def told(state: State) -> str:
    return json.dumps(_all_of(state))


def dumped_before(state: State, version: int = 3) -> dict[str, Any]:
    """What an engine before the fourth version of snapshots wrote."""
    return {**json.loads(told(state)), "version": version}


def _all_of(state: State) -> dict[str, Any]:
    raw = snapshot.dump(state)
    del raw["queued"]
    raw["version"] = 3
    for given in raw["scopes"]:
        given["nodes"] = {name: known.id for name, known in state.scopes[given["path"]].nodes.items()}
    for given in raw["nodes"]:
        known = state.nodes[given["id"]]
        if known.dependents:
            given["dependents"] = [dependent.id for dependent in known.dependents]
        if known.children is not None:
            given["children"] = [["scope", c.path] if isinstance(c, Scope) else ["node", c.id] for c in known.children]

    def filled(ready: Mapping[int, Queues]) -> list[Any]:
        return [[p, [[key, [node.id for node in queue]] for key, queue in by.items()]] for p, by in ready.items()]

    raw["ready"] = filled(state.ready)
    raw["parked"] = [[place, filled(waiting)] for place, waiting in state.parked.items()]
    return raw
