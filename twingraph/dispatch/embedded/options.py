"""What bounds the pool."""

from __future__ import annotations

import os
from dataclasses import field

from twingraph.core.recordclass import recordclass
from twingraph.settings import Settings

# Less than this no process is held to because of what all of them may use: it has a third of it before its first node.
_LEAST_SHARE = 64 << 20


def _default_workers() -> int:
    return max(16, 4 * (os.cpu_count() or 1))


@recordclass
class PoolOptions:
    """Each field may be set alone."""

    # At most this many processes, over all code versions.
    workers: int = field(default_factory=_default_workers)
    # A worker without work ends after this many seconds.
    idle_seconds: float = 60.0
    # Further workers are started when work has waited this long ...
    grow_after_seconds: float = 0.05
    # ... and the running nodes use less than this share of all cores.
    grow_below_load: float = 0.8
    # What waits behind a node that has run this long is recalled when another worker could take it.
    recall_after_seconds: float = 0.02
    # How often running nodes are looked at: time limits, memory, long output, `Begun`.
    tick_seconds: float = 0.02
    # A run is reported as begun, and its memory sampled, when it takes longer than this.
    long_run_seconds: float = 0.05
    # A process carries out no more runs than this, and is replaced; None: never.
    runs_per_worker: int | None = 10_000
    # A process is replaced when it holds more than this many bytes after a run; None: never.
    bytes_per_worker: int | None = 1 << 30
    # A run beside others that was asked to end and has not after this long is ended with its process.
    end_within_seconds: float = 2.0
    # One that keeps the loop for itself so long is told of by us, when its process cannot speak.
    accuse_after_seconds: float = 1.0
    # So many processes share the asynchronous runs before one is filled up.
    shared_workers: int = 2
    # Work of another kind that has waited this long has the next shared process that can be emptied.
    spare_after_seconds: float = 0.5
    # After this many processes in a row that ended before their first word, waiting work fails.
    failed_starts: int = 3


def options_of(settings: Settings) -> PoolOptions:
    """What a person has set, and the default of everything else."""
    given: dict[str, int] = {}
    if settings.workers is not None:
        given["workers"] = settings.workers
    if settings.max_nodes_per_process is not None:
        given["runs_per_worker"] = settings.max_nodes_per_process
    if settings.max_memory_per_process is not None:
        given["bytes_per_worker"] = settings.max_memory_per_process
    elif settings.max_memory is not None:
        share = settings.max_memory // given.get("workers", _default_workers())
        given["bytes_per_worker"] = min(1 << 30, max(_LEAST_SHARE, share))
    return PoolOptions(**given)
