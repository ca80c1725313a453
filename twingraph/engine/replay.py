"""What a new execution can take over from an earlier one: its plan, its inputs, and the outcomes of finished nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from twingraph.core import codec
from twingraph.core.errors import CodecError
from twingraph.core.events import (
    BranchTaken,
    Created,
    Event,
    GraphClosed,
    GraphExtended,
    MapExpanded,
    NodeEnded,
)
from twingraph.core.plan import NodeKind, NodeSpec, Plan, Template
from twingraph.core.records import Settings
from twingraph.core.statuses import NodeStatus
from twingraph.engine.folding import take_in
from twingraph.engine.held import AttemptOver, Kept
from twingraph.engine.kernel import Node, State
from twingraph.engine.values import Values
from twingraph.store.base import Records
from twingraph.store.blobs.base import BlobStore

Outcome = tuple[AttemptOver, Sequence[str] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    execution: str
    plan: Plan | None  # of a drawn workflow,
    body: str | None = None  # else the entry of the body that drove it
    specs: tuple[NodeSpec, ...] = ()  # what its settings refer to
    inputs: Mapping[str, str]
    settings: Settings
    kept: Mapping[str, Kept]


def earlier(records: Records, execution: str, blobs: BlobStore) -> Earlier:
    """Everything that a replay of this execution starts from. An outcome whose large values are gone is not kept,
    so that the node runs again.

    The body of a pipeline runs anew: a call of it is kept when the same component was called under the same id with the
    same arguments.
    """
    state = State(execution)
    outcomes: dict[str, list[Outcome]] = {}
    created: Created | None = None
    graph: GraphExtended | None = None
    closed = GraphClosed()
    inputs: Sequence[str] = ()
    data: dict[int, str | None] = {}
    name = records.record(execution).name
    for row in records.rows(execution):
        event, _ = take_in(state, row)
        lines = row.data.split("\n") if row.data is not None else None
        if state.body is not None:
            data[row.seq] = row.data
        if isinstance(event, Created):
            created, inputs = event, lines or ()
        elif isinstance(event, GraphExtended) and graph is None:
            graph = event
        elif isinstance(event, GraphClosed):
            closed = event
        else:
            _remember(outcomes, state, event, lines)
    if created is None:
        records.record(execution)  # pruned since: it raises, as if nobody had ever known it
    assert created is not None
    found = {
        node: Kept(rows=rows)
        for node, rows in [*outcomes.items(), *_waited(state, data)]
        if _is_whole(state, node) and _is_there(rows, blobs)
    }
    given = dict(zip(created.inputs, inputs, strict=True))
    if created.body is not None:
        values = Values(state, data.get, blobs)
        kept = {node: known for node, rows in found.items() if (known := _asked_for(state.nodes[node], rows, values))}
        specs = graph.specs if graph is not None and not graph.nodes else ()
        return Earlier(
            execution=execution,
            plan=None,
            body=created.body,
            specs=specs,
            inputs=given,
            settings=created.settings,
            kept=kept,
        )
    assert graph is not None
    root = Template(nodes=graph.nodes, result=closed.result, last_nodes=closed.last_nodes)
    plan = Plan(name=name, root=root, templates=graph.templates, specs=graph.specs)
    return Earlier(execution=execution, plan=plan, inputs=given, settings=created.settings, kept=found)


def _waited(state: State, data: Mapping[int, str | None]) -> Iterator[tuple[str, list[Outcome]]]:
    """What a body has waited for: no event names the node whose end it was."""
    for node in state.nodes.values() if state.body is not None else ():
        if node.kind in (NodeKind.SLEEP, NodeKind.SIGNAL) and node.status is NodeStatus.COMPLETED:
            text = data.get(node.seq) if node.seq is not None else None
            ended = NodeEnded(
                node.id, 1, "completed", shape=node.shape, outputs=node.outputs, cached_from=state.execution
            )
            yield node.id, [(ended, None if text is None else text.split("\n"))]


def _asked_for(node: Node, kept: Kept, values: Values) -> Kept | None:
    """The outcome with the call that it answers; None when that cannot be told any more."""
    if node.kind is NodeKind.SIDE_EFFECT:  # the body carries it out before anybody could tell it not to
        return None
    try:
        return Kept(rows=kept.rows, given=values.call_hash(node))
    except CodecError:
        return None


def _is_there(rows: Sequence[Outcome], blobs: BlobStore) -> bool:
    """Whether every blob that these values refer to still exists."""
    return all(blobs.refresh(digest) for _, lines in rows for line in lines or () for digest in codec.refs(line))


def _remember(outcomes: dict[str, list[Outcome]], state: State, event: Event, lines: Sequence[str] | None) -> None:
    """Note an outcome that counted; that of a superseded attempt is recorded in the journal, but nobody's."""
    node = state.nodes.get(event.node) if isinstance(event, AttemptOver) else None
    if node is None:
        return
    if isinstance(event, NodeEnded) and node.seq == state.seq:
        origin = event.cached_from or state.execution
        outcomes[event.node] = [(event._replace(cached_from=origin), lines)]
    elif isinstance(event, BranchTaken) and event.attempt == node.attempt:
        outcomes[event.node] = [(event, None)]
    elif isinstance(event, MapExpanded) and node.pages and node.pages[-1][1] == state.seq:
        outcomes.setdefault(event.node, []).append((event, lines))


def _is_whole(state: State, node_id: str) -> bool:
    """Whether the outcome may be kept: a finished node, or a map whose items are all known.

    An error handler is called anew for what fails anew.
    """
    node = state.nodes.get(node_id)
    if node is None or node.kind is NodeKind.HANDLER:
        return False
    return node.status is NodeStatus.COMPLETED or (node.children is not None and node.expanded)
