"""What is kept of one way through a body, and what bounds the following of all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from twingraph.core.recordclass import recordclass
from twingraph.core.static_plan import StaticEdge, StaticNode


class Ended(BaseException):
    """Following this way makes no sense any more. `label`: what the rest of it depends on; None: we are out of time."""

    def __init__(self, label: str | None = None) -> None:
        super().__init__(label)
        self.label = label


@recordclass
class Limits:
    """What bounds the tracing of one pipeline."""

    paths: int = 64  # ways through one body
    calls: int = 2_000  # of one way
    seconds: float = 2.0  # for all of it
    depth: int = 8  # of pipelines in pipelines


class Decision(NamedTuple):
    place: str
    reasons: tuple[str, ...]  # of each choice
    failure: bool = False  # every choice but the first is something that fails


@dataclass(slots=True, eq=False)
class Region:
    id: str


@recordclass(frozen=False, kw_only=False)
class Inner:
    """What a sub-pipeline's own tracing gave, with ids of its own."""

    nodes: tuple[StaticNode, ...] = ()
    edges: tuple[StaticEdge, ...] = ()
    warnings: tuple[str, ...] = ()


@recordclass(frozen=False, kw_only=False)
class Path:
    """What was met on one way through a body."""

    wanted: tuple[int, ...]
    taken: list[int] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    nodes: dict[str, StaticNode] = field(default_factory=dict)
    edges: dict[StaticEdge, None] = field(default_factory=dict)
    inner: dict[str, Inner] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)  # nodes whose ids the author chose
    kept: set[str] = field(default_factory=set)  # regions that mean something although nothing is in them
    end: str = "returned"  # returned | raised | open: its rest depends on data

    @property
    def normal(self) -> bool:
        """Whether it came to its end without a failure: only such ways say what always runs."""
        failed = any(one.failure and chosen for one, chosen in zip(self.decisions, self.taken, strict=True))
        return self.end == "returned" and not failed


class Tracing:
    """What the ways of all bodies of one `compile()` share: limits, time and warnings."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._until = clock() + limits.seconds
        self.stopped = False
        self.warnings: dict[str, None] = {}

    @property
    def late(self) -> bool:
        return self.stopped or self._clock() > self._until

    def warn(self, message: str) -> None:
        self.warnings[message] = None
