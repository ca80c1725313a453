"""Serving the bodies of pipelines: what a conductor says to their host, and what the host says in the kernel's words.

A host counts the specs that it names over all it has said about an execution; the state counts those that it knows,
from all hosts that ever carried the execution out. Equal specs are one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from twingraph.core.bodies import Host, Items
from twingraph.core.errors import StoreError, TwinGraphError
from twingraph.core.events import DecisionMade, Event, GraphClosed, GraphExtended, NodeEnded
from twingraph.core.plan import NodeKind, NodeSpec, PlanNode
from twingraph.core.plan_json import spec_to_json
from twingraph.engine.held import Held
from twingraph.engine.kernel import Scope, commands
from twingraph.engine.outcomes import impossible
from twingraph.engine.past import Telling, ended, opening

if TYPE_CHECKING:  # of replays only
    from twingraph.engine.foretelling import Foretold

Apply = Callable[[Held, Event, Sequence[str] | None], None]


def _text(spec: NodeSpec) -> str:
    return json.dumps(spec_to_json(spec), sort_keys=True)


class Driving:
    """One execution and the host in which its bodies run. Belongs to the conductor's loop."""

    def __init__(self, held: Held, host: Host, apply: Apply) -> None:
        self.held = held
        self._host = host
        self._apply = apply
        self._open: dict[str, Telling | None] = {}  # scopes whose bodies run; the history that is still being told
        self._specs: list[NodeSpec] = []  # as the host counts
        self._numbers: list[int | None] = []  # each as the state counts; None: no node has needed it yet
        self._known = {_text(spec): number for number, spec in enumerate(held.state.specs)}

    # -- to the host -----------------------------------------------------------------------------

    def open(self, path: str, foretold: Foretold | None = None) -> None:
        """Run the body of this scope from the top, or let it go on from what it has heard ahead."""
        scope = self.held.state.scopes.get(path)
        if scope is None or scope.closed:
            return
        told = foretold.told if foretold is not None else 0
        try:
            opened = opening(self.held, scope)
        except StoreError:
            raise
        except TwinGraphError as error:
            if scope.parent is None:
                raise
            # What the body is called with cannot be put together: who called it learns that, as of a component.
            self._apply(self.held, impossible(scope.parent.id, scope.parent.attempt, error), None)
            return
        if not told:
            self._host.open(opened)
        telling = Telling(self.held, scope, told)
        self._open[path] = telling
        if not telling.left:
            self._tell(path, telling)

    @property
    def telling(self) -> bool:
        """Whether a host waits for history. None is told while an event waits for its commit: what a body hears of
        must never be lost again."""
        held = self.held
        return held.waiting is None and not held.unwritten and any(self._open.values())

    def tell(self) -> None:
        """One more page, to the scope whose turn it is."""
        if not self.telling:  # its turn came later than was thought
            return
        path, telling = next((path, telling) for path, telling in self._open.items() if telling)
        self._open[path] = self._open.pop(path)
        self._tell(path, telling)

    def _tell(self, path: str, telling: Telling) -> None:
        page = telling.page()
        if page.last:
            self._open[path] = None
        self._host.page(self.held.state.execution, path, page)

    def woke(self, path: str, node_id: str) -> None:
        """A node that the body of this scope called is over."""
        node = self.held.state.nodes[node_id]
        if self._hears(path, node.plan.id):
            self._host.ended(self.held.state.execution, path, ended(self.held, node))

    def passed(self, command: commands.PassItems) -> None:
        """A generator has handed items over."""
        node = self.held.state.nodes[command.node]
        path = node.scope.path
        if self._hears(path, node.plan.id):
            texts = self.held.values.lines(command.seq)[command.offset :]
            self._host.items(self.held.state.execution, path, Items(node.plan.id, command.first, texts))

    def _hears(self, path: str, relative: str) -> bool:
        """Whether the body knows this call already: else the page that brings it tells how it stands then."""
        if path not in self._open:
            return False
        telling = self._open[path]
        return telling is None or relative not in telling.ahead

    def answer(self, path: str, number: int, answer: object) -> None:
        self._host.answer(self.held.state.execution, path, number, answer)

    def give_up(self, path: str) -> None:
        """This scope was given up; its body must not go on."""
        if path in self._open:
            del self._open[path]
            self._host.stop(self.held.state.execution, "the pipeline was given up", path)

    def stop(self, why: str) -> None:
        self._open.clear()
        self._host.stop(self.held.state.execution, why)

    # -- from the host ---------------------------------------------------------------------------

    def scope(self, path: str) -> Scope | None:
        """The scope, while its body may still do something in it."""
        state = self.held.state
        scope = state.scopes.get(path) if path in self._open else None
        if scope is None or scope.closed or scope.cancelled or state.ending is not None or state.finishing is not None:
            return None
        return scope

    def extend(self, path: str, said: Iterable[tuple[GraphExtended, Sequence[NodeSpec]]]) -> None:
        """Take the calls in that one body has made, all in one event."""
        fresh: list[NodeSpec] = []
        nodes: list[PlanNode] = []
        alive = self.scope(path) is not None
        for event, specs in said:
            self._specs += specs
            self._numbers += [None] * len(specs)
            if alive:
                nodes += [self._renumbered(node, fresh) for node in event.nodes]
        if nodes or fresh:
            self._apply(self.held, GraphExtended(tuple(nodes), tuple(fresh), scope=path, driven=True), None)
            self._keep(path, nodes)

    def _renumbered(self, node: PlanNode, fresh: list[NodeSpec]) -> PlanNode:
        spec = node.spec if node.spec is None else self._number(node.spec, fresh)
        bounds = node.bounds
        if bounds is not None and bounds.handler_component is not None:
            bounds = replace(bounds, handler_component=self._number(bounds.handler_component, fresh))
        return node if spec == node.spec and bounds is node.bounds else node._replace(spec=spec, bounds=bounds)

    def _number(self, theirs: int, fresh: list[NodeSpec]) -> int:
        ours = self._numbers[theirs]
        if ours is None:
            spec = self._specs[theirs]
            text = _text(spec)
            ours = self._known.get(text)
            if ours is None:
                ours = self._known[text] = len(self.held.state.specs) + len(fresh)
                fresh.append(spec)
            self._numbers[theirs] = ours
        return ours

    def _keep(self, path: str, nodes: Sequence[PlanNode]) -> None:
        """What an earlier execution has waited for is not waited for again."""
        if self.held.waiting is not None:  # these calls are taken in by and by
            self.held.waiting.append(lambda: self._keep(path, nodes))
            return
        scope = self.held.state.scopes[path]
        for plan in nodes if self.held.kept else ():
            node = scope.nodes[plan.id]
            kept = self.held.kept_for(node) if node.kind in _WAITS and not node.over else None
            for event, lines in kept.rows if kept is not None else ():
                self._apply(self.held, event._replace(attempt=max(1, node.attempt)), lines)

    def take(self, event: Event, lines: Sequence[str] | None) -> None:
        """Something else that a body did; what comes too late is nobody's any more."""
        if isinstance(event, NodeEnded):
            node = self.held.state.nodes.get(event.node)
            if node is None or node.over or not _may_end(node.kind, event.status):
                return
        elif not isinstance(event, (GraphClosed, DecisionMade)) or self.scope(event.scope) is None:
            return
        self._apply(self.held, event, lines)
        if isinstance(event, GraphClosed):
            self._open.pop(event.scope, None)


_WAITS = frozenset({NodeKind.SLEEP, NodeKind.SIGNAL})


def _may_end(kind: NodeKind, status: str) -> bool:
    """A body carries its side effects out, and may wait for something no longer."""
    gives_up = status == "cancelled" and (kind in _WAITS or kind is NodeKind.DETACHED)
    return gives_up or kind is NodeKind.SIDE_EFFECT
