"""Nodes in sequence: what a dependency costs."""

from __future__ import annotations

from benchmarks.base import Workload

CHAIN = Workload(
    name="chain",
    run=lambda system, n: system.chain(n),
    expected=lambda n: n,
    nodes=lambda n: n,
    sizes={"small": 10, "full": 200},
    calls={"small": 1, "full": 5},
    enough_s=2.0,
)
