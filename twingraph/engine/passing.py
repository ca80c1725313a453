"""What a sub-pipeline gives that is what nodes in it gave."""

from __future__ import annotations

from collections.abc import Iterator

from twingraph.core.plan import Argument, NodeKind
from twingraph.core.statuses import NodeStatus
from twingraph.engine.kernel import Node, Scope


def only_node(argument: Argument) -> str | None:
    """The node whose whole value this is, when it is nothing else."""
    if len(argument) != 1 or isinstance(argument[0], str) or len(argument[0].sources) != 1:
        return None
    source = argument[0].sources[0]
    return source.node if source.output is None and source.index is None else None


def passed_on(scope: Scope | Node) -> Node | None:
    """The node whose outputs are those of the scope."""
    assert isinstance(scope, Scope)
    if scope.shape is not None and scope.shape != "plain":
        return None
    name = only_node(scope.result)
    return scope.nodes[name] if name is not None and scope.nodes[name].status is NodeStatus.COMPLETED else None


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
