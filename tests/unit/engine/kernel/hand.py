"""An execution led by hand: events in, commands out, and the invariants after each step. In pieces of whatever size the
same comes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.support.snapshots import told as everything
from twingraph.core import events as ev
from twingraph.core.plan import Edge, NodeKind, NodeSpec, PlanNode, Template
from twingraph.core.records import ErrorRecord, Settings
from twingraph.core.statuses import NodeStatus
from twingraph.engine.kernel import State, apply, commands, invariants

OUTPUT = ("output", "0" * 32, 2)
# What has more nodes is compared by its commands alone.
SMALL = 50


def task(name: str, *sources: str | Edge, **more: Any) -> PlanNode:
    """A node with an edge from each source: 'a' order and data alike, 'b:true' only when branch b took `true`."""
    more.setdefault("spec", 0)
    return PlanNode(id=name, edges=tuple(_edge(s, n) for n, s in enumerate(sources)), **more)


def node(kind: NodeKind, name: str, *sources: str | Edge, **more: Any) -> PlanNode:
    more.setdefault("spec", None)
    return task(name, *sources, kind=kind, **more)


def branch(name: str, *sources: str | Edge) -> PlanNode:
    return task(name, *sources, kind=NodeKind.BRANCH)


def mapped(name: str, *sources: str | Edge, template: str = "item", keep: bool = False, spec: int = 1) -> PlanNode:
    return task(name, *sources, kind=NodeKind.MAP, spec=spec, template=template, keep_item_errors=keep)


def _edge(source: str | Edge, number: int) -> Edge:
    if isinstance(source, Edge):
        return source
    name, _, handle = source.partition(":")
    return Edge(source=name, param=f"p{number}", handle=handle or None)


ITEM = Template(nodes=(task(""),), last_nodes=("",))


def error(kind: str = "ValueError", **more: Any) -> ErrorRecord:
    return ErrorRecord(**{"code": "user_error", "error_type": kind, "message": "no", **more})


def in_pieces_of(at_once: int) -> State:
    state = State("exec-1")
    state.at_once = at_once
    return state


class Hand:
    """Feeds events and keeps the newest commands."""

    def __init__(
        self,
        *nodes: PlanNode,
        specs: Iterable[NodeSpec] = (),
        templates: Mapping[str, Template] | None = None,
        driven: bool = False,
        body: str | None = None,
        **settings: Any,
    ) -> None:
        self.state = State("exec-1")
        self.others = [in_pieces_of(1), in_pieces_of(2)]
        self.journal: list[tuple[ev.Event, float]] = []
        self.at = 100.0
        self.told: list[commands.Command] = []
        known = tuple(specs) or (NodeSpec(component="work"), NodeSpec(component="items"))
        self.feed(ev.Created(Settings(**settings), body=body))
        self.feed(ev.GraphExtended(nodes, known, {"item": ITEM, **(templates or {})}, driven=driven))
        if not driven:
            sources = {edge.source for plan in nodes for edge in plan.edges}
            self.feed(ev.GraphClosed(last_nodes=tuple(p.id for p in nodes if p.id not in sources)))

    # -- events in

    def feed(self, event: ev.Event, *, after: float = 0.0) -> list[commands.Command]:
        self.at += after
        self.journal.append((event, self.at))
        new = apply(self.state, event, self.at, len(self.journal))
        assert invariants.broken(self.state) == []
        self.told += new
        for other in self.others:
            assert apply(other, event, self.at, len(self.journal)) == new
            assert len(other.nodes) > SMALL or everything(other) == everything(self.state)
        return new

    def end(self, name: str, status: str = "completed", *, attempt: int | None = None, **more: Any) -> list[Any]:
        attempt = self.state.nodes[name].attempt if attempt is None else attempt
        if status == "completed":
            more.setdefault("outputs", (OUTPUT,))
        elif status not in ("lost", "cancelled"):
            more.setdefault("error", error())
        return self.feed(ev.NodeEnded(name, attempt, status, **more))

    def begun(self, name: str) -> list[Any]:
        return self.feed(ev.NodeBegun(name, self.state.nodes[name].attempt))

    def expand(self, name: str, *keys: str, start: int = 0, last: bool = True) -> list[Any]:
        return self.feed(ev.MapExpanded(name, self.state.nodes[name].attempt, start, keys, last))

    def take(self, name: str, handle: str) -> list[Any]:
        return self.feed(ev.BranchTaken(name, self.state.nodes[name].attempt, handle))

    def fire(self, timer: str, *, after: float = 0.0) -> list[Any]:
        return self.feed(ev.TimerFired(timer), after=after)

    def call(self, plan: PlanNode, scope: str = "") -> list[Any]:
        """What a body does."""
        return self.feed(ev.GraphExtended((plan,), scope=scope, driven=True))

    def adopt(self) -> list[Any]:
        return self.feed(ev.Adopted("another", 2))

    # -- what can be seen

    @property
    def states(self) -> list[State]:
        """The one that is looked at, and those that come to the same in pieces."""
        return [self.state, *self.others]

    def status(self, name: str) -> str:
        return str(self.state.nodes[name].status)

    def statuses(self) -> dict[str, str]:
        return {name: str(known.status) for name, known in self.state.nodes.items()}

    def reason(self, name: str) -> str | None:
        return self.state.nodes[name].reason

    @property
    def running(self) -> list[str]:
        return [name for name, known in self.state.nodes.items() if known.lane is not None]

    @property
    def finish(self) -> commands.Finish | None:
        """How the execution was told to end."""
        ends = [command for command in self.told if isinstance(command, commands.Finish)]
        assert len({end.status for end in ends}) <= 1
        return ends[-1] if ends else None

    @property
    def outcome(self) -> str | None:
        return str(self.finish.status) if self.finish is not None else None

    def dispatched(self, name: str) -> list[int]:
        """The attempts of a node that were handed over."""
        return [attempt for lane in self.lanes for run, attempt in lane if run == name]

    @property
    def lanes(self) -> list[tuple[tuple[str, int], ...]]:
        return [command.runs for command in self.told if isinstance(command, commands.Dispatch)]

    def count(self, status: NodeStatus) -> int:
        return self.state.counts[status]


def of(kind: type[commands.Command], told: Iterable[commands.Command]) -> list[Any]:
    return [command for command in told if isinstance(command, kind)]
