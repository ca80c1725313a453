"""The workloads of `benchmarks.scale` as pipelines."""

from __future__ import annotations

from benchmarks.systems.scale_nodes import inc, sizes, total, zeros
from twingraph import pipeline


@pipeline(max_parallel=1000)
def chain(n: int) -> int:
    value = 0
    for _ in range(n):
        value = inc(value)
    return value


@pipeline(max_parallel=1000)
def fan(n: int) -> int:
    return total([inc(zero) for zero in zeros(n)])


@pipeline
def part(n: int) -> int:
    return total([inc(zero) for zero in zeros(n)])


@pipeline(max_parallel=1000)
def nested(n: int) -> int:
    inner = 1_000 if n > 1_000 else min(n, 100)
    return total([part(size) for size in sizes(n, inner)])
