"""Pages, batches and snapshots so small that a short history has many of them."""

from __future__ import annotations

from random import Random

from twingraph.engine.sizes import Sizes


def small(chance: Random) -> Sizes:
    return Sizes(
        rows=chance.choice((1, 2, 5, 1000)),
        snapshot_events=chance.choice((2, 10, 10_000)),
        snapshot_events_per_node=0,
        log_lines=chance.choice((1, 1000)),
        map_page=chance.choice((1, 2, 1000)),
        past_page=chance.choice((1, 3, 1000)),
        snapshot_nodes=chance.choice((1, 1000)),
        long_parts=chance.choice((1, 500)),
        large_nodes=chance.choice((0, 2_000)),
        inbox_seconds=1.0,
        begun_at_once=chance.choice((0, 500)),
        at_once=chance.choice((1, 1, 2, 200)),
    )
