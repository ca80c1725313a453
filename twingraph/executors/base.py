"""The promise of an executor: a place beside this process where one attempt of one node is carried out.

`start` gives a job, or `adopt` finds the one that an earlier process left; `follow` hears of it until it is over.
All of these may block and are called on a thread of the attempt's own; `end` may be called on any other. A crash of
this process in the middle leaves the job as it is: it goes on, bounded by its own time limit, and is adopted by the
next process that is asked for the same work, or removed by `sweep` once its execution is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from twingraph.core.recordclass import recordclass
from twingraph.core.records import ErrorRecord

Line = tuple[float, str, str, str]  # time, level, stream, message


@recordclass
class Task:
    """One attempt of one node, with all that it needs."""

    execution: str
    node: str
    attempt: int
    component: str
    entry: str
    bundle_path: str
    code_version: str
    args: Sequence[tuple[str, str]] = field(default=(), repr=False)  # (parameter, JSON text)
    image: str | None = None
    timeout: float | None = None  # from the start of user code
    resources: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)  # of the platform
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    options: str | None = field(default=None, repr=False)
    generator: bool = False
    secrets: Sequence[str] = field(default=(), repr=False)  # values that must be hidden in whatever is said of it

    @property
    def key(self) -> tuple[str, str, int]:
        return self.execution, self.node, self.attempt


@recordclass
class Finished:
    """How an attempt ended; the words are those of `dispatch.base.Outcome`."""

    status: str
    started: float | None = None  # None: user code never began
    ended: float
    cpu: float | None = None
    memory: int | None = None
    shape: str | None = None
    outputs: Sequence[tuple[str, str, int]] = ()
    texts: Sequence[str] = ()
    error: ErrorRecord | None = None


class Hears(Protocol):
    """Who is told of a job while it runs; called on the thread that follows it."""

    def began(self, at: float) -> None: ...
    def said(self, lines: Sequence[Line]) -> None: ...
    def gave(self, start: int, texts: Sequence[str]) -> None: ...


class Job(Protocol):
    """What carries one attempt out."""

    name: str
    again: tuple[int, int] | None  # the first and the last attempt that had it before: what they heard is said again

    def follow(self, hears: Hears) -> Finished:
        """Until it is over. Never raises for what the attempt or its place does: that becomes how it ended."""

    def end(self, why: str) -> None:
        """Ask it to end, and end it within 2 s. `why` is 'cancelled', 'timeout' or 'start_timeout'. Idempotent."""

    def remove(self) -> None:
        """Leave nothing of it behind. Idempotent."""


class Executor(Protocol):
    def job(self, task: Task) -> Job:
        """The job of this attempt; nothing is done yet."""

    def sweep(self, is_over: Callable[[str], bool]) -> int:
        """Remove what earlier processes left of executions that are over; how many there were."""

    def clear(self, execution: str) -> int:
        """End and remove what any process has left of an execution that nobody carries out; how many there were."""

    def close(self) -> None:
        """Let go of connections; does not wait for anything."""
