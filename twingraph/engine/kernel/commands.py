"""What the kernel wants done. The conductor carries commands out after the events that led to them are committed."""

from __future__ import annotations

from typing import NamedTuple

from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import ExecutionStatus


class Dispatch(NamedTuple):
    """Hand a lane over: runs of one spec that one process carries out one after another."""

    lane: int
    spec: int
    runs: tuple[tuple[str, int], ...]  # (node, attempt)
    memory: int | None = None  # bytes that the one run of it may use, where an attempt before ran out of memory


class Recall(NamedTuple):
    """Give back what has not begun. None: of the whole execution."""

    nodes: tuple[str, ...] | None = None


class CancelRuns(NamedTuple):
    """End what runs and what waits. None: of the whole execution."""

    nodes: tuple[str, ...] | None = None


class SetTimer(NamedTuple):
    timer: str
    delay: float


class ClearTimer(NamedTuple):
    timer: str


class AskLimit(NamedTuple):
    node: str
    limits: tuple[tuple[str, int], ...]
    priority: int


class ReleaseLimit(NamedTuple):
    """It neither holds nor wants its limits any more. A grant that is on its way must not arrive: it could not be told
    from the answer to the next ask."""

    node: str


class AskCache(NamedTuple):
    """Is the outcome of this work known, or is somebody at it? Unless one of the two, the work is ours to do."""

    node: str


class SettleCache(NamedTuple):
    """The work is ours no longer: its outcome is here to be kept, or somebody else may do it. Noted in the same
    commit as the end that it follows from."""

    node: str
    completed: bool


class StartDetached(NamedTuple):
    node: str


class StartDriver(NamedTuple):
    """A scope that a body extends is open, '' the execution's own: the body may begin, or begin again after an
    adoption."""

    scope: str


class WakeDriver(NamedTuple):
    """A node of a scope that a pipeline body drives is over."""

    scope: str
    node: str


class StopDriver(NamedTuple):
    """A scope was given up while its body still ran: the body ends at its next wait or call, and is heard no more."""

    scope: str


class PassItems(NamedTuple):
    """Items of a generator for the body that called it: the texts from `offset` on in the data of event `seq`."""

    node: str
    first: int
    count: int  # type: ignore[assignment]  # as a tuple it has a method of that name
    seq: int
    offset: int


class Finish(NamedTuple):
    """The execution is over: journal its end and tell whoever waits."""

    status: ExecutionStatus
    error: ErrorRecord | None = None


Command = (
    Dispatch
    | Recall
    | CancelRuns
    | SetTimer
    | ClearTimer
    | AskLimit
    | ReleaseLimit
    | AskCache
    | SettleCache
    | StartDetached
    | StartDriver
    | WakeDriver
    | StopDriver
    | PassItems
    | Finish
)
