"""The promise of the durable store: the journal, the list of executions, and what processes leave for each other.

Every method is synchronous and is called from one thread per instance. Writing methods are atomic: after a crash in the
middle either all of one call is there or nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from twingraph.core.recordclass import recordclass
from twingraph.core.statuses import ExecutionStatus

if TYPE_CHECKING:  # the writing side, which every run pays for, has no use for what readers are given
    from twingraph.core.execution import ExecutionRecord, LogRecord
    from twingraph.store.prune import PruneStore


class Row(NamedTuple):
    """One event as it is journaled. `data` holds values: one JSON text per line."""

    seq: int
    kind: str
    at: float
    body: str
    data: str | None
    cause: int | None = None
    actor: str | None = None


class LogRow(NamedTuple):
    at: float
    level: str
    node: str | None
    component: str | None
    attempt: int | None
    stream: str
    message: str


class Work(NamedTuple):
    """What a node is about to do, and what may have been done already."""

    scope: str  # who shares the outcome: '' everybody, else whoever says the same
    key: str  # equal for equal work
    number: int
    node: str
    at: float  # of asking; when the work is the node's own, it begins now
    begun_after: float  # what was begun earlier counts for nothing, done or in flight,
    done_after: float  # and what was done earlier neither


class CachedOutcome(NamedTuple):
    """The event that ended equal work well."""

    execution: str
    node: str
    done_at: float
    body: str
    data: str | None


class Done(NamedTuple):
    """An outcome to be kept: the event after which it is known, and what it is told apart by."""

    seq: int
    at: float
    component: str
    parts: str  # JSON


class Settled(NamedTuple):
    """A node's work is done, or given up: it is nobody's any more."""

    scope: str
    key: str
    node: str
    begun: float
    done: Done | None


class CacheRow(NamedTuple):
    """An outcome that is kept, as people ask for it."""

    execution: str
    node: str
    key: str
    done_at: float
    parts: str


@recordclass(frozen=False, kw_only=False)
class Append:
    """What one execution gained since the last commit. Refused whole when the epoch is not the store's."""

    number: int
    epoch: int
    rows: Sequence[Row] = ()
    logs: Sequence[LogRow] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)  # columns of the execution's record
    snapshot: str | None = None  # of the state
    snapshot_seq: int = 0  # after this row: one of these, or one before
    taken: Sequence[int] = ()  # inbox messages that these rows answer,
    answers: Sequence[int] = ()  # and the row that answers each; of one that needs none, a number past the last
    settled: Sequence[Settled] = ()  # work that others may wait for, which is done or given up
    freed: Sequence[str] = ()  # nodes that hold no named limit from now on


@recordclass
class NewExecution:
    id: str
    workflow_id: str
    name: str
    created_at: float
    owner: str
    origin: str
    target: str | None
    code_version: str | None
    code_body: str | None = None  # recorded under the version, when that is new
    replay_of: str | None = None


class Message(NamedTuple):
    """What another process asks of the conductor that holds an execution."""

    id: int
    number: int
    kind: str
    body: str


@recordclass
class Claim:
    number: int
    epoch: int
    seq: int
    code_version: str | None = None
    replay_of: str | None = None
    workflow_id: str = ""


class Standing(NamedTuple):
    """How an execution stands that the asker may not hold."""

    status: str
    elsewhere: bool  # another owner that is alive holds it


# Named limits that a node wants: each with how many may hold it at once, by name.
Limits = tuple[tuple[str, int], ...]


class Wanting(NamedTuple):
    """A node that may have its limits now."""

    number: int
    epoch: int
    node: str
    limits: Limits


class Wish(NamedTuple):
    """The first of those in one conductor that wait for the same limits."""

    owner: str
    limits: Limits
    priority: int
    asked: float


class LimitUse(NamedTuple):
    """How named limits stand, as one conductor sees it."""

    wishes: Sequence[Wish]  # of the other conductors, for something that is waited for here
    held: Mapping[str, int]  # how many nodes hold each name that is waited for here, or in one of these wishes


class LimitChoice(NamedTuple):
    """Who is to have limits, and what the others are to see of those who still wait here."""

    granted: Sequence[Wanting]
    wishes: Mapping[Limits, tuple[int, float] | None]  # priority and time of asking of the first; None: nobody waits
    short: bool  # somebody still waits


class LimitTurn(Protocol):
    """What one conductor wants of named limits in one transaction."""

    @property
    def owner(self) -> str: ...

    @property
    def names(self) -> Collection[str]:
        """What somebody here waits for."""

    @property
    def buries(self) -> bool:
        """Whether to look for conductors that died, should somebody have to wait."""

    def choose(self, use: LimitUse) -> LimitChoice:
        """Called inside the transaction, and again when it is begun anew or somebody was buried; the last choice
        counts."""


