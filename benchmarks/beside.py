"""`python -m benchmarks.beside`: a chain while something computes in the process that drives it; the bare pool too.

alone     nothing else
a body    the body of another pipeline computes, as a thread of this process
a node    a node of another pipeline computes, in a process of the pool
a thread  the same for the bare pool: a thread of the script computes

Wall time per node, each way measured in turn; a way's ratio to `alone` is what computing beside costs.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from benchmarks.systems.process_pool import inc as plain
from benchmarks.systems.twingraph_nodes import inc
from twingraph import Workflow, component, pipeline

NODES = 200
ROUNDS = 5
# How long a computing body is left alone before the chain begins beside it.
BEFORE_S = 0.2

over = threading.Event()


def spin(seconds: float) -> int:
    number, end = 0, time.monotonic() + seconds
    while time.monotonic() < end and not over.is_set():
        number = sum(range(10_000))
    return number


@component
def computing_node(seconds: float) -> int:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(10_000))
    return 1


@pipeline
def body_that_computes(seconds: float) -> int:
    return spin(seconds)


@pipeline
def node_that_computes(seconds: float) -> int:
    return computing_node(seconds)


@pipeline
def chain(n: int) -> int:
    value = 0
    for _ in range(n):
        value = inc(value)
    return value


def drawn(n: int) -> Workflow:
    made = Workflow("chain")
    for number in range(n):
        made.add_component(f"n{number}", inc, **({"x": 0} if number == 0 else {}))
        if number:
            made.connect(f"n{number - 1}", f"n{number}")
    return made


@contextmanager
def beside(what: Callable[[float], Any] | None) -> Iterator[None]:
    """For as long as this is open."""
    over.clear()
    running = what(30.0) if what is not None else None
    time.sleep(BEFORE_S if running is not None else 0.0)
    try:
        yield
    finally:
        over.set()
        if isinstance(running, threading.Thread):
            running.join()
        elif running is not None:
            with suppress(Exception):
                running.cancel()


def in_a_thread(seconds: float) -> threading.Thread:
    thread = threading.Thread(target=spin, args=(seconds,))
    thread.start()
    return thread


def per_node(run: Callable[[], int]) -> float:
    began = time.perf_counter()
    assert run() == NODES
    return (time.perf_counter() - began) / NODES * 1000


def main() -> int:
    os.environ.setdefault("TWINGRAPH_HOME", tempfile.mkdtemp(prefix="beside-"))
    with ProcessPoolExecutor(2) as pool:

        def bare() -> int:
            value = 0
            for _ in range(NODES):
                value = pool.submit(plain, value).result()
            return value

        workflow = drawn(NODES)
        chains = {"drawn": workflow.run, "pipeline": lambda: chain(NODES), "bare pool": bare}
        ours: dict[str, Callable[[float], Any] | None] = {
            "alone": None,
            "a body": body_that_computes.submit,
            "a node": node_that_computes.submit,
        }
        ways: dict[str, dict[str, Callable[[float], Any] | None]] = {
            "drawn": ours,
            "pipeline": ours,
            "bare pool": {"alone": None, "a thread": in_a_thread},
        }
        found: dict[tuple[str, str], list[float]] = {}
        for name, run in chains.items():
            per_node(run)
            for _ in range(ROUNDS):
                for way, what in ways[name].items():
                    with beside(what):
                        found.setdefault((name, way), []).append(per_node(run))
    print(f"chain of {NODES}, ms of wall time per node, median of {ROUNDS} (ratio to alone)")
    for (name, way), times in found.items():
        middle = statistics.median(times)
        print(f"{name:10} {way:9} {middle:7.3f}  {middle / statistics.median(found[name, 'alone']):5.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
