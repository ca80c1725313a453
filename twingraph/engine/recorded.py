"""An execution as its journal has it, for whoever does it, or a part of it, again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twingraph.core import codec
from twingraph.core.events import (
    BranchTaken,
    Created,
    Event,
    GraphClosed,
    GraphExtended,
    MapExpanded,
    NodeEnded,
    OutcomesKept,
)
from twingraph.core.execution import ExecutionRecord
from twingraph.core.plan import NodeKind, NodeSpec, Plan, Template
from twingraph.core.statuses import ExecutionStatus, NodeStatus
from twingraph.engine.folding import no_search_for_garbage, recall, take_in, taking_in
from twingraph.engine.garbage import LARGE, grow_old
from twingraph.engine.held import AttemptOver
from twingraph.engine.kernel import Node, State
from twingraph.engine.kernel.state import taken_apart
from twingraph.engine.shared import Shared, by_execution, shared
from twingraph.engine.values import Values
from twingraph.store.base import Records, Row
from twingraph.store.blobs.base import BlobStore

# Events that are read together.
PAGE = 1_000

# An attempt's end, and what it gave: where that stands.
Outcome = tuple[AttemptOver, Shared | None]

_CACHED_FROM = NodeEnded._fields.index("cached_from")


class Recorded:
    """Folded once; what it gave is read when it is asked for."""

    def __init__(self, records: Records, execution: str, blobs: BlobStore, *, by_and_by: bool = False) -> None:
        """`by_and_by`: nothing is known before `reading` was gone through."""
        self.record: ExecutionRecord = records.record(execution)
        self._records = records
        self._read_shared = records.values_of
        self._blobs = blobs
        self._elsewhere: dict[Shared, str] = {}  # values of other executions, as far as they were looked at
        self._begin()
        if not by_and_by:
            with no_search_for_garbage():
                self._read()
                if len(self.state.nodes) > LARGE:
                    grow_old()

    def _begin(self) -> None:
        """Nothing is known yet."""
        self.state = State(self.record.id)
        self.created: Created
        self.outcomes: dict[str, list[Outcome]] = {}  # of nodes that finished
        self.failures: dict[str, NodeEnded] = {}  # of components that failed for good
        self._graph: GraphExtended | None = None
        self._closed = GraphClosed()
        self._data: dict[int, str | None] = {}
        self.values = Values(self.state, self._data.get, self._blobs, read_shared=self._read_shared)

    def _read(self) -> None:
        """Fold it at once."""
        rows = self._records.rows(self.record.id)
        if self.record.status is not ExecutionStatus.COMPLETED or not self._recalled(rows):
            self._begin()
            for row in rows:
                self._take(row, take_in(self.state, row)[0])
        self._end(whole=bool(rows))

    def _recalled(self, rows: Sequence[Row]) -> bool:
        """False when this way does not lead to the end."""
        for row in rows:
            event = recall(self.state, row)
            if event is None:
                return False
            self._take(row, event)
        return True

    def reading(self) -> Iterator[None]:
        """Fold it by and by."""
        after, most = 0, PAGE
        while most == PAGE:
            rows = self._records.rows(self.record.id, after, limit=PAGE)
            for row in rows:
                self._take(row, (yield from taking_in(self.state, row)))
                yield
            most = len(rows)
            after = rows[-1].seq if rows else after
        self._end(whole=bool(rows) and after <= PAGE)

    def _end(self, *, whole: bool) -> None:
        """`whole`: it was read in one look, which found something."""
        if not whole:
            self._records.record(self.record.id)  # pruned since: it raises, as if nobody had ever known it
        for node in self._waited():
            ended = NodeEnded(
                node.id, 1, "completed", shape=node.shape, outputs=node.outputs, cached_from=self.record.id
            )
            self.outcomes[node.id] = [(ended, self._place(node.seq) if node.seq is not None else None)]

    def let_go(self) -> None:
        """Nobody needs the state any more. Its nodes know one another in circles, which else only a search for garbage
        finds, all at once, while nothing else of the process goes on."""
        for _ in self.going():
            pass

    def going(self) -> Iterator[None]:
        """The same by and by."""
        return taken_apart(self.state)

    def _take(self, row: Row, event: Event) -> None:
        self._data[row.seq] = row.data
        if isinstance(event, NodeEnded):  # most are that
            self._remember(event)
        elif isinstance(event, GraphExtended):
            self._graph = self._graph or event
        elif isinstance(event, Created):
            self.created = event
        elif isinstance(event, GraphClosed):
            self._closed = event
        elif isinstance(event, OutcomesKept):
            self._remember_kept(event)
        else:
            self._remember(event)

    def _remember(self, event: Event) -> None:
        """Note an outcome that counted; that of a superseded attempt is recorded in the journal, but nobody's."""
        state = self.state
        node = state.nodes.get(event.node) if isinstance(event, AttemptOver) else None
        if node is None:
            return
        if isinstance(event, NodeEnded) and node.seq == state.seq:
            if not event.cached_from:
                event = NodeEnded._make((*event[:_CACHED_FROM], state.execution, *event[_CACHED_FROM + 1 :]))
            self.outcomes[event.node] = [(event, self._place(state.seq))]
        elif isinstance(event, NodeEnded) and node.status is NodeStatus.FAILED and event.attempt == node.attempt:
            if node.kind is NodeKind.TASK:
                self.failures[event.node] = event._replace(cached_from=event.cached_from or state.execution)
        elif isinstance(event, BranchTaken) and event.attempt == node.attempt:
            self.outcomes[event.node] = [(event._replace(started=None, ended=None), None)]
        elif isinstance(event, MapExpanded) and node.pages and node.pages[-1][1] == state.seq:
            self.outcomes.setdefault(event.node, []).append((event, self._place(state.seq)))

    def _remember_kept(self, event: OutcomesKept) -> None:
        """What it kept itself stays where it is: replays of replays form no chains."""
        for name, seq, shape, outputs in event.nodes:
            node = self.state.nodes.get(name)
            if node is not None and node.seq == self.state.seq:
                ended = NodeEnded(name, 1, "completed", shape=shape, outputs=outputs, cached_from=event.execution)
                self.outcomes[name] = [(ended, Shared(event.execution, seq))]

    def _place(self, seq: int) -> Shared | None:
        """Where the values of this event really stand."""
        data = self._data.get(seq)
        if data is None:
            return None
        return shared((data,)) or Shared(self.state.execution, seq)

    def _waited(self) -> Iterator[Node]:
        """What a body has waited for: no event names the node whose end it was."""
        for node in self.state.nodes.values() if self.state.body is not None else ():
            if node.kind in (NodeKind.SLEEP, NodeKind.SIGNAL) and node.status is NodeStatus.COMPLETED:
                yield node

    # -- what it was started with ------------------------------------------------------------------

    @property
    def inputs(self) -> dict[str, str]:
        lines = (self._data.get(1) or "").split("\n")
        return dict(zip(self.created.inputs, lines, strict=False))

    @property
    def alone(self) -> str | None:
        """The node that it is, alone, out of the execution that it replays."""
        return self.created.changes.alone if self.created.changes is not None else None

    @property
    def plan(self) -> Plan | None:
        """Of a drawn workflow."""
        if self.created.body is not None:
            return None
        assert self._graph is not None
        root = Template(nodes=self._graph.nodes, result=self._closed.result, last_nodes=self._closed.last_nodes)
        return Plan(name=self.record.name, root=root, templates=self._graph.templates, specs=self._graph.specs)

    @property
    def specs(self) -> tuple[NodeSpec, ...]:
        """What the settings of a pipeline refer to."""
        graph = self._graph
        return graph.specs if graph is not None and not graph.nodes and self.created.body is not None else ()

    # -- what it gave ------------------------------------------------------------------------------

    def is_whole(self, node_id: str) -> bool:
        """Whether the outcome may be kept: of a finished node, or of a map whose items are all known.

        An error handler is called anew for what fails anew.
        """
        node = self.state.nodes.get(node_id)
        if node is None or node.kind is NodeKind.HANDLER:
            return False
        return node.status is NodeStatus.COMPLETED or (node.children is not None and node.expanded)

    @property
    def borne(self) -> list[str]:
        """The failures that did not make the execution fail: somebody caught them, or took them as values."""
        nodes = self.state.nodes
        survived = self.state.status is ExecutionStatus.COMPLETED
        return [name for name in self.failures if survived or _is_kept_item(nodes[name])]

    def complete(self, nodes: Sequence[str]) -> list[str]:
        """Those of which every value, and every blob that these refer to, still exists."""
        self._look_elsewhere(nodes)
        return [node for node in nodes if self._is_there(node)]

    def _look_elsewhere(self, nodes: Sequence[str]) -> None:
        places = {place for node in nodes for _, place in self.outcomes[node] if place is not None}
        foreign = [place for place in places if place.execution != self.state.execution]
        for execution, events in by_execution(dict(enumerate(foreign))).items():
            for seq, data in self._read_shared(execution, list(events.values())).items():
                self._elsewhere[Shared(execution, seq)] = data

    def text_at(self, place: Shared) -> str | None:
        """The values that stand there, as far as they were looked at."""
        own = place.execution == self.state.execution
        return self._data.get(place.seq) if own else self._elsewhere.get(place)

    def _is_there(self, node: str) -> bool:
        for _, place in self.outcomes[node]:
            if place is None:
                continue
            data = self.text_at(place)
            if data is None or not all(self._exist(line) for line in data.split("\n")):
                return False
        return True

    def _exist(self, text: str) -> bool:
        return all(self._blobs.refresh(digest) for digest in codec.refs(text))


def _is_kept_item(node: Node) -> bool:
    """Whether it is, or lies in, an item of a map that goes on when one fails."""
    step: Node | None = node
    while step is not None:
        container = step.item_of or step.scope.parent
        if container is not None and container.plan.keep_item_errors:
            return True
        step = container
    return False
