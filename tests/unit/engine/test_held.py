"""When an execution that is held wants a snapshot of itself."""

from __future__ import annotations

from typing import Any, cast

import pytest

from twingraph.core.statuses import ExecutionStatus
from twingraph.engine.held import Held
from twingraph.engine.kernel import State
from twingraph.store.base import Claim


def held(seq: int, snapshot_at: int, nodes: int = 0) -> Held:
    state = State("exec-1")
    state.nodes = cast(Any, dict.fromkeys(map(str, range(nodes))))
    found = Held(Claim(number=1, epoch=1, seq=seq), state, None, cast(Any, None))
    found.snapshot_at = snapshot_at
    return found


@pytest.mark.parametrize(
    ("seq", "snapshot_at", "nodes", "due"),
    [
        (10_000, 0, 0, False),
        (10_001, 0, 0, True),
        (40_000, 20_000, 0, False),  # half of all so far
        (40_003, 20_000, 0, True),
        (30_000, 0, 10_000, False),  # as much as it costs to dump the nodes
        (30_001, 0, 10_000, True),
    ],
)
def test_a_snapshot_is_due(seq: int, snapshot_at: int, nodes: int, due: bool) -> None:
    assert held(seq, snapshot_at, nodes).wants_snapshot is due


def test_what_is_over_needs_none() -> None:
    over = held(100_000, 0)
    over.state.status = ExecutionStatus.COMPLETED
    assert not over.wants_snapshot
