"""What may be asked about a scope that a body drives, once the body is over."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from itertools import chain

from twingraph.core.errors import ErrorCode
from twingraph.core.plan import Hole
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import NodeStatus
from twingraph.engine.kernel.state import Node, Scope

# A turn is short: so many skipped nodes are looked through for what they were skipped for.
_LOOKED_THROUGH = 10_000


def _holes(scope: Scope) -> Iterator[Hole]:
    """The gaps in what the body returned, one result or named outputs."""
    for part in chain(scope.result, *(argument for _, argument in scope.outputs)):
        if not isinstance(part, str):
            yield part


def broken_result(scope: Scope) -> ErrorRecord | None:
    """Why the value that a body returned does not exist; None when it does."""
    for hole in _holes(scope):
        nodes = [scope.nodes[source.node] for source in hole.sources if source.node is not None]
        if nodes and not any(node.status is NodeStatus.COMPLETED for node in nodes):
            return next((node.error for node in nodes if node.error is not None), None) or _upstream(nodes[0])
    return None


def _upstream(node: Node) -> ErrorRecord:
    """Why there is nothing of a node that did not fail itself. Of the class of what it was skipped for, as if the body
    had waited for it."""
    message = f"the result needs {node.id}, which is {node.status}"
    cause = _cause_of(node)
    error = cause.error if cause is not None else None
    if cause is None or error is None:
        return ErrorRecord(code=ErrorCode.UPSTREAM, error_type="UpstreamFailed", message=message, node_id=node.id)
    return ErrorRecord(
        code=ErrorCode.UPSTREAM,
        error_type="UpstreamFailed",
        message=f"{message}, since {error.node_id or cause.id} failed: {error.words}",
        node_id=node.id,
        types=error.types or (error.error_type,),
        exception=error.exception,
    )


def _cause_of(node: Node) -> Node | None:
    """The nearest failed node that it was skipped for, unless that is very far away."""
    nodes, asked, seen = node.scope.nodes, deque([node]), {node.plan.id}
    while asked and len(seen) < _LOOKED_THROUGH:
        known = asked.popleft()
        if known.error is not None:
            return known
        sources = [edge.source for edge in known.plan.edges if edge.source not in seen]
        seen.update(sources)
        asked.extend(nodes[source] for source in sources if source in nodes)
    return None


def finding_unmet(scope: Scope, met: Iterable[str], step: int) -> Generator[None, None, ErrorRecord | None]:
    """The first failure that the body has not met, by and by, so many nodes without a pause. Who met a skipped call met
    the failure that it was skipped for."""
    handled: set[str] = set()
    asked = list(met)
    while asked:
        if not (len(handled) + 1) % step:
            yield
        name = asked.pop()
        node = scope.nodes.get(name)
        if node is None or name in handled:
            continue
        handled.add(name)
        if node.status is NodeStatus.SKIPPED:
            asked.extend(edge.source for edge in node.plan.edges)
    for number, (name, node) in enumerate(scope.nodes.items(), 1):
        if not number % step:
            yield
        if node.status is NodeStatus.FAILED and name not in handled:
            return node.error
    return None


def finding_returned(scope: Scope, step: int) -> Generator[None, None, frozenset[str]]:
    """The nodes whose values the body returned, by and by."""
    found: set[str] = set()
    for number, hole in enumerate(_holes(scope), 1):
        if not number % step:
            yield
        found.update(source.node for source in hole.sources if source.node is not None)
    return frozenset(found)


def is_waited_for(node: Node, returned: frozenset[str]) -> bool:
    """Whether anything still needs what this node will give, although the body is over."""
    return node.plan.id in returned or any(not dependent.over for dependent in node.dependents or ())