class Journal(Protocol):
    """The conductor's side."""

    def create(self, new: NewExecution, first: Append) -> Claim:
        """Record an execution with its first events, held by its owner. `first` carries no number yet."""

    def create_all(self, begun: Sequence[tuple[NewExecution, Append]]) -> list[Claim]:
        """The same of several in one transaction: all of them, or none."""

    def append(self, batch: Sequence[Append]) -> set[int]:
        """Write all of it in one transaction. Returns those that were refused: another conductor holds them."""

    def append_and_ask(self, batch: Sequence[Append], turn: LimitTurn) -> tuple[set[int], Sequence[Wanting]]:
        """As `append`, and after it, in the same transaction, give out named limits as the turn chooses. Returns those
        that were refused, for a row or for a limit, and who was granted.

        No two such transactions overlap, in all of the store, so that the choice is made on what really stands. A node
        holds its limits until it is `freed`, or its execution is claimed or released. Those of a conductor that died
        are free as soon as somebody finds that out; its executions are then nobody's, with the next epoch, so that
        what it might still write is refused.
        """

    def limit_use(self, turn: LimitTurn) -> LimitUse:
        """How the limits stand that somebody here waits for; no transaction, nothing changes."""

    def claim(self, execution_id: str, owner: str) -> Claim:
        """Take an execution over; its nodes hold no limits then. Raises ConflictError while a living owner holds it,
        NotFoundError for no such id."""

    def release(self, numbers: Sequence[int], owner: str) -> None:
        """Let go of executions without ending them. Their nodes hold no limits then."""

    def standing(self, execution_id: str, owner: str) -> Standing | None:
        """How it stands as this owner sees it; None for no such id."""

    def orphans(self, asker: str, origins: Collection[str], limit: int) -> list[str]:
        """Executions of these origins that should go on and that nobody alive holds, oldest first; without those that
        the asker itself holds."""

    def load(self, number: int, *, snapshot: bool = True) -> tuple[str | None, Iterator[Row]]:
        """The latest snapshot, and the rows after it in order; without one, all rows. They are read as they are asked
        for, by who holds the claim."""

    def data(self, number: int, seq: int) -> str | None:
        """The values of one event."""

    def data_of(self, number: int, seqs: Sequence[int]) -> Mapping[int, str]:
        """The values of many events at once, of those that have any."""

    def values_of(self, execution_id: str, seqs: Sequence[int]) -> Mapping[int, str]:
        """The same of any execution, whoever holds it: a replay refers to what an earlier one gave."""

    def lines_of(
        self, number: int, node: str, attempts: tuple[int, int], after: int = 0
    ) -> Sequence[tuple[int, float, str, str]]:
        """Lines of a node's log that are numbered above `after`, the next thousand: number, time, stream and message,
        of the attempts from the first to the last of these."""

    def ask_cache(self, asked: Sequence[Work], owner: str) -> list[CachedOutcome | bool]:
        """Of each: the outcome that is known; else True, when the work is that node's own from now on, or False while
        somebody else is at it.

        Work is somebody's until it is `settled`, or its execution is paused, over, or held by nobody who lives. An
        outcome whose execution or event is gone is none.
        """

    def changed(self) -> bool:
        """Whether another process has written since the last call. Cheap enough to ask twenty times a second.

        Raises HomeError once the store was deleted or replaced under its users; so does the end of an execution.
        """

    def messages(self, owner: str) -> list[Message]:
        """What waits in the inbox for the executions of this owner, oldest first."""

    def code(self, version: str) -> str | None:
        """What was recorded of a code version."""

    def keep_code(self, version: str, body: str, at: float) -> None:
        """Record a code version that no execution began with."""

    def close(self) -> None: ...


class Records(Protocol):
    """The readers' side: any process, no conductor needed."""

    def record(self, execution_id: str) -> ExecutionRecord:
        """Raises NotFoundError with near ids."""

    def newest(self) -> str | None:
        """The last that somebody began: not what a body started aside."""

    def page(
        self, *, limit: int = 20, offset: int = 0, status: ExecutionStatus | None = None, workflow_id: str | None = None
    ) -> tuple[list[ExecutionRecord], int]:
        """Newest first, and how many there are in all."""

    def rows(self, execution_id: str, after: int = 0, *, values: bool = True, limit: int | None = None) -> list[Row]:
        """The execution's events after this one, in order, so many at most; without their values when those are not
        wanted."""

    def values_of(self, execution_id: str, seqs: Sequence[int]) -> Mapping[int, str]:
        """The values of many of its events at once, of those that have any."""

    def logs(
        self,
        execution_id: str,
        *,
        after: int = 0,
        node: str | None = None,
        level: str | None = None,
        limit: int = 1000,
    ) -> list[LogRecord]:
        """Lines after this sequence number, oldest first; `level` means that level and above."""

    def post(self, execution_id: str, kind: str, body: str) -> bool:
        """Leave a message for the conductor that holds the execution, or that takes it over later; False for one that
        has ended, where nothing is left.

        Raises NotFoundError for no such id.
        """

    def code(self, version: str) -> str | None:
        """What was recorded of a code version."""

    def cached(self, component: str, *, before: float | None = None, limit: int = 50) -> list[CacheRow]:
        """Outcomes that are kept of this component, newest first; only what was done before that moment."""

    def find_cached(self, scope: str, key: str, *, begun_after: float, done_after: float) -> CachedOutcome | None:
        """What `ask_cache` would answer, without asking for the work."""

    def plan(self, version: str, entry: str) -> str | None:
        """The plan, as JSON, of a body of a code version, once somebody has made it."""

    def keep_plan(self, version: str, entry: str, body: str) -> None:
        """For the next one who asks. A plan of the same body is taken for equal."""

    def close(self) -> None: ...


class Life(Protocol):
    """That a conductor is alive, for all to see, however it ends."""

    def release(self) -> None:
        """What it holds may be taken over from now on."""


class Store(Protocol):
    """A database that may be used: made, or brought to the newest schema. Any thread."""

    @property
    def place(self) -> str:
        """Where it is, in words for people."""

    def journal(self) -> Journal: ...

    def records(self) -> Records: ...

    def prune(self) -> PruneStore:
        """What prune needs. ConflictError while another one is at work."""

    def begin(self, conductor: str) -> Life:
        """A conductor of this name lives from now on. Called before it takes anything."""

    def secret(self) -> bytes:
        """The key that signs pickled values, the same for all who use this store."""
