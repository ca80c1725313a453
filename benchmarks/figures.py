"""The figures of a run, and what is computed from them: medians and paired ratios. No measuring, no printing."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number: `metric` of `system` in one round, in the unit that the metric's name ends with."""

    system: str
    round: int
    metric: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit that the design sets for a metric of ours."""

    what: str
    system: str
    metric: str
    limit: float


BUDGETS = (
    Budget(what="import as a process, s", system="twingraph", metric="import.wall_s", limit=0.10),
    Budget(what="hello as a process, s", system="twingraph", metric="cold.wall_s", limit=0.30),
    Budget(what="hello as a process, MB (PSS of the tree)", system="twingraph", metric="cold.pss_mb", limit=60),
    *(
        Budget(what=f"{form}: {what}", system=system, metric=metric, limit=limit)
        for form, system in (
            ("drawn, max_parallel 10", "twingraph"),
            ("drawn, max_parallel 1,000", "twingraph-wide"),
            ("pipeline, max_parallel 10", "pipeline"),
            ("pipeline, max_parallel 1,000", "pipeline-wide"),
        )
        for what, metric, limit in (
            ("one node, submit to result, ms", "hello.wall_ms", 2),
            ("chain, CPU ms per node", "chain.cpu_ms", 0.4),
            ("fan, CPU ms per node", "fan.cpu_ms", 0.15),
        )
    ),
    Budget(what="a loop: its last tenth over its first, CPU", system="pipeline", metric="loop.growth", limit=1.5),
    Budget(what="replay, us per call (20,000 per second)", system="pipeline", metric="replay.again_us", limit=50),
    Budget(what="1,000 that wait, MB (PSS of the tree)", system="pipeline", metric="waiting.pss_mb", limit=200),
)


@dataclass(slots=True)
class Figures:
    """All figures of one run. A system that failed keeps what it measured before."""

    found: list[Figure] = field(default_factory=list)

    def add(self, system: str, number: int, metrics: Iterable[tuple[str, float]]) -> None:
        for metric, value in metrics:  # one by one: what came before a failure stays
            self.found.append(Figure(system=system, round=number, metric=metric, value=value))

    def values(self, system: str, metric: str) -> dict[int, float]:
        """Round to value."""
        return {f.round: f.value for f in self.found if f.system == system and f.metric == metric}

    def median(self, system: str, metric: str) -> float | None:
        values = self.values(system, metric).values()
        return statistics.median(values) if values else None

    def ratio(self, ours: str, peer: str, metric: str) -> float | None:
        """The median of ours over the peer's, taken round by round: a slow moment of the machine cancels out."""
        mine, theirs = self.values(ours, metric), self.values(peer, metric)
        pairs = [mine[number] / theirs[number] for number in mine if theirs.get(number)]
        return statistics.median(pairs) if pairs else None

    def rounds(self, system: str) -> int:
        return len({f.round for f in self.found if f.system == system})

    def everything(self, metric: str) -> list[float]:
        return [f.value for f in self.found if f.metric == metric]
