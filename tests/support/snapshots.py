"""A state as data in which all is named: also who lies in what and who waits for whom, which a snapshot leaves out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from twingraph.core.statuses import ExecutionStatus
from twingraph.engine.folding import recall
from twingraph.engine.kernel import State, snapshot
from twingraph.engine.kernel.state import Queues, Scope
from twingraph.store.base import Row


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


# What is asked of the nodes of an execution that has completed.
_RECALLED = (
    "status", "attempt", "seq", "shape", "outputs", "error", "branch", "reason", "order", "kept_at", "cached_from",
    "cached_node", "expanded", "pages", "open", "pending", "plan",
)  # fmt: skip


def recalled_otherwise(rows: Sequence[Row], folded: State) -> str | None:
    """Where `recall` comes to something else than folding did; None: nowhere, or it leaves these rows to that."""
    if folded.status is not ExecutionStatus.COMPLETED:
        return None
    state = State(folded.execution)
    if any(recall(state, row) is None for row in rows):
        return None
    if list(state.nodes) != list(folded.nodes) or list(state.scopes) != list(folded.scopes):
        return "other nodes or scopes"
    for name, node in state.nodes.items():
        for field in _RECALLED:
            if getattr(node, field) != getattr(folded.nodes[name], field):
                return f"{field} of {name}"
    for path, scope in state.scopes.items():
        known = folded.scopes[path]
        if (scope.decisions, scope.result, scope.outcome) != (known.decisions, known.result, known.outcome):
            return f"the scope {path!r}"
    return None if state.specs == folded.specs and state.body == folded.body else "specs"
