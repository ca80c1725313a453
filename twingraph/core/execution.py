"""What can be said about an execution: its record, and the view of it that people and programs read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from twingraph.core.recordclass import recordclass
from twingraph.core.records import Changes, ErrorRecord
from twingraph.core.statuses import ExecutionStatus, NodeStatus


@recordclass
class Progress:
    total_nodes: int = 0
    completed_nodes: int = 0
    running_nodes: int = 0
    failed_nodes: int = 0
    skipped_nodes: int = 0


@recordclass
class ExecutionRecord:
    """One row of the list of executions."""

    id: str
    workflow_id: str  # a stable name: 'path.py:name' for what a script runs
    name: str
    status: ExecutionStatus
    reason: str | None  # of a pause: 'interrupted', 'requested'
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    progress: Progress
    error: ErrorRecord | None
    owner: str  # 'alive' | 'gone' | 'none': whether a conductor's process holds it now
    target: str | None  # what `twingraph run` would be given to run it again: '/abs/path.py:name'
    origin: str  # 'script' | 'run' | 'dev' | 'server'
    code_version: str | None
    replay_of: str | None = None
    seq: int = 0


@recordclass
class OutputView:
    name: str
    text: str | None  # the value's JSON text; None when it was not asked for
    hash: str
    size: int


@recordclass
class AttemptView:
    number: int
    status: str  # running | completed | failed | crashed | lost | timeout | cancelled
    started_at: datetime | None
    ended_at: datetime | None
    cpu: float | None  # seconds
    memory: int | None  # bytes
    worker: str | None
    error: ErrorRecord | None = None
    memory_limit: int | None = None  # bytes that it might use, where there is a limit


_VERDICTS = {
    "waits": "waits: equal work is under way",
    "asked": "asked, and not answered yet",
    "not asked": "not asked, as it was never its turn",
    "kept": "not asked: a replay has kept the outcome, or was given it",
}


@recordclass
class CacheStory:
    """Why a node that may use a kept outcome did, or did not."""

    verdict: str  # hit | miss | waits | asked | not asked | kept (by a replay) | unknown (beforehand)
    why: str | None = None
    execution: str | None = None  # that the outcome is of, or the nearest one that is kept,
    node: str | None = None  # and the node there
    differences: tuple[str, ...] = ()  # from that

    @property
    def words(self) -> str:
        if self.verdict == "hit":
            return f"hit of {self.execution} {self.node}"
        if self.execution is not None:
            told = "; ".join(self.differences) or "in what can no more be read"
            return f"{self.verdict}: differs from {self.execution} {self.node}: {told}"
        if self.why is not None:
            return f"{self.verdict}: {self.why}"
        return _VERDICTS.get(self.verdict, self.verdict)


def _no_story(_deep: bool) -> CacheStory | None:
    return None


def _unknown() -> tuple[str | None, str | None]:
    return None, None


@recordclass
class NodeView:
    id: str
    component: str
    kind: str
    status: NodeStatus
    reason: str | None  # of a skip: 'branch' | 'upstream'; of a wait; 'given': a replay was told its outcome
    platform: str
    parents: tuple[str, ...]  # node ids that it depends on: data first, then order, then control flow
    container: str | None  # the map or sub-workflow node that holds it
    attempts: tuple[AttemptView, ...]
    outputs: tuple[OutputView, ...]
    error: ErrorRecord | None = None
    cached: bool = False
    reused_from: str | None = None  # the execution whose outcome was kept,
    reused_node: str | None = None  # and the node there, where the cache found it
    started_at: datetime | None = None
    completed_at: datetime | None = None
    place: str | None = None  # where a pipeline's body called it, as 'file:line'
    signal: str | None = None  # the name of the signal that it waits for
    until: datetime | None = None  # when a sleep ends, or the time limit of a signal
    # Those of the parents whose values a pipeline's body only looked at before it made this call: drawn dashed.
    forced: tuple[str, ...] = ()
    # Its cache key and its hash, as far as they are known. Computed when asked for.
    identity: Callable[[], tuple[str | None, str | None]] = field(default=_unknown, compare=False, repr=False)

    # Why it has or has not the outcome of other work, where it may; looked into more closely when that is asked for.
    cache: Callable[[bool], CacheStory | None] = field(default=_no_story, compare=False, repr=False)

    @property
    def cache_key(self) -> str | None:
        """Equal for equal work: the same code with equal arguments in the same surroundings."""
        return self.identity()[0]

    @property
    def hash(self) -> str | None:
        """Equal for equal work with the same history."""
        return self.identity()[1]


def _nothing(_node: str) -> Mapping[str, str]:
    return {}


@recordclass
class ExecutionView:
    """Everything about one execution, folded from its journal."""

    record: ExecutionRecord
    nodes: tuple[NodeView, ...]  # in the order in which they became known
    inputs: Mapping[str, str]  # name -> JSON text
    result: str | None  # JSON text of the result
    outputs: Mapping[str, str] = field(default_factory=dict)  # the execution's outputs by name, JSON texts
    notes: tuple[str, ...] = ()
    changes: Changes | None = None  # of a replay: what it does otherwise; None: it keeps all that had finished
    # What a node was called with: JSON texts by parameter. Composed when asked for.
    given: Callable[[str], Mapping[str, str]] = field(default=_nothing, compare=False, repr=False)


@recordclass
class TreeRow:
    """One line of the live tree: a node, and for a container how its children stand."""

    id: str
    component: str
    kind: str
    depth: int
    status: NodeStatus
    counts: Mapping[NodeStatus, int]  # children of a container, by status; empty for a plain node
    attempt: int
    started_at: datetime | None
    completed_at: datetime | None
    reason: str | None = None
    error: ErrorRecord | None = None
    reused: bool = False  # its outcome was kept from an earlier execution or a cache
    signal: str | None = None  # the name of the signal that it waits for
    until: datetime | None = None  # when a sleep ends, or the time limit of a signal


@recordclass
class TreeSnapshot:
    """What a live display draws. Rows of a container's children are given only up to a bound, failures first."""

    record: ExecutionRecord
    rows: tuple[TreeRow, ...]


@recordclass
class LogRecord:
    seq: int
    timestamp: datetime
    level: str
    node_id: str | None
    component: str | None
    attempt: int | None
    stream: str  # stdout | stderr | logging
    message: str


def record_to_wire(error: ErrorRecord | None) -> dict[str, Any] | None:
    """The documented shape of an error."""
    if error is None:
        return None
    return {
        "code": error.code,
        "error_type": error.error_type,
        "message": error.message,
        "node_id": error.node_id,
        "traceback": error.traceback,
        "exit_code": error.exit_code,
    }
