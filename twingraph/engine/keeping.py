"""Which nodes have their outcome from an earlier execution, many at a time.

Of what may run now, and of all that may run because of it, whatever is known goes into one event. So a replay of
thousands of nodes that runs the last of them costs a few events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby

from twingraph.core.events import NodeEnded, OutcomesKept
from twingraph.core.plan import NodeKind
from twingraph.core.statuses import NodeStatus
from twingraph.engine.held import Held
from twingraph.engine.kernel import Node, commands
from twingraph.engine.shared import Shared


def kept_now(held: Held, commanded: Iterable[commands.Command]) -> list[OutcomesKept]:
    """The next of them; none when nothing that is to run has an outcome that stands elsewhere."""
    page = _Page(held)
    for node in _to_run(held, commanded):
        page.take(node)
    if page.found:
        for node in _waiting(held):
            if page.full:
                break
            page.take(node)
    return page.events()


def _to_run(held: Held, commanded: Iterable[commands.Command]) -> Iterator[Node]:
    nodes = held.state.nodes
    for command in commanded:
        if type(command) is commands.Dispatch:
            for name, attempt in command.runs:
                node = nodes[name]
                if not node.over and node.attempt == attempt:
                    yield node


def _waiting(held: Held) -> Iterator[Node]:
    """What waits for a lane, which nothing that is known needs."""
    for queues in held.state.ready.values():
        for queue in queues.values():
            for node in queue:
                if node.status is NodeStatus.PENDING and node.asked is None:
                    yield node


class _Page:
    def __init__(self, held: Held) -> None:
        self._held = held
        self.found: dict[str, tuple[Shared, NodeEnded]] = {}  # in the order in which they end
        self._pending: dict[str, int] = {}  # of nodes that wait for some of these: for how many others

    @property
    def full(self) -> bool:
        return len(self.found) >= self._held.sizes.kept_page

    def take(self, first: Node) -> None:
        """This node may run: it, and what may run because of it."""
        queue = deque([first])
        while queue and not self.full:
            node = queue.popleft()
            if node.id in self.found or node.kind is not NodeKind.TASK:
                continue
            kept = self._held.kept_for(node)
            if kept is not None and kept.elsewhere is not None:
                self.found[node.id] = kept.elsewhere
                queue.extend(self._freed(node))

    def _freed(self, node: Node) -> Iterator[Node]:
        """What waited for it, and for nothing else that is not among these."""
        if node.scope.driven:  # what a call asks for is known once its sources are over
            return
        for dependent in node.dependents or ():
            left = self._pending[dependent.id] = self._pending.get(dependent.id, dependent.pending) - 1
            if not left and dependent.status is NodeStatus.PENDING and self._carry(dependent):
                yield dependent

    def _carry(self, node: Node) -> bool:
        """Whether all of its edges do, so that it is not skipped."""
        nodes = node.scope.nodes
        for edge in node.plan.edges:
            source = nodes[edge.source]
            if source.id in self.found:
                if edge.handle is not None:
                    return False
            elif source.status is not NodeStatus.COMPLETED or edge.handle not in (None, source.branch):
                return False
        return True

    def events(self) -> list[OutcomesKept]:
        """One for each execution that gave some of them."""
        of = groupby(self.found.values(), key=lambda one: one[0].execution)
        return [
            OutcomesKept(origin, tuple((e.node, place.seq, e.shape, e.outputs) for place, e in some))
            for origin, some in of
        ]
