"""Our own workloads as pipelines, as a user would write them. The bodies of one `max_parallel`; `pipelines(10)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.systems.twingraph_nodes import inc, ones, total
from twingraph import pipeline


def chain(n: int) -> int:
    value = 0
    for _ in range(n):
        value = inc(value)
    return value


def fan(n: int) -> int:
    return total([inc(one) for one in ones(n)])


def hello(n: int) -> int:
    return inc(0)


def chain_inside(n: int) -> int:
    """The same sums, computed by the body itself."""
    value = 0
    for _ in range(n):
        value = inc.fn(value)
    return value


def fan_inside(n: int) -> int:
    return total.fn([inc.fn(one) for one in ones.fn(n)])


def hello_inside(n: int) -> int:
    return inc.fn(0)


def pipelines(max_parallel: int) -> Mapping[str, Any]:
    form = pipeline(max_parallel=max_parallel)
    return {"chain": form(chain), "fan": form(fan), "hello": form(hello)}


def inside() -> Mapping[str, Any]:
    return {"chain": pipeline(chain_inside), "fan": pipeline(fan_inside), "hello": pipeline(hello_inside)}
