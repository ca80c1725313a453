"""`python -m benchmarks.cache`: what a cached node costs, beside one that is not. Ours alone, on this machine.

without  nodes that have no cache
miss     each node's work is unknown: asked for, claimed, done and kept
hit      the same again: every outcome is taken from the execution before
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from typing import Any

from benchmarks.meter import TreeClock
from twingraph import component, pipeline

NODES = 1_000
ROUNDS = 5


@component
def plain(n: int, salt: int) -> int:
    return n + 1


@component(cache=True)
def cached(n: int, salt: int) -> int:
    return n + 1


@pipeline(max_parallel=1_000)
def fan(count: int, salt: int, kept: bool) -> int:
    step: Any = cached if kept else plain
    return len([int(handle) for handle in [step(n, salt) for n in range(count)]])


def measure(count: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Milliseconds of CPU of the whole tree, and of wall time, per node: medians over the rounds."""
    clock = TreeClock()
    figures: dict[str, list[tuple[float, float]]] = {"without": [], "miss": [], "hit": []}
    fan(64, -1, True)
    fan(64, -1, False)
    for salt in range(rounds):
        for what in figures:
            cpu, wall = clock.cpu_s(), time.perf_counter()
            assert fan(count, salt, what != "without") == count
            figures[what].append(
                (1e3 * (clock.cpu_s() - cpu) / count, 1e3 * (time.perf_counter() - wall) / count),
            )
    return {
        what: (statistics.median(cpu for cpu, _ in found), statistics.median(wall for _, wall in found))
        for what, found in figures.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cache", description=__doc__)
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["TWINGRAPH_HOME"] = home
        os.environ["TWINGRAPH_PROGRESS"] = "off"
        for what, (cpu, wall) in measure(options.nodes, options.rounds).items():
            print(f"{what:8} {cpu:6.3f} ms CPU  {wall:6.3f} ms wall per node")


if __name__ == "__main__":
    main()
