"""Pages, batches and snapshots so small that a short history has many of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from twingraph.engine import ahead, batches, conductor, held, leaving, outcomes, past
from twingraph.engine.kernel import finishing, snapshot

_WHERE = {
    "CANCELLED_AT_ONCE": finishing,
    "LARGE": leaving,
    "LONG": ahead,
    "ROWS": batches,
    "SNAPSHOT_EVENTS": held,
    "SNAPSHOT_EVENTS_PER_NODE": held,
    "MAP_PAGE": outcomes,
    "PAGE_STEPS": past,
    "INBOX_SECONDS": conductor,
    "NODES_AT_ONCE": snapshot,
}


@contextmanager
def small(chance: Random) -> Iterator[None]:
    before = {name: getattr(module, name) for name, module in _WHERE.items()}
    chosen = {
        "ROWS": chance.choice((1, 2, 5, 1000)),
        "CANCELLED_AT_ONCE": chance.choice((1, 3, 500)),
        "LARGE": chance.choice((0, 2_000)),
        "LONG": chance.choice((1, 500)),
        "SNAPSHOT_EVENTS": chance.choice((2, 10, 10_000)),
        "SNAPSHOT_EVENTS_PER_NODE": 0,
        "MAP_PAGE": chance.choice((1, 2, 1000)),
        "PAGE_STEPS": chance.choice((1, 3, 1000)),
        "NODES_AT_ONCE": chance.choice((1, 1000)),
        "INBOX_SECONDS": 1.0,
    }
    try:
        for name, size in chosen.items():
            setattr(_WHERE[name], name, size)
        yield
    finally:
        for name, size in before.items():
            setattr(_WHERE[name], name, size)
