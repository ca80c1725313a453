"""An engine made of memory: views that were written by hand, behind the promises of `cli.backend`."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from twingraph.cli.backend import Reader, RunHandle, Runtime
from twingraph.cli.console import Console, Surface
from twingraph.core.errors import ConflictError, ErrorCode, NotFoundError
from twingraph.core.execution import (
    AttemptView,
    CacheStory,
    ExecutionRecord,
    ExecutionView,
    LogRecord,
    NodeView,
    OutputView,
    Progress,
    TreeRow,
    TreeSnapshot,
)
from twingraph.core.nearest import nearest
from twingraph.core.records import ErrorRecord
from twingraph.core.static_plan import StaticPlan
from twingraph.core.statuses import ExecutionStatus, NodeStatus
from twingraph.core.wishes import Wish
from twingraph.dispatch.broker import BrokerHealth
from twingraph.settings import Settings
from twingraph.store import prune as pruning
from twingraph.store.postgres.health import Health

T0 = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def error_record(node: str | None = "carry", message: str = "32 is too heavy") -> ErrorRecord:
    trace = (
        "Traceback (most recent call last):\n"
        f'  File "{__file__.replace("tests/unit/cli/double.py", "twingraph/executors/runner.py")}", line 3, in call\n'
        "    function()\n"
        '  File "tour.py", line 21, in carry\n    raise ValueError(f"{n} is too heavy")\n'
        f"ValueError: {message}\n"
    )
    return ErrorRecord(
        code=ErrorCode.USER_ERROR, error_type="ValueError", message=message, node_id=node, traceback=trace, attempt=1
    )


def make_node(
    name: str,
    status: NodeStatus = NodeStatus.COMPLETED,
    *,
    parents: Sequence[str] = (),
    container: str | None = None,
    kind: str = "task",
    start: float = 0.0,
    end: float | None = 0.1,
    output: Any = None,
    error: ErrorRecord | None = None,
    attempts: Sequence[AttemptView] | None = None,
    component: str | None = None,
) -> NodeView:
    ran = status not in (NodeStatus.PENDING, NodeStatus.SKIPPED, NodeStatus.QUEUED)
    over = end is not None and status is not NodeStatus.RUNNING
    if attempts is None:
        attempts = (
            [
                AttemptView(
                    number=1,
                    status=str(status),
                    started_at=at(start),
                    ended_at=at(end or 0) if over else None,
                    cpu=0.05,
                    memory=41_000_000,
                    worker="w1",
                    error=error,
                )
            ]
            if ran and kind == "task"
            else []
        )
    text = json.dumps(output)
    return NodeView(
        id=name,
        component=component or name.partition("[")[0],
        kind=kind,
        status=status,
        reason="upstream" if status is NodeStatus.SKIPPED else None,
        platform="local",
        parents=tuple(parents),
        container=container,
        attempts=tuple(attempts),
        outputs=(OutputView(name="output", text=text, hash="h", size=len(text)),) if output is not None else (),
        error=error,
        started_at=at(start) if ran else None,
        completed_at=at(end or 0) if ran and over else None,
    )


def make_view(
    nodes: Sequence[NodeView],
    status: ExecutionStatus = ExecutionStatus.COMPLETED,
    *,
    id: str = "exec-0jz3m9q2t7k4w1vh",  # noqa: A002 - the field's own name
    name: str = "tour",
    result: Any = None,
    inputs: dict[str, Any] | None = None,
    error: ErrorRecord | None = None,
    reason: str | None = None,
    owner: str = "none",
    created: float = 0.0,
    end: float = 1.5,
) -> ExecutionView:
    counts = Counter(node.status for node in nodes)
    record = ExecutionRecord(
        id=id,
        workflow_id=f"{name}.py:wf",
        name=name,
        status=status,
        reason=reason,
        created_at=at(created),
        started_at=at(created),
        completed_at=at(created + end) if status in ("completed", "failed", "cancelled") else None,
        progress=Progress(
            total_nodes=len(nodes),
            completed_nodes=counts[NodeStatus.COMPLETED],
            running_nodes=counts[NodeStatus.RUNNING],
            failed_nodes=counts[NodeStatus.FAILED],
            skipped_nodes=counts[NodeStatus.SKIPPED],
        ),
        error=error,
        owner=owner,
        target=f"{name}.py:wf",
        origin="run",
        code_version=None,
    )
    text = json.dumps(result) if result is not None else None
    by_id = {node.id: node for node in nodes}
    return ExecutionView(
        record=record,
        nodes=tuple(nodes),
        inputs={key: json.dumps(value) for key, value in (inputs or {}).items()},
        result=text,
        outputs={"output": text} if text is not None else {},
        given=lambda node: {o.name: o.text or "" for parent in by_id[node].parents[:1] for o in by_id[parent].outputs},
    )


def make_log(
    seq: int, message: str, node: str | None = "load", level: str = "info", stream: str = "stdout"
) -> LogRecord:
    return LogRecord(
        seq=seq, timestamp=at(seq), level=level, node_id=node, component=node, attempt=1, stream=stream, message=message
    )


def failed_tour() -> ExecutionView:
    """Ten in a row, the seventh failed."""
    error = error_record("node7")
    nodes = [
        make_node(
            f"node{n}",
            parents=[f"node{n - 1}"] if n > 1 else (),
            start=n * 0.1,
            end=n * 0.1 + 0.08,
            output=2 ** (n - 1),
        )
        for n in range(1, 7)
    ]
    nodes.append(
        make_node("node7", NodeStatus.FAILED, parents=["node6"], start=0.7, end=0.8, error=error, component="carry")
    )
    nodes += [make_node(f"node{n}", NodeStatus.SKIPPED, parents=[f"node{n - 1}"]) for n in range(8, 11)]
    return make_view(nodes, ExecutionStatus.FAILED, error=error)


def tree_of(view: ExecutionView, children: int = 20) -> TreeSnapshot:
    rows: list[TreeRow] = []
    inside: dict[str | None, list[NodeView]] = {}
    for node in view.nodes:
        inside.setdefault(node.container, []).append(node)

    def add(node: NodeView, depth: int) -> None:
        held = inside.get(node.id, [])
        rows.append(
            TreeRow(
                id=node.id,
                component=node.component,
                kind=node.kind,
                depth=depth,
                status=node.status,
                counts=Counter(child.status for child in held),
                attempt=max(len(node.attempts), 1),
                started_at=node.started_at,
                completed_at=node.completed_at,
                reason=node.reason,
                error=node.error,
                reused=node.reused_from is not None,
                signal=node.signal,
                until=node.until,
            )
        )
        for child in sorted(held, key=lambda child: child.status != "failed")[:children]:
            add(child, depth + 1)

    for node in inside.get(None, []):
        add(node, 0)
    return TreeSnapshot(record=view.record, rows=tuple(rows))


_LEVELS = ["debug", "info", "warning", "error", "critical"]


@dataclass
class MemoryReader:
    views: list[ExecutionView] = field(default_factory=list)  # newest first
    said: list[LogRecord] = field(default_factory=list)
    signals: list[tuple[str, str, str]] = field(default_factory=list)
    planned: StaticPlan | None = None

    def plan(self, execution_id: str) -> StaticPlan | None:
        return self.planned

    def close(self) -> None:
        pass

    def resolve(self, id_or_last: str) -> str:
        ids = [view.record.id for view in self.views]
        if id_or_last == "last" and ids:
            return ids[0]
        if id_or_last in ids:
            return id_or_last
        raise NotFoundError(f"no execution {id_or_last!r}", near=nearest(id_or_last, ids))

    def executions(
        self, *, limit: int = 20, offset: int = 0, status: str | None = None, workflow_id: str | None = None
    ) -> tuple[list[ExecutionRecord], int]:
        records = [view.record for view in self.views if status in (None, view.record.status)]
        found = [record for record in records if workflow_id in (None, record.workflow_id)]
        return found[offset : offset + limit], len(found)

    def view(self, execution_id: str) -> ExecutionView:
        return next(view for view in self.views if view.record.id == execution_id)

    def record(self, execution_id: str) -> ExecutionRecord:
        return self.view(execution_id).record

    def tree(self, execution_id: str, *, children: int = 20) -> TreeSnapshot:
        return tree_of(self.view(execution_id), children)

    def logs(
        self,
        execution_id: str,
        *,
        after: int = 0,
        node: str | None = None,
        level: str | None = None,
        limit: int = 1000,
    ) -> list[LogRecord]:
        least = _LEVELS.index(level) if level else 0
        found = [
            record
            for record in self.said
            if record.seq > after and node in (None, record.node_id) and _LEVELS.index(record.level) >= least
        ]
        return sorted(found[:limit], key=lambda record: record.timestamp)

    def value(self, text: str) -> object:
        return json.loads(text)

    def send_signal(self, execution_id: str, name: str, text: str) -> None:
        status = self.view(execution_id).record.status
        if status in ("completed", "failed", "cancelled"):
            raise ConflictError(f"{execution_id} has already ended ({status}): nothing waits for the signal {name!r}")
        self.signals.append((execution_id, name, text))

    def post(self, execution_id: str, kind: str) -> None:
        """As the process that carries it out would answer."""
        assert kind == "pause"
        view = self.view(execution_id)
        self.put(replace(view, record=replace(view.record, status=ExecutionStatus.PAUSED, reason="requested")))

    def put(self, view: ExecutionView) -> None:
        self.views = [view, *(other for other in self.views if other.record.id != view.record.id)]


@dataclass
class MemoryHandle:
    """Each wait goes one step on; over when there is none left, or when it was interrupted as often as it heeds."""

    id: str
    reader: MemoryReader
    steps: list[Callable[[], None]]
    interrupts: list[bool] = field(default_factory=list)
    heeds: int = 1

    def wait(self, timeout: float | None) -> bool:
        view = self.reader.view(self.id)
        if len(self.interrupts) >= self.heeds:
            record = replace(view.record, status=ExecutionStatus.PAUSED, reason="interrupted")
            self.reader.put(replace(view, record=record))
            return True
        if not self.steps:
            return True
        self.steps.pop(0)()
        return False

    def interrupt(self, *, kill: bool) -> None:
        self.interrupts.append(kill)

    def cancel(self) -> None:
        view = self.reader.view(self.id)
        self.reader.put(
            replace(view, record=replace(view.record, status=ExecutionStatus.CANCELLED, completed_at=at(2)))
        )


@dataclass
class MemoryRuntime:
    reader: MemoryReader
    next_view: ExecutionView | None = None
    steps: list[Callable[[], None]] = field(default_factory=list)
    submitted: list[tuple[Any, dict[str, Any], bool]] = field(default_factory=list)
    resumed: list[tuple[str, str]] = field(default_factory=list)
    replayed: list[tuple[str, Wish, Any]] = field(default_factory=list)
    refuses: Exception | None = None
    foreseen: dict[str, CacheStory] = field(default_factory=dict)
    foretold: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # the arguments of calls that were asked about
    heeds: int = 1
    handle: MemoryHandle | None = None
    closed: bool = False

    def submit(self, compiled: Any, inputs: dict[str, Any], *, target: str | None, refresh: bool) -> RunHandle:
        if self.refuses is not None:
            raise self.refuses
        self.submitted.append((compiled, inputs, refresh))
        assert self.next_view is not None
        return self._start(self.next_view)

    def foresee(self, compiled: Any, inputs: dict[str, Any], *, target: str | None) -> Mapping[str, CacheStory]:
        return self.foreseen

    def foresee_calls(
        self, compiled: Any, calls: Mapping[str, tuple[Any, Mapping[str, Any]]], *, target: str | None
    ) -> Mapping[str, CacheStory]:
        self.foretold = {node: given for node, (_, given) in calls.items()}
        return self.foreseen

    def resume(self, execution_id: str, *, code: str, compiled: Any = None) -> RunHandle:
        self.resumed.append((execution_id, code))
        return self._start(self.next_view or self.reader.view(execution_id))

    def replay(self, execution_id: str, wish: Wish, *, compiled: Any = None) -> RunHandle:
        if self.refuses is not None:
            raise self.refuses
        self.replayed.append((execution_id, wish, compiled))
        return self._start(self.next_view or self.reader.view(execution_id))

    def _start(self, view: ExecutionView) -> MemoryHandle:
        self.reader.put(view)
        self.handle = MemoryHandle(id=view.record.id, reader=self.reader, steps=self.steps, heeds=self.heeds)
        return self.handle

    def cancel(self, execution_id: str) -> None:
        MemoryHandle(id=execution_id, reader=self.reader, steps=[]).cancel()

    def close(self) -> None:
        self.closed = True


@dataclass
class MemoryBackend:
    reader: MemoryReader = field(default_factory=MemoryReader)
    engine: MemoryRuntime = field(init=False)
    debugs: bool = False
    asked: list[object] = field(default_factory=list)  # of prune
    pruned: pruning.Pruned = field(default_factory=pruning.Pruned)
    neighbours: str | None = None  # of the blobs
    database: Health | Exception | None = None
    broker: BrokerHealth | Exception | None = None
    worker_states: dict[str, Any] = field(
        default_factory=lambda: {"workers": [], "queues": {"default": 0}, "unserved": []}
    )

    def __post_init__(self) -> None:
        self.engine = MemoryRuntime(reader=self.reader)

    def open_reader(self, settings: Settings) -> Reader:
        return self.reader

    def runtime(self, settings: Settings) -> Runtime:
        return self.engine

    def debugging(self, settings: Settings) -> Runtime:
        self.debugs = settings.inline
        return self.engine

    def prune(
        self, settings: Settings, retention: pruning.Retention, *, dry_run: bool, progress: pruning.Progress
    ) -> pruning.Pruned:
        self.asked.append((retention, dry_run))
        return self.pruned

    def check_blobs(self, settings: Settings) -> str:
        return "in memory"

    def blob_neighbours(self, settings: Settings) -> str | None:
        return self.neighbours

    def check_database(self, settings: Settings) -> Health | None:
        if isinstance(self.database, Exception):
            raise self.database
        return self.database

    def check_broker(self, settings: Settings) -> BrokerHealth | None:
        if isinstance(self.broker, Exception):
            raise self.broker
        return self.broker

    def work(self, settings: Settings, queues: Sequence[str], note: Callable[[str], object]) -> int:
        self.worked = settings
        self.asked.append(f"work {settings.broker_url} {settings.workers} {','.join(queues)}")
        return 0

    def workers(self, settings: Settings) -> dict[str, Any]:
        return self.worker_states

    def shrink(self, settings: Settings) -> None:
        self.asked.append("shrink")


class Terminal(io.StringIO):
    """A stream that says what it is."""

    def __init__(self, *, terminal: bool = False, encoding: str = "utf-8") -> None:
        super().__init__()
        self._terminal = terminal
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        text.encode(self._encoding)  # as the real one would refuse it
        return super().write(text)


def make_surface(*, terminal: bool = False, encoding: str = "utf-8", colour: bool = False) -> Surface:
    stream = Terminal(terminal=terminal, encoding=encoding)
    return Surface(stream=stream, terminal=terminal, colour=colour, unicode=encoding == "utf-8")


def make_console(*, terminal: bool = False, encoding: str = "utf-8") -> Console:
    return Console(
        out=make_surface(terminal=terminal, encoding=encoding), err=make_surface(terminal=terminal, encoding=encoding)
    )


def written(surface: Surface) -> str:
    assert isinstance(surface.stream, io.StringIO)
    return surface.stream.getvalue()
