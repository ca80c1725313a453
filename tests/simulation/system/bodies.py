"""Bodies by chance, for the scripted host: what one does follows from its seed and from what it is told."""

from __future__ import annotations

from collections.abc import Generator
from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation.plans import LIMITS
from tests.support.bodies import Called, CallFailedError, Do, Running, ScriptedHost, Steps
from twingraph.core.bodies import Ended, Items, Link, Opened, Page
from twingraph.core.events import Event, GraphClosed
from twingraph.core.plan import NodeKind, NodeSpec, ScopeSettings
from twingraph.core.policies import Backoff, RetryPolicy
from twingraph.core.statuses import NODE_OVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.simulation.system.process import Process

KINDS = (
    *[NodeKind.TASK] * 8,
    *[NodeKind.SCOPE] * 3,
    NodeKind.SLEEP,
    NodeKind.SIGNAL,
    NodeKind.SIDE_EFFECT,
    NodeKind.DETACHED,
)
DEEPEST = 2


def body(chance: Random, do: Steps, depth: int) -> Generator[Do, Any, Any]:
    """Make calls, wait for some of them, catch some failures and let others leave."""
    made: list[Called] = []
    waits: list[Called] = []
    for number in range(chance.choice((0, 1, 2, 3, 4, 7))):
        kind = chance.choice(KINDS)
        sources = chance.sample(made, min(len(made), chance.choice((0, 0, 1, 2))))
        handle = yield _step(chance, do, kind, sources, depth)
        if kind is NodeKind.SIDE_EFFECT:
            yield do.ended(handle, number)
        else:
            waits.append(handle)
        made.append(handle)
        if chance.random() < 0.2:
            yield do.decide("now", chance.random())
        if waits and chance.random() < 0.5:
            caught = chance.random() < 0.6
            try:
                yield do.wait(*chance.sample(waits, min(len(waits), chance.choice((1, 1, 2)))))
            except CallFailedError:
                if not caught:
                    raise
        if waits and chance.random() < 0.05:
            yield do.hash(chance.choice(waits))
    return chance.choice(waits) if waits and chance.random() < 0.7 else None


def _step(chance: Random, do: Steps, kind: NodeKind, sources: Sequence[Called], depth: int) -> Do:
    if kind in (NodeKind.SCOPE, NodeKind.DETACHED) and depth < DEEPEST:
        bounds = _bounds(chance) if kind is NodeKind.SCOPE else None
        return do.start(f"body{depth + 1}", *sources, kind=kind, bounds=bounds)
    if kind is NodeKind.SLEEP:
        return do.start("sleep", kind=kind, wait=chance.uniform(0, 20))
    if kind is NodeKind.SIGNAL:
        return do.start("signal", kind=kind, signal=chance.choice(("red", "green")), wait=chance.choice((None, 20.0)))
    if kind is NodeKind.SIDE_EFFECT:
        return do.start("effect", kind=kind)
    name = f"task{chance.randrange(3)}"
    return do.start(name, *sources, spec=_spec(Random(name + str(chance.randrange(3))), name))


def _spec(chance: Random, name: str) -> NodeSpec:
    retry = RetryPolicy(
        max_attempts=chance.randint(1, 4),
        backoff=chance.choice(list(Backoff)),
        exceptions=chance.choice((None, ("ValueError",))),
    )
    return NodeSpec(
        component=name,
        entry=name,
        retry=chance.choice((None, retry)),
        priority=chance.choice((0, 0, 5)),
        limits=chance.choice(LIMITS),
        generator=chance.random() < 0.3,
        cache=chance.random() < 0.3 or None,
        code_hash="c0de",
    )


def _bounds(chance: Random) -> ScopeSettings | None:
    if chance.random() < 0.4:
        return None
    return ScopeSettings(
        max_parallel=chance.choice((None, 1, 2)),
        timeout=chance.choice((None, None, 5.0, 30.0)),
        error_handler=chance.choice((None, "fail", "continue", "retry")),
    )


class BodyHost(ScriptedHost):
    """The host of one process. What it is told must be in the journal; what it says must follow from that."""

    def __init__(self, process: Process) -> None:
        super().__init__(Saying(process))
        self._process = process
        self._world = process.world

    def open(self, opened: Opened) -> None:
        seed = f"{self._world.seed}/{opened.execution}/{opened.scope}"
        depth = int(opened.entry[-1:]) if opened.entry[-1:].isdigit() else DEEPEST
        generator = body(Random(seed), Steps(), depth)
        self.running[opened.execution, opened.scope] = Running(opened, generator)

    def page(self, execution: str, scope: str, page: Page) -> None:
        if (execution, scope) in self.running:
            for ended in page.ended:
                self._check(execution, scope, ended)
            super().page(execution, scope, page)
        self.heard.clear()

    def ended(self, execution: str, scope: str, ended: Ended) -> None:
        self._check(execution, scope, ended)
        super().ended(execution, scope, ended)
        self.heard.clear()

    def items(self, execution: str, scope: str, items: Items) -> None:
        if (execution, scope) in self.running:
            super().items(execution, scope, items)

    def answer(self, execution: str, scope: str, number: int, answer: Any) -> None:
        if (execution, scope) in self.running:
            super().answer(execution, scope, number, answer)

    def _check(self, execution: str, scope: str, ended: Ended) -> None:
        """Nobody hears of what may be lost again."""
        node = self._world.store.by_id[execution].shadow.nodes.get(f"{scope}/{ended.node}" if scope else ended.node)
        if node is None or node.status not in NODE_OVER or node.status != ended.status:
            stands = "unknown" if node is None else node.status
            self._world.broken(f"a body was told that {ended.node} is {ended.status}; in the journal it is {stands}")

    def die(self) -> None:
        """The bodies' process is gone: whoever still wants them opens them again."""
        gone, self.running = list(self.running), {}
        for execution, scope in gone:
            self._world.tell(self._process.name, f"the body of {execution} {scope!r} is gone with its process")
            self.link.reopen(execution, scope)


class Saying:
    """A `Link` that looks at what bodies say on its way to the conductor."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def _link(self) -> Link:
        return self._process.conductor.link

    def feed(self, execution: str, event: Event, lines: Sequence[str] | None, specs: Sequence[NodeSpec] = ()) -> None:
        if isinstance(event, GraphClosed) and event.error is not None and event.error.error_type == "AssertionError":
            self._process.world.broken(f"a body of {execution} met another history: {event.error.message}")
        self._link.feed(execution, event, lines, specs)

    def ask(self, execution: str, scope: str, number: int, what: str, about: str) -> None:
        self._link.ask(execution, scope, number, what, about)

    def reopen(self, execution: str, scope: str) -> None:
        self._link.reopen(execution, scope)

    def log(self, execution: str, lines: Sequence[Any]) -> None:
        self._link.log(execution, lines)
