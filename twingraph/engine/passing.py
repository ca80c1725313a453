"""Which sub-pipelines give on what others in them gave. Loaded where they lie deep inside each other."""

from __future__ import annotations

from collections.abc import Iterator

from twingraph.core.plan import NodeKind
from twingraph.core.statuses import NodeStatus
from twingraph.engine.kernel import Node, Scope


def given_on(node: Node) -> Iterator[Node]:
    """The sub-pipelines whose values are parts of what this one gives."""
    scope = node.children[0] if node.children else None
    if not isinstance(scope, Scope) or not scope.driven:
        return
    for argument in (scope.result, *(argument for _, argument in scope.outputs)):
        for part in argument:
            for source in () if isinstance(part, str) else part.sources:
                inner = scope.nodes[source.node] if source.node is not None else None
                if inner is not None and inner.kind is NodeKind.SCOPE and inner.status is NodeStatus.COMPLETED:
                    yield inner
