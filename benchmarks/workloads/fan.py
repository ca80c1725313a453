"""Independent nodes between a source and a sum: what a node costs when the system may choose the order."""

from __future__ import annotations

from benchmarks.base import Workload

FAN = Workload(
    name="fan",
    run=lambda system, n: system.fan(n),
    expected=lambda n: 2 * n,
    nodes=lambda n: n + 2,
    sizes={"small": 20, "full": 1000},
    calls={"small": 1, "full": 5},
    enough_s=2.0,
)
