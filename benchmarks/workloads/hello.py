"""One trivial node on a warm system: the latency of a submission. The size is ignored."""

from __future__ import annotations

from benchmarks.base import Workload

HELLO = Workload(
    name="hello",
    run=lambda system, n: system.hello(),
    expected=lambda n: 1,
    nodes=lambda n: 1,
    sizes={"small": 1, "full": 1},
    calls={"small": 3, "full": 20},
    enough_s=60.0,
)
