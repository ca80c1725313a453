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
    node: str


class AskCache(NamedTuple):
    node: str


class StartDetached(NamedTuple):
    node: str


class StartDriver(NamedTuple):
    """The scope of a sub-pipeline call is open: its body may begin, or begin again after an adoption."""

    scope: str


class WakeDriver(NamedTuple):
    """A node of a scope that a pipeline body drives is over."""

    scope: str
    node: str


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
    | StartDetached
    | StartDriver
    | WakeDriver
    | Finish
)
