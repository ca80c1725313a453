"""What the kernel wants done. The conductor carries commands out after the events that led to them are committed."""

from __future__ import annotations

from dataclasses import dataclass

from twingraph.core.execution import ErrorRecord
from twingraph.core.statuses import ExecutionStatus


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Hand a lane over: runs of one spec that one process carries out one after another."""

    lane: int
    spec: int
    runs: tuple[tuple[str, int], ...]  # (node, attempt)


@dataclass(frozen=True, slots=True)
class Recall:
    """Give back what has not begun. None: of the whole execution."""

    nodes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class CancelRuns:
    """End what runs and what waits. None: of the whole execution."""

    nodes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SetTimer:
    timer: str
    delay: float


@dataclass(frozen=True, slots=True)
class ClearTimer:
    timer: str


@dataclass(frozen=True, slots=True)
class AskLimit:
    node: str
    limits: tuple[tuple[str, int], ...]
    priority: int


@dataclass(frozen=True, slots=True)
class ReleaseLimit:
    node: str


@dataclass(frozen=True, slots=True)
class AskCache:
    node: str


@dataclass(frozen=True, slots=True)
class StartDetached:
    node: str


@dataclass(frozen=True, slots=True)
class StartDriver:
    """The scope of a sub-pipeline call is open: its body may begin, or begin again after an adoption."""

    scope: str


@dataclass(frozen=True, slots=True)
class WakeDriver:
    """A node of a scope that a pipeline body drives is over."""

    scope: str
    node: str


@dataclass(frozen=True, slots=True)
class Finish:
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
