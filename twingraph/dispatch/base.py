"""The promise of dispatch: lanes in, reports out.

A lane is up to 64 node runs of one execution that one process runs one after another. A maker is told what to run and
reports what happened; it decides nothing about retries or the graph. All methods are called on the conductor's loop,
none may block. `report` is called on that loop too. A report is delivered at most once per (run, attempt) for an
ending; after a crash of the conductor nothing is delivered, and the next conductor starts further attempts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from twingraph.core.recordclass import recordclass
from twingraph.core.records import ErrorRecord


@recordclass
class CodeRef:
    """The code that a lane needs: where its bundle is, and the world in which it runs.

    `bundle_path` is a file with the JSON of `sdk.slicing.bundle`. Equal `version` means equal everything, so that one
    group of workers serves it.
    """

    version: str
    bundle_path: str
    interpreter: str
    working_dir: str
    sys_path: tuple[str, ...] = ()
    body_path: str = ""  # the same of the bodies of pipelines; '' where there are none
    description: str = ""  # all of this as JSON text, as it is recorded


@recordclass
class RunSettings:
    """What holds for every run of a lane."""

    component: str
    entry: str  # key in the bundle, or 'builtin:NAME' for what the runner itself can do
    platform: str = "local"
    timeout: float | None = 300.0  # from the start of user code
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    resources: Mapping[str, Any] = field(default_factory=dict)
    platform_config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    options: str | None = field(default=None, repr=False)  # a BaseComponent's config as JSON text
    generator: bool = False  # what it yields is handed over as it comes
    priority: int = 0  # the higher goes first, of what waits for the same workers
    image: str | None = None  # of the container that it runs in
    labels: Mapping[str, str] = field(default_factory=dict)
    start_timeout: float | None = None  # from being handed over to the start of user code, elsewhere than here
    asynchronous: bool = False  # `async def`: its runs may wait beside those of other lanes in one process


@recordclass(frozen=False, kw_only=False)
class NodeRun:
    """One attempt of one node. `args` are (parameter, JSON text)."""

    node: str
    attempt: int
    args: Sequence[tuple[str, str]] = field(repr=False)


@recordclass(frozen=False, kw_only=False)
class Lane:
    number: int  # unique in this conductor
    execution: str
    code: CodeRef
    settings: RunSettings
    runs: Sequence[NodeRun]
    secrets: Sequence[str] = field(default=(), repr=False)  # values in it that must be hidden in whatever is said of it


@recordclass(frozen=False, kw_only=False)
class Begun:
    """User code of a run has begun. Sent only for runs that take a while or give items; an outcome implies it.

    `again`: it had begun before, in earlier attempts, and goes on. These are the first and the last of them; what they
    have told is told once more from its beginning.
    """

    execution: str
    node: str
    attempt: int
    at: float
    worker: str
    again: tuple[int, int] | None = None


ENDINGS = frozenset({"completed", "failed", "timeout", "crashed", "lost", "cancelled", "oom"})


@recordclass(frozen=False, kw_only=False)
class Outcome:
    """The end of one attempt.

    `status`: one of ENDINGS. `header` is the JSON line that the runner wrote ({"shape", "outputs": [[name, hash, size],
    ...], ...}) and `texts` the outputs' JSON texts in the same order; both are journaled as they are. `begun` False:
    user code of this run never began, or it ended with a process in which others had begun too (nothing is charged).
    `ahead`: so many outputs more were told before, on the way from another machine.
    """

    execution: str
    node: str
    attempt: int
    status: str
    started: float | None
    ended: float
    cpu: float | None = None
    memory: int | None = None
    worker: str | None = None
    shape: str | None = None
    outputs: Sequence[tuple[str, str, int]] = ()
    texts: Sequence[str] = ()
    error: ErrorRecord | None = None
    begun: bool = True
    ahead: int = 0


@recordclass(frozen=False, kw_only=False)
class Returned:
    """Runs that were recalled, or handed back, before their user code began."""

    execution: str
    runs: Sequence[tuple[str, int]]  # (node, attempt)


@recordclass(frozen=False, kw_only=False)
class LogLines:
    """What a run printed or logged. Each line: (time, level, stream, message).

    Told once more it bears the time that it had. Time 0: it is told once more, and nobody knows when it was said.
    """

    execution: str
    node: str
    attempt: int
    lines: Sequence[tuple[float, str, str, str]]


@recordclass(frozen=False, kw_only=False)
class ItemsOut:
    """Items that a generator has yielded while it still runs: their JSON texts, from index `start` on.

    Only where `RunSettings.generator` says so, after the run's Begun, without gaps from 0 on in each attempt, and all
    before the attempt's Outcome, whose one output is nevertheless the whole list. An attempt that fails, crashes or
    is lost has given what was reported until then; the next one begins at 0 again.
    """

    execution: str
    node: str
    attempt: int
    start: int
    texts: Sequence[str]


Report = Begun | Outcome | Returned | LogLines | ItemsOut


class Dispatch(Protocol):
    """How node runs reach workers."""

    async def start(self, report: Callable[[Report], None]) -> None:
        """Called once on the conductor's loop before anything else."""

    def submit(self, lane: Lane) -> None:
        """Take a lane over. Each of its runs ends in exactly one Outcome or Returned."""

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        """Give back, as Returned, what of these nodes (None: of the whole execution) has not begun."""

    def cancel(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        """End what runs (killing it if need be) and what waits, as Outcomes with status 'cancelled'."""

    async def stop(self) -> None:
        """End every worker; no report follows. Idempotent."""
