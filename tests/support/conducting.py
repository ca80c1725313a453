"""Plans in few words, and a conductor over a temporary home whose dispatch works in memory."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.bodies import Body, ScriptedHost
from twingraph.core.errors import StoreError
from twingraph.core.execution import ExecutionRecord, ExecutionView
from twingraph.core.plan import Argument, Edge, Hole, NodeKind, NodeSpec, Plan, PlanNode, Source, Template
from twingraph.core.policies import Backoff, RetryPolicy
from twingraph.core.records import Settings
from twingraph.core.statuses import NodeStatus
from twingraph.dispatch.base import CodeRef, Dispatch, Lane, NodeRun
from twingraph.engine import views
from twingraph.engine.conductor import Conductor
from twingraph.engine.handle import Handle
from twingraph.engine.held import KeptOf, Submission
from twingraph.engine.kernel import Node, State
from twingraph.engine.values import Values
from twingraph.store.base import Journal
from twingraph.store.blobs.base import BlobStore
from twingraph.store.blobs.local import LocalBlobs
from twingraph.store.blobs.memory import MemoryBlobs
from twingraph.store.home import Home
from twingraph.store.locks import FileLock
from twingraph.store.sqlite.journal import SqliteJournal
from twingraph.store.sqlite.records import SqliteRecords
from twingraph.store.sqlite.schema import prepare
from twingraph.testing.dispatch import MemoryDispatch

TASK = NodeSpec(component="task", entry="task")
EXPAND = NodeSpec(component="map", entry="builtin:expand")
BRANCH = NodeSpec(component="branch", entry="builtin:branch")
QUICK_RETRY = RetryPolicy(max_attempts=3, backoff=Backoff.FIXED, initial_delay=0.001, jitter=0.0)
SOON = 30.0  # seconds within which anything in memory is over, however slow the machine

Act = Callable[[Lane, NodeRun], object]


def hole(node: str | None = None, **source: Any) -> Argument:
    return (Hole(sources=(Source(node=node, **source),)),)


def task(name: str, *after: str, spec: int = 0, **more: Any) -> PlanNode:
    """A node that takes the whole value of each source as the parameter of its name."""
    edges = tuple(Edge(source=source, param=source) for source in after)
    return PlanNode(id=name, spec=spec, edges=edges, args={source: hole(source) for source in after}, **more)


def each(name: str, over: str, *, template: str = "each", **more: Any) -> PlanNode:
    """A map over the value of `over`."""
    edges = (Edge(source=over, param="items"),)
    args = {"items": hole(over)}
    return PlanNode(id=name, kind=NodeKind.MAP, spec=1, edges=edges, args=args, template=template, **more)


EACH = Template(nodes=(PlanNode(id="", spec=0, args={"item": hole(item=True)}),), last_nodes=("",))


def plan(*nodes: PlanNode, last: tuple[str, ...] | None = None, result: Argument = (), **more: Any) -> Plan:
    more.setdefault("specs", (TASK, EXPAND, BRANCH))
    more.setdefault("templates", {"each": EACH})
    root = Template(nodes=nodes, result=result, last_nodes=last if last is not None else (nodes[-1].id,))
    return Plan(name="flow", root=root, **more)


def chain(length: int) -> Plan:
    first = PlanNode(id="n0", spec=0)
    rest = (
        PlanNode(id=f"n{i}", spec=0, edges=(Edge(source=f"n{i - 1}", param="x"),), args={"x": hole(f"n{i - 1}")})
        for i in range(1, length)
    )
    return plan(first, *rest)


def args(run: NodeRun) -> dict[str, Any]:
    return {name: json.loads(text) for name, text in run.args}


def echo(lane: Lane, run: NodeRun) -> object:
    """The arguments themselves; a list for what opens a map."""
    return next(iter(args(run).values()), run.node)


def fresh_home(path: Path) -> Home:
    home = Home(path).open()
    prepare(home)
    return home


def newest_view(path: Path) -> ExecutionView | None:
    """The execution that was begun last in a home, as it is now."""
    home = fresh_home(path)
    records = SqliteRecords(home)
    try:
        newest = records.newest()
        return views.view(records, LocalBlobs(home.path), newest) if newest is not None else None
    finally:
        records.close()
        home.close()


def no_code(version: str) -> CodeRef:
    raise StoreError(f"no code is recorded in these tests ({version})")


def named_hash(state: State, values: Values, node: Node) -> Generator[None, None, str]:
    yield
    return f"hash of {node.id}"


class Rig:
    """A home and one conductor at a time; `restart` is what a fresh process would find."""

    def __init__(
        self,
        path: Path,
        act: Act = echo,
        *,
        hold: bool = False,
        blobs: BlobStore | None = None,
        bodies: Mapping[str, Body] | None = None,
        **more: Any,
    ) -> None:
        self.home = fresh_home(path)
        self.blobs = blobs if blobs is not None else MemoryBlobs()
        self.records = SqliteRecords(self.home)
        self.make_journal: Callable[[], Journal] = lambda: SqliteJournal(self.home)
        self.gone: list[Conductor] = []
        self.kept_of: KeptOf | None = None
        self.bodies = dict(bodies or {})
        self.host: ScriptedHost
        self.more: dict[str, Any] = {
            "code_of": no_code,
            "hosts": lambda execution, code: self.host,
            "hash_of": named_hash,
            **more,
        }
        self.start(act, hold=hold)

    def start(self, act: Act = echo, *, hold: bool = False) -> None:
        name = secrets.token_hex(4)
        self.alive = FileLock(self.home.run / f"{name}.lock")
        self.alive.take()
        self.dispatch = MemoryDispatch(act, hold=hold)
        self._conduct(name, self.dispatch)

    def _conduct(self, name: str, dispatch: Dispatch) -> None:
        self.conductor = Conductor(
            name,
            make_journal=self.make_journal,
            dispatch=dispatch,
            blobs=self.blobs,
            kept_of=self.kept_of,
            **self.more,
        )
        self.host = ScriptedHost(self.conductor.link, **self.bodies)
        self.conductor.start()

    def crash(self) -> None:
        """The process is gone as far as others can see: the lock that proved its life is free."""
        self.gone.append(self.conductor)
        self.alive.release()

    def restart(self, act: Act = echo, *, hold: bool = False) -> None:
        self.crash()
        self.start(act, hold=hold)

    def restart_with(self, dispatch: Dispatch) -> None:
        self.crash()
        name = secrets.token_hex(4)
        self.alive = FileLock(self.home.run / f"{name}.lock")
        self.alive.take()
        self._conduct(name, dispatch)

    def submit(
        self, of: Plan, inputs: Mapping[str, Any] | None = None, *, execution: str | None = None, **more: Any
    ) -> Handle:
        settings = more.pop("settings", Settings(max_parallel=1000))
        return self.conductor.submit(
            Submission(
                id=execution or f"exec-{secrets.token_hex(4)}",
                plan=of,
                inputs={name: json.dumps(value) for name, value in (inputs or {}).items()},
                settings=settings,
                workflow_id="flow",
                origin="script",
                **more,
            )
        )

    def drive(self, body: str, inputs: Mapping[str, Any] | None = None, **more: Any) -> Handle:
        """Start an execution whose root this body drives."""
        handle = self.conductor.submit(
            Submission(
                id=more.pop("execution", None) or f"exec-{secrets.token_hex(4)}",
                name=body,
                body=body,
                inputs={name: json.dumps(value) for name, value in (inputs or {}).items()},
                settings=more.pop("settings", Settings(max_parallel=1000)),
                workflow_id="flow",
                origin="script",
                **more,
            )
        )
        assert handle.wait_recorded(SOON)
        return handle

    def run(self, of: Plan, inputs: Mapping[str, Any] | None = None, **more: Any) -> Handle:
        return over(self.submit(of, inputs, **more))

    def view(self, execution: str) -> ExecutionView:
        return views.view(self.records, self.blobs, execution)

    def record(self, execution: str) -> ExecutionRecord:
        return self.records.record(execution)

    def statuses(self, execution: str) -> dict[str, NodeStatus]:
        return {node.id: node.status for node in self.view(execution).nodes}

    def __enter__(self) -> Rig:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for conductor in [self.conductor, *self.gone]:
            conductor.stop()
        self.alive.release()
        self.records.close()
        self.home.close()


def over(handle: Handle) -> Handle:
    assert handle.wait(SOON), f"{handle.id} is not over"
    return handle


def value(handle: Handle) -> Any:
    """The result of a completed execution."""
    assert handle.fault is None, handle.fault
    assert handle.status == "completed", handle.error
    assert handle.result is not None
    return json.loads(handle.result)


def inbox(rig: Rig) -> int:
    """How many messages wait in the home."""
    connection = sqlite3.connect(rig.home.database)
    try:
        return int(connection.execute("select count(*) from inbox").fetchone()[0])
    finally:
        connection.close()


def until(rig: Rig, execution: str, status: str) -> None:
    """Wait until the list of executions shows this status."""
    wait_until(lambda: rig.record(execution).status == status, f"{execution} is not {status}")


def until_node(rig: Rig, execution: str, node: str, status: NodeStatus) -> None:
    wait_until(lambda: rig.statuses(execution).get(node) is status, f"{node} is not {status}")


def wait_until(holds: Callable[[], bool], otherwise: str, seconds: float = SOON) -> None:
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if holds():
            return
        now = time.monotonic()
        assert now < deadline, otherwise
        time.sleep(0.002 + 2 * (now - began))  # what looks for long would keep the conductor from getting there
