"""One execution under a conductor's control, and what it has gained since the last commit."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twingraph.core.errors import CodecError, ExecutionFailed
from twingraph.core.events import KINDS, BranchTaken, Event, MapExpanded, NodeEnded, body_of, error_to_json
from twingraph.core.plan import NodeKind, NodeSpec, Plan
from twingraph.core.recordclass import recordclass
from twingraph.core.records import Changes, ErrorRecord, Settings
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus, NodeStatus
from twingraph.dispatch.base import CodeRef, RunSettings
from twingraph.engine.ahead import ValuesAhead
from twingraph.engine.handle import Handle
from twingraph.engine.kernel import Node, State
from twingraph.engine.kernel.commands import AskLimit, Command
from twingraph.engine.sizes import USUAL, Sizes
from twingraph.store.base import Append, Claim, LogRow, Row, Settled

if TYPE_CHECKING:  # of replays, and of containers that are gone on with, only
    from twingraph.engine.elsewhere import Elsewhere, Repeated
    from twingraph.engine.retold import KnownLines

# The record in the list of executions shows progress at least this many seconds old.
PROGRESS_SECONDS = 0.1


# What a completed attempt leaves in the journal.
AttemptOver = NodeEnded | BranchTaken | MapExpanded


@recordclass
class Kept:
    """The outcome of a node in an earlier execution, to be taken over instead of running the node again."""

    rows: Sequence[tuple[AttemptOver, Sequence[str] | None]]
    given: str | None = None  # of a call in a body: hash of the component and its arguments, which must be the same
    elsewhere: Elsewhere | None = None  # the one of these rows, when its values stay where they are

    @property
    def failed(self) -> bool:
        return any(isinstance(event, NodeEnded) and event.status != "completed" for event, _ in self.rows)

    def fits(self, kind: NodeKind) -> bool:
        """Whether a node of this kind can have this outcome: under its id there may stand another kind by now."""
        ends_so = _OUTCOMES.get(kind, NodeEnded)
        return all(type(event) is ends_so for event, _ in self.rows)


# What is taken over from an execution, as far as these changes let it, by and by; the texts are of what they give, and
# the function hears of how many nodes are there because of it.
Keeping = Generator[None, None, Mapping[str, Kept]]
KeptOf = Callable[[str, Changes | None, Sequence[str], Callable[[int], None]], Keeping]

_OUTCOMES: Mapping[NodeKind, type[AttemptOver]] = {NodeKind.MAP: MapExpanded, NodeKind.BRANCH: BranchTaken}


@recordclass
class Submission:
    """What a conductor is asked to carry out."""

    id: str
    inputs: Mapping[str, str]  # JSON texts
    settings: Settings
    workflow_id: str
    origin: str = "script"
    name: str = ""  # the plan's, unless given
    plan: Plan | None = None  # of a drawn workflow
    body: str | None = None  # else the entry of the body that drives it,
    specs: tuple[NodeSpec, ...] = ()  # and what its settings refer to
    target: str | None = None
    code_version: str | None = None
    code: CodeRef | None = None
    code_body: str | None = None  # what the version stands for, to be recorded
    replay_of: str | None = None
    kept: Mapping[str, Kept] | None = None
    changes: Changes | None = None  # of a replay,
    given: Sequence[str] = ()  # and the texts of what they give
    repeated: Repeated | None = None  # the calls with which its body begins again
    refresh: bool = False  # cached work that was begun before counts for nothing


class LimitWishes:
    """What goes with one commit: by node, what asks for named limits, and what holds some no more."""

    __slots__ = ("asked", "freed")

    def __init__(self) -> None:
        self.asked: dict[str, AskLimit] = {}
        self.freed: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self.asked or self.freed)

    def add(self, later: LimitWishes) -> None:
        """Hand over at once what may be much: only after a large commit there is something to add to."""
        if self:
            self.asked.update(later.asked)
            self.freed.update(later.freed)
        else:
            self.asked, self.freed = later.asked, later.freed


class Held:
    """An execution that this conductor decides about."""

    def __init__(self, claim: Claim, state: State, code: CodeRef | None, handle: Handle, sizes: Sizes = USUAL) -> None:
        self.sizes = sizes
        self.number = claim.number
        self.workflow = claim.workflow_id
        self.epoch = claim.epoch
        self.seq = claim.seq
        self.state = state
        state.at_once = sizes.at_once
        self.values: ValuesAhead
        self.code = code
        self.handles = [handle]
        self.kept: Mapping[str, Kept] = {}
        self.rows: list[Row] = []
        self.logs: list[LogRow] = []
        self.commands: list[Command] = []
        self.limits = LimitWishes()  # what goes with the commit itself,
        self.limits_due = LimitWishes()  # and the same of what was taken to be written
        self.pieces: deque[Append] = deque()  # of what was taken to be written, those that are not written yet,
        self.due: list[Command] = []  # and what it commands
        self.todo: deque[Command] = deque()  # commands of what is durable
        self.carrying = False  # they are being carried out
        self.waiting: deque[Callable[[], None]] | None = None  # while a long piece of work is done: what comes after
        self.taken: list[tuple[int, int]] = []  # messages of the inbox, each with the row that answers it
        self.answering: set[int] = set()  # all that were ever heard: they stay in the inbox until their commit
        self.settled: list[Settled] = []  # cached work that is nobody's any more, with these rows
        self.changes: dict[str, Any] = {}
        self.codes: dict[str, CodeRef] = {}  # of the specs that have a version of their own
        self.run_settings: dict[int, RunSettings] = {}
        self.snapshot_at = 0  # the event after which the newest snapshot was taken,
        self.snapshot: str | None = None  # which waits to be written
        self.progress_at = 0.0
        # Its time never runs back: by so much it is ahead of our clock, which is behind that of an owner before us.
        self.ahead = 0.0
        self.shown = state.status
        self.retold: dict[tuple[str, int], KnownLines] = {}  # by node and attempt that goes on with earlier ones
        self.interrupted = False
        self.stale = False  # the list of executions shows less progress than there is
        self.last: Row | None = None  # the newest row of those that it was restored from
        self.ended: tuple[str | None, Mapping[str, str]] | None = None

    def add(self, event: Event, at: float, data: str | None, body: str | None = None) -> int:
        """Note an event for the next commit; its number. `body` is its text, where that is known."""
        self.seq += 1
        self.rows.append(Row(self.seq, KINDS[type(event)], at, body_of(event) if body is None else body, data))
        return self.seq

    def noted(self, seq: int) -> str | None:
        """The values of an event that is not written yet."""
        parts = (*(piece.rows for piece in self.pieces), self.rows)
        return next((row.data for rows in parts for row in rows if row.seq == seq), None)

    def settings_of(self, spec: int) -> RunSettings:
        known = self.run_settings.get(spec)
        if known is None:
            given = self.state.specs[spec]
            known = self.run_settings[spec] = RunSettings(
                component=given.component,
                entry=given.entry or "",
                platform=given.platform,
                timeout=None if given.endless else given.timeout,
                environment=given.environment,
                resources=given.resources,
                platform_config=given.platform_config,
                options=given.options,
                generator=given.generator,
                asynchronous=given.asynchronous,
                priority=given.priority,
                image=given.docker_image,
                labels=given.labels,
                start_timeout=given.start_timeout,
            )
        return known

    def kept_for(self, node: Node) -> Kept | None:
        """What is known of an earlier execution to be what this node would give."""
        kept = self.kept.get(node.id)
        if kept is None or not kept.fits(node.kind):
            return None
        if kept.given is not None and not self.values.knows_call_hash(node):
            return None  # what it is called with is made of many parts: it is looked at before it would be carried out
        try:
            same = kept.given is None or kept.given == self.values.call_hash(node)
        except CodecError:  # its own run will tell
            return None
        return kept if same else None

    def take(self, now: float) -> Append:
        """Everything since the last commit, as the store wants it."""
        state = self.state
        changed = state.status is not self.shown
        self.stale = not changed and now - self.progress_at <= PROGRESS_SECONDS
        if not self.stale:
            self.progress_at = now
            self.changes.update(progress_columns(state))
        if changed:
            self.shown = state.status
            self.changes.update(status=str(state.status), reason=state.reason)
            if state.status in EXECUTION_OVER:
                error = state.ending_error
                self.changes.update(
                    completed_at=now,
                    owner=None,
                    error=json.dumps(error_to_json(error), ensure_ascii=False) if error else None,
                )
        append = Append(
            number=self.number,
            epoch=self.epoch,
            rows=self.rows,
            logs=self.logs,
            changes=self.changes,
            snapshot=self.snapshot,
            snapshot_seq=self.snapshot_at,
            taken=[message for message, _ in self.taken],
            answers=[seq for _, seq in self.taken],
            settled=self.settled,
            freed=list(self.limits.freed) if self.limits.freed else (),
        )
        if self.limits:
            self.limits_due.add(self.limits)
            self.limits = LimitWishes()
        self.rows, self.logs, self.changes, self.taken, self.snapshot = [], [], {}, [], None
        self.settled = []
        return append

    @property
    def unwritten(self) -> bool:
        """Whether something happened that may be lost again."""
        return bool(self.rows or self.pieces)

    def commanded(self) -> list[Command]:
        """What everything that was applied so far commands, to be carried out once that is durable."""
        todo, self.commands = self.commands, []
        return todo

    @property
    def wants_snapshot(self) -> bool:
        """When the events since the last exceed a number, half of all so far, and so many per node: a node costs as
        much to be dumped and loaded as some events to be folded, and everything else waits while it is done."""
        since = self.seq - self.snapshot_at
        if since <= self.sizes.snapshot_events or self.state.status in EXECUTION_OVER:
            return False
        return since > max(self.seq // 2, self.sizes.snapshot_events_per_node * len(self.state.nodes))

    def take_snapshot(self) -> Iterator[None]:
        """By and by; nothing may happen to it meanwhile."""
        from twingraph.engine.kernel import snapshot  # short executions have none

        seq = self.seq
        text = yield from snapshot.written(self.state, self.sizes.snapshot_nodes)
        self.snapshot, self.snapshot_at = text, seq

    def go_on_with(self, pieces: Iterable[Append]) -> None:
        """It is recorded, with the first part of what it begins with: these come next."""
        for piece in pieces:
            piece.number = self.number
            self.pieces.append(piece)

    def committed(self) -> list[Command]:
        """What everything that has just become durable commands."""
        todo, self.due = self.due, []
        return todo

    @property
    def at_rest(self) -> bool:
        """Whether nothing of it is left to do or to write after an interrupt."""
        paused = self.interrupted and self.state.status is ExecutionStatus.PAUSED
        return paused and not (self.state.in_flight or self.unwritten or self.logs)

    # -- those who wait for it ---------------------------------------------------------------------

    def recorded(self) -> None:
        for handle in self.handles:
            if handle.status is ExecutionStatus.PENDING:
                handle.recorded()

    def end(
        self,
        status: ExecutionStatus,
        error: ErrorRecord | None = None,
        result: str | None = None,
        outputs: Mapping[str, str] | None = None,
    ) -> None:
        for handle in self.handles:
            handle.end(status, error, result, outputs)

    def fail(self, fault: BaseException) -> None:
        for handle in self.handles:
            handle.fail(fault)


def progress_columns(state: State) -> dict[str, int]:
    counts = state.counts
    return {
        "total": len(state.nodes),
        "completed": counts[NodeStatus.COMPLETED],
        "running": counts[NodeStatus.RUNNING] + counts[NodeStatus.QUEUED],
        "failed": counts[NodeStatus.FAILED],
        "skipped": counts[NodeStatus.SKIPPED],
    }


def failure(execution: str, status: ExecutionStatus, error: ErrorRecord | None) -> ExecutionFailed | None:
    """The error that a caller of this execution gets, if it ended without a result."""
    if status is ExecutionStatus.COMPLETED:
        return None
    if error is None:
        return ExecutionFailed(f"{execution} was {status}", execution_id=execution, code=str(status))
    place = f"{error.node_id}: " if error.node_id else ""
    return ExecutionFailed(
        f"{place}{error.words}",
        execution_id=execution,
        node_id=error.node_id,
        code=error.code,
        error_type=error.error_type,
        remote_traceback=error.traceback,
    )
