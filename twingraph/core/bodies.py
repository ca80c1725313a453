"""What passes between a conductor and the hosts in which the bodies of pipelines run.

A host is told to open a body, what history answers, and what has ended since; it says what the body calls, decides and
returns, as events. Nodes are named relative to their scope. All of it is plain data: a host may be another process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from twingraph.core.events import Event, OutputMeta
from twingraph.core.plan import NodeSpec, PlanNode
from twingraph.core.records import ErrorRecord


class Opened(NamedTuple):
    """A body is to be run from the top. What it did before follows in pages; the last page says so."""

    execution: str
    scope: str  # '' the execution's own body; else the path of a sub-pipeline
    entry: str  # of the body in the execution's code
    arguments: tuple[tuple[str, str], ...]  # (parameter, JSON text)
    bundle: str | None = None  # a file with the recorded bodies; None: the host has the live function


class PastCall(NamedTuple):
    component: str
    node: PlanNode


class PastDecision(NamedTuple):
    caller: str
    what: str
    answer: Any
    place: str | None = None


Past = PastCall | PastDecision


class Ended(NamedTuple):
    """A node that a body called is over, and what it gave. `order` rises over the whole execution."""

    node: str
    order: int
    status: str  # completed | failed | skipped | cancelled
    shape: str | None = None
    outputs: tuple[OutputMeta, ...] = ()
    texts: Sequence[str] = ()
    error: ErrorRecord | None = None
    reason: str | None = None


class Items(NamedTuple):
    """Items that a generator has handed over while it still runs, from index `start`."""

    node: str
    start: int
    texts: Sequence[str]


class Page(NamedTuple):
    """A part of a body's history, in order. What ended is told of no node before its call."""

    past: Sequence[Past] = ()
    ended: Sequence[Ended] = ()
    items: Sequence[Items] = ()
    last: bool = False


class BodyLog(NamedTuple):
    """A line that a body printed or logged."""

    at: float
    level: str
    stream: str
    message: str


class Host(Protocol):
    """Where bodies run. Called on the conductor's loop; must not block. Unknown executions and scopes are ignored."""

    def open(self, opened: Opened) -> None:
        """Run this body. One that runs already under this name is dropped first."""

    def page(self, execution: str, scope: str, page: Page) -> None:
        """More of its history."""

    def ended(self, execution: str, scope: str, ended: Ended) -> None:
        """A node of the scope is over; its outcome is in the journal. May repeat what a page said."""

    def items(self, execution: str, scope: str, items: Items) -> None: ...

    def answer(self, execution: str, scope: str, number: int, answer: Any) -> None:
        """To what the body asked by `Link.ask`."""

    def stop(self, execution: str, why: str, scope: str | None = None) -> None:
        """The execution is over, or not ours any more: its bodies end at their next wait or call. With `scope` only
        that body is meant, which has been given up."""


class Link(Protocol):
    """How a host speaks to the conductor. Any thread; returns at once; order is kept per execution."""

    def feed(self, execution: str, event: Event, lines: Sequence[str] | None, specs: Sequence[NodeSpec] = ()) -> None:
        """Something that a body did, as an event: GraphExtended, GraphClosed, DecisionMade, or NodeEnded of what the
        body itself carried out.

        In GraphExtended a node's `spec` counts over the `specs` that this host has named for this execution, in all its
        calls of `feed` so far; the conductor counts anew.
        """

    def ask(self, execution: str, scope: str, number: int, what: str, about: str) -> None:
        """A question about the execution, answered by `Host.answer`: what='hash', about=a node."""

    def reopen(self, execution: str, scope: str) -> None:
        """A body was let go while it waited and is needed again: open it with its whole history."""

    def log(self, execution: str, lines: Sequence[BodyLog]) -> None: ...
