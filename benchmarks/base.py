"""The two promises of the harness: what a system offers and what a workload asks of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

DATABASE_URL = "BENCHMARK_DATABASE_URL"
"""Where a peer finds its database on PostgreSQL."""


class System(ABC):
    """One way to run work: ours or a peer, in one stated configuration.

    The class is read by the harness, which lacks the peer's package: nothing of the peer is imported before `setup`.
    Every other method is called on the main thread of a fresh process inside the system's own environment, in the order
    `setup`, then the workloads as often as the harness likes, then `teardown`, which is also called after a failure.
    `draw` comes before every call with a new size and is never timed; `chain`, `fan` and `hello` block until the result
    is there and return it.
    """

    name: ClassVar[str]
    """The name on the command line."""
    title: ClassVar[str]
    """The name in the tables."""
    keeps: ClassVar[str]
    """What is on record once a node has run: without it two figures cannot be compared."""
    settings: ClassVar[str]
    """Whatever was set differently from the system's defaults."""
    ours: ClassVar[bool] = False
    """Ratios are ours over everybody else."""
    lock: ClassVar[str | None] = None
    """The file in `peers/`, without `.txt`, that the environment is made from. None: no environment of its own."""
    distribution: ClassVar[str | None] = None
    """The distribution whose version is reported. None: Python's own."""
    imports: ClassVar[str]
    """The module that a user imports, for the cold start."""
    once: ClassVar[str | None]
    """The script in `cold/` that goes from nothing to a printed 1, as a user would write it. None: servers stand by."""
    database: ClassVar[str | None] = None
    """The variable that tells it its database on PostgreSQL, made and dropped by the harness. None: it needs none."""
    bodies: ClassVar[str | None] = None
    """The script in `bodies/` that measures what only code that is itself the workflow can do. None: it cannot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def environment(cls, folder: Path) -> Mapping[str, str]:
        """Variables for every process of this system; `folder` is its own, fresh and thrown away afterwards."""
        return {}

    @abstractmethod
    def setup(self) -> None:
        """Import the peer and start whatever stands by (servers on loopback only)."""

    def teardown(self) -> None:  # noqa: B027 (most systems have nothing to stop)
        """Stop what `setup` started. Processes left behind are killed by the harness."""

    def draw(self, workload: str, n: int) -> None:  # noqa: B027 (most systems have nothing to draw)
        """Make what is drawn once and run many times, for systems whose graphs are static."""

    @abstractmethod
    def chain(self, n: int) -> int:
        """`n` nodes in sequence, each adds one to what the one before returned; the first starts from 0."""

    @abstractmethod
    def fan(self, n: int) -> int:
        """A source, `n` independent nodes that each turn 1 into 2, and their sum: `n` + 2 nodes."""

    @abstractmethod
    def hello(self) -> int:
        """One node that returns 1, from submitting it to having its result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One steady-state measurement, start-up excluded."""

    name: str
    run: Callable[[System, int], int]
    expected: Callable[[int], int]
    nodes: Callable[[int], int]
    """How many nodes a call of this size runs: what a call's cost is divided by."""
    sizes: Mapping[str, int]
    calls: Mapping[str, int]
    """Timed calls per round, at most."""
    enough_s: float
    """No further call is begun once a round has spent this long, so that slow systems are called once."""
