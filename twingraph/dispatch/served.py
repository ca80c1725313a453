"""Who serves a queue, told from what workers say of themselves. Nobody has signed that: it is only for people."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

Worker = Mapping[str, Any]
ONE_KEY = "give conductors and workers the same TWINGRAPH_WORKER_KEY"


def has_another_key(worker: Worker) -> bool:
    """Where ours is not known, it is taken for the same."""
    return worker.get("same_key") is False


def serves(worker: Worker) -> bool:
    """Whether it takes what we send, and goes on to."""
    return not worker["draining"] and not has_another_key(worker)


def unserved(queue: str, workers: Sequence[Worker]) -> str | None:
    """Why nobody takes what is sent there, and the remedy; None where somebody does."""
    here = [worker for worker in workers if queue in worker["queues"]]
    if any(serves(worker) for worker in here):
        return None
    start = f"twingraph worker --queues {shlex.quote(queue)}"
    if not here:
        return f"no worker serves the queue {queue}; start one: {start}"
    if all(has_another_key(worker) for worker in here):
        return f"whoever serves the queue {queue} has another key and refuses what is sent; {ONE_KEY}"
    return f"no worker serves the queue {queue} but one that is about to end; start another: {start}"


def refused(queue: str, workers: Sequence[Worker]) -> str | None:
    """Why some of it may be thrown away, though others take it."""
    if any(queue in worker["queues"] and has_another_key(worker) for worker in workers):
        return f"a worker that serves the queue {queue} has another key and throws away what it gets; {ONE_KEY}"
    return None
