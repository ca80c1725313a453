"""The environment of a run in a process that also does other things: those find theirs as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from twingraph.executors.context import Current


def environment_of(current: Current, declared: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with what a run is told of itself, and what its component declares."""
    told = {
        "TWINGRAPH_EXECUTION_ID": current.execution_id,
        "TWINGRAPH_NODE_ID": current.node_id,
        "TWINGRAPH_ATTEMPT": str(current.attempt),
        "TWINGRAPH_IDEMPOTENCY_KEY": current.idempotency_key,
    }
    return {**os.environ, **{name: value.replace("\0", "?") for name, value in told.items()}, **declared}


@contextmanager
def environment(inside: Mapping[str, str]) -> Iterator[None]:
    """These are all variables inside; afterwards they are what they were, whatever was done to them."""
    before = dict(os.environ)
    try:
        _become(inside)
        yield
    finally:
        _become(before)


def _become(wanted: Mapping[str, str]) -> None:
    """Other threads of this process read what does not change meanwhile."""
    now = dict(os.environ)
    for name in now.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update({name: value for name, value in wanted.items() if now.get(name) != value})
