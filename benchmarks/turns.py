"""`python -m benchmarks.turns [SHAPE...]`: how long the conductor's loop is busy at a stretch with one execution of
100,000 parts, and how long an event of another waits for its turn meanwhile.

Each shape runs in a process of its own. A turn is what the loop does between two looks at what has come, in CPU time of
its thread, the search for garbage included. An event is asked for every 5 ms, from a thread: its wait is wall time, and
holds also what the two processes of the pool, and a body in the same process, take of two cores.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

from benchmarks.systems.twingraph_nodes import inc
from twingraph import Workflow, component, pipeline, replay, wiring

PARTS = 100_000
EVERY_S = 0.005

turns: list[float] = []
waits: list[float] = []
loops: list[asyncio.AbstractEventLoop] = []


@component
def numbers(count: int) -> list[int]:
    return list(range(count))


@component
def total(values: list[int]) -> int:
    return sum(values)


@component
def page(number: int) -> str:
    return "x" * 60_000


@component
def characters(pages: list[str]) -> int:
    return sum(map(len, pages))


@pipeline
def to_one_call(count: int) -> int:
    return total([inc(number) for number in range(count)])


@pipeline
def returned(count: int) -> list[int]:
    return [inc(number) for number in range(count)]


@pipeline
def looked_at(count: int) -> int:
    return sum([inc(number) for number in range(count)])


@pipeline
def megabytes(count: int) -> int:
    return characters([page(number) for number in range(count // 50)])


def drawn(count: int) -> object:
    made = Workflow("drawn")
    for number in range(count):
        made.add_component(f"n{number}", inc, x=number)
    return made.run()


def mapped(count: int) -> object:
    made = Workflow("mapped")
    made.add_component("numbers", numbers, count=count)
    made.add_map("each", component=inc, over="x")
    made.add_component("total", total)
    made.connect("numbers", "each")
    made.connect("each", "total")
    return made.run()


def again(shape: str, last: str) -> Callable[[int], Any]:
    """A replay from its last node, of what another process has run."""

    def begin(count: int) -> Any:
        code = f"from benchmarks import turns; turns.{shape}({count})"
        subprocess.run([sys.executable, "-c", code], check=True)
        with closing(wiring.open_reader()) as reader:
            first = reader.resolve("last")
        return replay(first, from_node=last).result()

    return begin


SHAPES: dict[str, tuple[str, Callable[[int], Any]]] = {
    "to_one_call": ("a body hands as many calls to one", to_one_call),
    "returned": ("a body returns as many calls", returned),
    "looked_at": ("a body looks at as many results", looked_at),
    "drawn": ("a drawn workflow of as many nodes", drawn),
    "mapped": ("a map over as many items, and their sum", mapped),
    "called_again": ("a replay of the first from its last call", again("to_one_call", "total")),
    "drawn_again": ("a replay of the drawn one from its last node", again("drawn", f"n{PARTS - 1}")),
    "megabytes": ("2,000 values of 60 kB to one call", megabytes),
}


def watch() -> None:
    """The loop, and an event of somebody else now and then."""
    once = asyncio.BaseEventLoop._run_once  # type: ignore[attr-defined]

    def timed(loop: asyncio.AbstractEventLoop) -> None:
        if loop not in loops:
            loops.append(loop)
        began = time.thread_time()
        once(loop)
        turns.append(time.thread_time() - began)

    asyncio.BaseEventLoop._run_once = timed  # type: ignore[attr-defined]

    def ask() -> None:
        while True:
            time.sleep(EVERY_S)
            asked = time.perf_counter()
            for loop in loops:
                with suppress(RuntimeError):  # it is closed
                    loop.call_soon_threadsafe(lambda asked=asked: waits.append(time.perf_counter() - asked))  # type: ignore[misc]

    threading.Thread(target=ask, daemon=True).start()


def told(found: list[float]) -> str:
    inorder = sorted(found)
    picked = [inorder[int(len(inorder) * place)] for place in (0.5, 0.99, 0.999)]
    return " ".join(f"{seconds * 1000:7.1f}" for seconds in [*picked, inorder[-1]])


def one(shape: str) -> int:
    watch()
    SHAPES[shape][1](PARTS)
    busy = [turn for turn in turns if turn > 0.0001]
    print(f"{SHAPES[shape][0]:42} {told(busy)}   {told(waits)}", flush=True)
    return 0


def main(shapes: list[str]) -> int:
    columns = " ".join(f"{name:>7}" for name in ("p50", "p99", "p99.9", "longest"))
    print(f"{f'one execution of {PARTS:,} parts, ms':42} {'a turn':>31}   {'a wait':>31}")
    print(f"{'':42} {columns}   {columns}", flush=True)
    codes = []
    for shape in shapes or SHAPES:
        with tempfile.TemporaryDirectory(prefix="turns-") as home:
            command = [sys.executable, "-m", "benchmarks.turns", "--one", shape]
            codes.append(subprocess.run(command, env={**os.environ, "TWINGRAPH_HOME": home}).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(one(sys.argv[2]) if sys.argv[1:2] == ["--one"] else main(sys.argv[1:]))
