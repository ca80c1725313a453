"""What a custom error handler is called with: the parts of the error record that it declares."""

from __future__ import annotations

import json

from twingraph.engine.kernel import Node, State, bounds

PARTS = ("execution_id", "node_id", "component", "error_type", "message", "traceback", "attempt")


def of(state: State, handler: Node) -> list[tuple[str, str]]:
    failed = state.nodes[handler.id.removesuffix("!handler")]
    error = failed.error
    record = {
        "execution_id": state.execution,
        "node_id": failed.id,
        "component": state.specs[failed.spec].component if failed.spec is not None else None,
        "error_type": error.error_type if error else None,
        "message": error.message if error else None,
        "traceback": error.traceback if error else None,
        "attempt": failed.attempt,
    }
    wanted = bounds.rules(state, failed.scope).handler_args
    return [(part, json.dumps(record[part])) for part in PARTS if wanted is None or part in wanted]
