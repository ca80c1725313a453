"""Executions of many nodes that `benchmarks.replays` does again from their last one.

The pipelines are given how many there are: a body that looks that up in its environment is compared, call by call.
"""

from __future__ import annotations

import os

from twingraph import Workflow, component, pipeline

NODES = int(os.environ.get("REPLAY_NODES", "10000"))


@component
def inc(x: int) -> int:
    return x + 1


@component
def zeros(n: int) -> list[int]:
    return [0] * n


@component
def count(values: list[int]) -> int:
    return sum(values)


@component
def last(x: int) -> int:
    return x


chain = Workflow("chain", max_parallel=1000).add_component("n0", inc, x=0)
for number in range(1, NODES - 1):
    chain.add_component(f"n{number}", inc).connect(f"n{number - 1}", f"n{number}")
chain.add_component("last", last).connect(f"n{NODES - 2}", "last")

fan = Workflow("fan", max_parallel=1000).add_component("zeros", zeros, n=NODES - 3)
fan.add_map("each", component=inc).connect("zeros", "each").add_component("count", count).connect("each", "count")
fan.add_component("last", last).connect("count", "last")


@pipeline(max_parallel=1000)
def calls(nodes: int) -> int:
    """Calls that are all made at once."""
    made = [inc(number) for number in range(nodes - 2)]
    return last(count(made))


@pipeline(max_parallel=1000)
def loop(nodes: int) -> int:
    """Each call waits for the one before."""
    x = 0
    for _ in range(nodes - 1):
        x = inc(int(x))
    return last(int(x))
