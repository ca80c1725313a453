"""How much of something is one part of it: of a transaction, a page, a look. What tests make small, so that a short
history has many parts."""

from __future__ import annotations

from typing import NamedTuple

from twingraph.engine.kernel.state import AT_ONCE


class Sizes(NamedTuple):
    rows: int = 1_000  # of one transaction: what a slow disk takes in about 5 ms
    log_lines: int = 1_000  # of what was printed, so many are noted without a pause
    at_once: int = AT_ONCE  # nodes that one event does something to without a pause
    begun_at_once: int = 500  # nodes of a drawn workflow: a larger one begins by and by
    map_page: int = 1_000  # keys of a map in one event; fewer where an item is a workflow of several nodes
    kept_page: int = 250  # outcomes that a replay keeps in one event, which is one turn
    past_page: int = 1_000  # steps of a body's history in one message
    snapshot_events: int = 10_000  # no snapshot is due before,
    snapshot_events_per_node: int = 3  # nor before so many for each node
    snapshot_nodes: int = 50  # of a large state so many are written down without a pause
    words_waiting: int = 10_000  # of bodies that were not heard yet: who says more waits
    long_parts: int = 500  # a value of more parts is put together by and by, so many without a pause
    large_nodes: int = 2_000  # an execution of more nodes is freed by and by, and not searched for garbage again
    inbox_seconds: float = 0.05  # between looks when nothing else happens; asking whether it changed costs microseconds


USUAL = Sizes()
