"""What a body did before, read from the state of its execution, in pages that a host replays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from twingraph.core.bodies import Ended, Items, Opened, Page, Past, PastCall, PastDecision
from twingraph.core.events import DecisionMade
from twingraph.core.statuses import NodeStatus
from twingraph.engine.held import Held
from twingraph.engine.kernel import Node, Scope


def opening(held: Held, scope: Scope) -> Opened:
    """The body of this scope, with what it is called with."""
    state = held.state
    if scope.parent is None:
        given = tuple(zip(state.inputs, held.values.lines(1), strict=False)) if state.inputs else ()
        return Opened(state.execution, "", state.body or "", given)
    node = scope.parent
    assert node.spec is not None
    return Opened(
        state.execution, scope.path, state.specs[node.spec].entry or "", tuple(held.values.scope_arguments(node))
    )


def ended(held: Held, node: Node) -> Ended:
    """How a node that is over ended, for the body that called it."""
    if node.status is not NodeStatus.COMPLETED:
        return Ended(node.plan.id, node.order, str(node.status), error=node.error, reason=node.reason)
    shape, outputs, texts = held.values.given(node)
    return Ended(node.plan.id, node.order, str(node.status), shape, outputs, texts, reason=node.reason)


def items(held: Held, node: Node) -> list[Items]:
    """What a generator has handed over that has not, or not yet, given its whole list."""
    if not node.given or node.status is NodeStatus.COMPLETED:
        return []
    return [Items(node.plan.id, first, held.values.lines(seq)[offset:]) for first, seq, offset in node.given]


class Telling:
    """The history of one scope on its way to a host: what stood there when it began, since a body that still replays
    adds nothing."""

    def __init__(self, held: Held, scope: Scope, told: int = 0) -> None:
        """`told`: so many calls, before all decisions, the host has heard of already."""
        self._held = held
        self.left = len(scope.nodes) + len(scope.decisions) - told
        self._steps = _in_order(list(islice(scope.nodes.values(), told, None)), list(scope.decisions), told)
        self.ahead = set(islice(scope.nodes, told, None))  # what the host has not been told of

    def page(self) -> Page:
        steps = list(islice(self._steps, self._held.sizes.past_page))
        self.left -= len(steps)
        nodes = [step for step in steps if isinstance(step, Node)]
        self._held.values.read_ahead(nodes)
        self.ahead.difference_update(node.plan.id for node in nodes)
        return Page(
            [self._past(step) for step in steps],
            [ended(self._held, node) for node in nodes if node.over],
            [part for node in nodes for part in items(self._held, node)],
            last=not self.left,
        )

    def _past(self, step: Node | PastDecision) -> Past:
        if not isinstance(step, Node):
            return step
        component = self._held.state.specs[step.spec].component if step.spec is not None else str(step.kind)
        return PastCall(component, step.plan)


def _in_order(
    nodes: Sequence[Node], decisions: Sequence[tuple[int, DecisionMade]], before: int
) -> Iterator[Node | PastDecision]:
    """Calls and decisions as they were made: each decision knows how many calls came before it. So many calls came
    before these."""
    told = 0
    for position, made in decisions:
        yield from nodes[told : position - before]
        told = max(told, position - before)
        yield PastDecision(made.caller, made.what, made.answer, made.place)
    yield from nodes[told:]
