"""What people and programs read of an execution: folded from its journal by any process, without a conductor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from twingraph.core.errors import NotFoundError
from twingraph.core.events import Adopted, BranchTaken, Created, Event, ExecutionEnded, NodeBegun, NodeEnded
from twingraph.core.execution import (
    AttemptView,
    ExecutionRecord,
    ExecutionView,
    NodeView,
    OutputView,
    TreeRow,
    TreeSnapshot,
)
from twingraph.core.plan import NodeKind
from twingraph.core.records import Changes
from twingraph.core.statuses import EXECUTION_OVER, NODE_OVER, NodeStatus
from twingraph.engine.explaining import Answers, Explaining, Past
from twingraph.engine.folding import take_in
from twingraph.engine.identity import cache_key_of, hash_of
from twingraph.engine.kernel import Node, Scope, State
from twingraph.engine.kernel.runs import declared_memory
from twingraph.engine.values import Values
from twingraph.store.base import Records, Row
from twingraph.store.blobs.base import BlobStore

_BEGUN = frozenset({NodeStatus.QUEUED, NodeStatus.RUNNING})
# In what order the children of a container are shown when not all fit.
_URGENCY = {
    NodeStatus.FAILED: 0,
    NodeStatus.RETRYING: 1,
    NodeStatus.RUNNING: 2,
    NodeStatus.QUEUED: 3,
    NodeStatus.CANCELLED: 4,
}


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


class TracedState(State):
    """A state that remembers when each node moved, and how the children of each container stand."""

    def __init__(self, execution: str) -> None:
        super().__init__(execution)
        self.begun: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.tallies: dict[str, dict[NodeStatus, int]] = {}
        self.limits: dict[
            tuple[str, int], int
        ] = {}  # bytes of memory that an attempt might use, where there is a limit
        self.changes: Changes | None = None
        self._given: frozenset[str] = frozenset()

    def take(self, event: Event) -> None:
        """What the kernel itself has no use for."""
        if isinstance(event, Created) and event.changes is not None:
            self.changes = event.changes
            self._given = frozenset(one.node for one in event.changes.given)

    def was_given(self, node: Node) -> bool:
        """Whether a replay was told what the node gives."""
        return node.id in self._given and node.status is NodeStatus.COMPLETED

    def add(self, node: Node) -> None:
        super().add(node)
        self._tally(node, None, node.status)

    def move(self, node: Node, status: NodeStatus) -> None:
        before = node.status
        super().move(node, status)
        self._tally(node, before, status)
        if status in _BEGUN:
            self.begun.setdefault(node.id, self.now)
            limit = node.memory or declared_memory(self, node)
            if limit is not None:
                self.limits[node.id, node.attempt] = limit
        elif status in NODE_OVER:
            self.ended[node.id] = self.now
            if node.kind is NodeKind.SIGNAL and status is NodeStatus.COMPLETED:
                self.begun.setdefault(node.id, self.now)  # a signal that came before it was waited for

    def _tally(self, node: Node, before: NodeStatus | None, after: NodeStatus) -> None:
        container = node.item_of or node.scope.parent
        if container is None:
            return
        tally = self.tallies.setdefault(container.id, dict.fromkeys(NodeStatus, 0))
        if before is not None:
            tally[before] -= 1
        tally[after] += 1


class Attempts:
    """The attempts of every node, gathered from the events as they are folded."""

    def __init__(self) -> None:
        self._by_node: dict[str, dict[int, AttemptView]] = {}
        self._open: dict[tuple[str, int], float] = {}  # those that have begun: when

    def take(self, event: Event, at: float) -> None:
        if isinstance(event, NodeEnded):
            opened = self._open.pop((event.node, event.attempt), None)
            if event.begun and event.cached_from is None:
                self._put(event.node, event.attempt, event.status, event)
            elif opened is not None:  # it is not charged, but had begun
                self._put(event.node, event.attempt, event.status, event._replace(started=opened))
        elif isinstance(event, BranchTaken):
            self._open.pop((event.node, event.attempt), None)
            if event.started is not None:  # else it was not decided anew
                self._put(event.node, event.attempt, "completed", event)
        elif isinstance(event, NodeBegun):
            self._open[event.node, event.attempt] = at
            self._note(event.node, event.attempt, "running", at, None, event.worker)
        elif isinstance(event, Adopted):
            for (node, attempt), begun in self._open.items():  # they went with the conductor before
                self._note(node, attempt, "lost", begun, at, self._by_node[node][attempt].worker)
            self._open.clear()

    def _note(
        self, node: str, attempt: int, status: str, begun: float, ended: float | None, worker: str | None
    ) -> None:
        self._by_node.setdefault(node, {})[attempt] = AttemptView(
            number=attempt,
            status=status,
            started_at=_moment(begun),
            ended_at=_moment(ended),
            cpu=None,
            memory=None,
            worker=worker,
        )

    def _put(self, node: str, attempt: int, status: str, event: NodeEnded | BranchTaken) -> None:
        ended = event if isinstance(event, NodeEnded) else None
        self._by_node.setdefault(node, {})[attempt] = AttemptView(
            number=attempt,
            status=status,
            started_at=_moment(event.started),
            ended_at=_moment(event.ended),
            cpu=ended.cpu if ended else None,
            memory=ended.memory if ended else None,
            worker=ended.worker if ended else None,
            error=ended.error if ended else None,
        )

    def of(self, node: str) -> tuple[AttemptView, ...]:
        return tuple(attempt for _, attempt in sorted(self._by_node.get(node, {}).items()))


def view(records: Records, blobs: BlobStore, execution_id: str) -> ExecutionView:
    """Everything about one execution."""
    record = records.record(execution_id)
    state, attempts, answers = TracedState(execution_id), Attempts(), Answers()
    data: dict[int, str | None] = {}
    last: tuple[ExecutionEnded, str | None] | None = None
    for row in records.rows(execution_id):
        event = _fold(state, row)
        attempts.take(event, row.at)
        answers.take(event, row.at)
        data[row.seq] = row.data
        if isinstance(event, ExecutionEnded):
            last = event, row.data
    if not data:
        records.record(execution_id)  # pruned since: it raises, as if nobody had ever known it
    values = Values(state, data.get, blobs, read_shared=records.values_of)
    inputs = dict(zip(state.inputs, (data.get(1) or "").split("\n"), strict=False)) if state.inputs else {}
    result, outputs = _result(last)
    explaining = Explaining(records, blobs, Past(state, values, record.code_version), answers)
    return ExecutionView(
        record=record,
        nodes=tuple(_node_view(state, node, attempts, values, explaining) for node in state.nodes.values()),
        inputs=inputs,
        result=result,
        outputs=outputs,
        changes=state.changes,
        notes=_unused(state, attempts) if record.status in EXECUTION_OVER else (),
        given=lambda node: values.shown(state.nodes[node]) if node in state.nodes else {},
    )


def _unused(state: TracedState, attempts: Attempts) -> tuple[str, ...]:
    """The outcomes that a replay was told, and had no use for."""
    found = []
    for one in state.changes.given if state.changes is not None else ():
        node = state.nodes.get(one.node)
        if node is None:
            found.append(f"the outcome that was given for {one.node} was not used: nothing called it")
        elif node.status is not NodeStatus.COMPLETED:
            found.append(f"the outcome that was given for {one.node} was not used: it is {node.status}")
        elif attempts.of(node.id):
            found.append(
                f"the outcome that was given for {one.node} was not used: it stands for other work now, and ran"
            )
    return tuple(found)


def _fold(state: TracedState, row: Row) -> Event:
    event = take_in(state, row)[0]
    state.take(event)
    return event


def _result(last: tuple[ExecutionEnded, str | None] | None) -> tuple[str | None, dict[str, str]]:
    if last is None or last[1] is None:
        return None, {}
    result, *texts = last[1].split("\n")
    return result, dict(zip(last[0].outputs, texts, strict=True))


def _component(state: State, node: Node) -> str:
    if node.spec is not None and node.kind is not NodeKind.MAP:
        return state.specs[node.spec].component
    if node.plan.template is not None:
        inner = state.templates[node.plan.template].nodes
        if len(inner) == 1 and inner[0].spec is not None:
            return state.specs[inner[0].spec].component
    return str(node.kind)


def _parents(node: Node) -> tuple[str, ...]:
    """The ids of the nodes it depends on: those with data first, those outside its own scope too."""
    edges = sorted(node.plan.edges, key=lambda edge: edge.param is None)
    found = dict.fromkeys(node.scope.nodes[edge.source].id for edge in edges)
    return tuple(found)


def _forced(node: Node, parents: tuple[str, ...]) -> tuple[str, ...]:
    """What the body looked at before this call, and did not pass to it."""
    known = node.scope.nodes
    looked_at = dict.fromkeys(known[name].id for name in node.plan.forced if name in known)
    return tuple(name for name in looked_at if name not in parents)


def _outputs(node: Node, values: Values) -> tuple[OutputView, ...]:
    called = node.kind is NodeKind.SCOPE and node.plan.template is None and node.status is NodeStatus.COMPLETED
    if not called and (node.seq is None or not node.outputs):
        return ()
    _, metas, texts = values.given(node)
    return tuple(
        OutputView(name=name, text=text, hash=digest, size=size)
        for (name, digest, size), text in zip(metas, texts, strict=True)
    )


def _node_view(state: TracedState, node: Node, attempts: Attempts, values: Values, explaining: Explaining) -> NodeView:
    container = node.item_of or node.scope.parent
    tried = attempts.of(node.id)
    if state.limits:
        tried = tuple(replace(one, memory_limit=state.limits.get((node.id, one.number))) for one in tried)
    parents = _parents(node)
    forced = _forced(node, parents)
    started = next((a.started_at for a in tried if a.started_at), None) or _moment(state.begun.get(node.id))
    ended = tried[-1].ended_at if tried and node.status in NODE_OVER else None
    return NodeView(
        id=node.id,
        component=_component(state, node),
        kind=str(node.kind),
        status=node.status,
        reason=_reason(state, node),
        platform=state.specs[node.spec].platform if node.spec is not None else "local",
        parents=(*parents, *forced),
        forced=forced,
        place=node.plan.place,
        signal=node.plan.signal,
        until=_until(state, node),
        container=container.id if container is not None else None,
        attempts=tried,
        outputs=_outputs(node, values),
        error=node.error if node.status is not NodeStatus.COMPLETED else None,
        cached=bool(node.cached_from),
        reused_from=node.cached_from or None,
        reused_node=node.cached_node,
        cache=lambda deep: explaining.story(node, deep=deep),
        started_at=started,
        completed_at=ended or _moment(state.ended.get(node.id)),
        identity=lambda: (cache_key_of(state, values, node), hash_of(state, values, node)),
    )


def _until(state: TracedState, node: Node) -> datetime | None:
    """When a sleep ends, or a signal is no longer waited for; None also when no calendar goes so far."""
    begun = state.begun.get(node.id)
    if node.kind not in (NodeKind.SLEEP, NodeKind.SIGNAL) or begun is None or node.plan.wait is None:
        return None
    try:
        return _moment(begun + node.plan.wait)
    except (OverflowError, ValueError):
        return None


class Watch:
    """Follows one execution: each `tree` folds only what is new. Belongs to one thread."""

    def __init__(self, records: Records, execution_id: str) -> None:
        self._records = records
        self._id = execution_id
        self._state = TracedState(execution_id)

    def tree(self, children: int = 20) -> TreeSnapshot:
        record = self._records.record(self._id)
        for row in self._records.rows(self._id, self._state.seq, values=False):
            _fold(self._state, row)
        return TreeSnapshot(record=record, rows=tuple(self._rows(self._state.root, 0, children)))

    def _rows(self, scope: Scope, depth: int, children: int) -> Iterator[TreeRow]:
        levels = [_inside(scope, depth, children)]  # not by recursion: pipelines may lie deep inside each other
        while levels:
            found = next(levels[-1], None)
            if found is None:
                levels.pop()
                continue
            if isinstance(found[0], Node):
                yield self._row(found[0], found[1])
            levels.append(_inside(*found))

    def _row(self, node: Node, depth: int) -> TreeRow:
        state = self._state
        return TreeRow(
            id=node.id,
            component=_component(state, node),
            kind=str(node.kind),
            depth=depth,
            status=node.status,
            counts={status: count for status, count in state.tallies.get(node.id, {}).items() if count},
            attempt=node.attempt,
            started_at=_moment(state.begun.get(node.id)),
            completed_at=_moment(state.ended.get(node.id)),
            reason=_reason(state, node),
            error=node.error if node.status is not NodeStatus.COMPLETED else None,
            reused=bool(node.cached_from),
            signal=node.plan.signal,
            until=_until(state, node),
        )


def _inside(what: Node | Scope, depth: int, children: int) -> Iterator[tuple[Node | Scope, int, int]]:
    """What of it is shown, each with its depth, and how many children of a map in it are."""
    if isinstance(what, Scope):
        return ((node, depth, children) for node in what.nodes.values())
    if not what.children or children <= 0:
        return iter(())
    if isinstance(what.children[0], Scope) and what.kind is NodeKind.SCOPE:
        return iter([(what.children[0], depth + 1, children)])
    return ((child, depth + 1, children // 4) for child in _most_urgent(what.children, children))


def _reason(state: TracedState, node: Node) -> str | None:
    """Why it is as it is: what it says itself, or for which named limits it stands in line."""
    if node.asked != "limit" or node.spec is None:
        return "given" if state.was_given(node) else node.reason
    return f"waits for the limit {', '.join(sorted(state.specs[node.spec].limits))}"


def _most_urgent(children: list[Node | Scope], most: int) -> list[Node | Scope]:
    """At most so many children: failed ones first, then what is under way, then in order."""
    if len(children) <= most:
        return children

    def urgency(child: Node | Scope) -> int:
        status = child.status if isinstance(child, Node) else child.outcome
        return 9 if status is None else _URGENCY.get(status, 5)

    return sorted(children, key=urgency)[:most]


def record_of(records: Records, wanted: str) -> ExecutionRecord:
    """The execution of this id, or the newest for 'last'."""
    if wanted != "last":
        return records.record(wanted)
    newest = records.newest()
    if newest is None:
        raise NotFoundError("there is no execution yet; `twingraph new hello` writes a first workflow to run")
    return records.record(newest)
