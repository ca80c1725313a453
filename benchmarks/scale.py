"""`python -m benchmarks.scale`: does a node cost the same among 100,000 as among 1,000, and does it fit into memory?

Each figure comes from a process of its own: a small run to warm up, then the measured one. CPU is that of the whole
process tree; small sizes are repeated until their figure means something. Budgets: 1.2 times, 1 GiB.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import meter

SHAPES = ("chain", "fan", "nested")
SYSTEMS = ("drawn", "pipeline")
SIZES = (1_000, 100_000)
RATIO, MEMORY_BYTES = 1.2, 1 << 30
_ENOUGH_NODES = 10_000
_INNER = {1_000: 100}  # items of an inner map; else 1,000


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    if given.inside:
        shape, system, size = given.inside.split(":")
        print(json.dumps(_inside(shape, system, int(size))))
        return 0
    print(f"{'':22} {'nodes':>8} {'µs CPU':>8} {'µs wall':>8} {'MB':>7} {'ratio':>6}")
    broken = False
    for system in given.systems:
        for shape in given.shapes:
            broken = _compare(system, shape, given.sizes) or broken
    return int(broken)


def _compare(system: str, shape: str, sizes: Sequence[int]) -> bool:
    first: float | None = None
    broken = False
    for size in sizes:
        told = _measure(system, shape, size)
        cost = told["cpu_s"] / told["nodes"] * 1e6
        first = first or cost
        over = cost / first > RATIO or told["rss_bytes"] > MEMORY_BYTES
        broken = broken or over
        print(
            f"{system:10} {shape:11} {size:8,} {cost:8.1f} {told['wall_s'] / told['nodes'] * 1e6:8.1f}"
            f" {told['rss_bytes'] / 1e6:7.0f} {cost / first:6.2f}{'  over budget' if over else ''}",
            flush=True,
        )
    return broken


def _measure(system: str, shape: str, size: int) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="scale-"))
    try:
        variables = {**os.environ, "TWINGRAPH_HOME": str(folder / "home"), "TWINGRAPH_PROGRESS": "off"}
        command = [sys.executable, "-m", "benchmarks.scale", "--inside", f"{shape}:{system}:{size}"]
        with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE) as process:
            # From here: reading the memory of a large process takes long, and is no work of ours.
            watch = meter.MemoryWatch(process.pid, 0.05)
            watch.start()
            printed, _ = process.communicate()
            watch.stop()
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, command)
        told: dict[str, Any] = json.loads(printed)
        return {**told, "rss_bytes": watch.pss_bytes}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _inside(shape: str, system: str, size: int) -> dict[str, Any]:
    meter.adopt_orphans()
    run = {"drawn": _drawn, "pipeline": _pipelines}[system](shape)
    _check(run(10), 10)
    clock = meter.TreeClock()
    measured = run if system == "pipeline" else _prepared(shape, size)
    begun, cpu, nodes = time.perf_counter(), clock.cpu_s(), 0
    while nodes < min(_ENOUGH_NODES, 10 * size):
        _check(measured(size), size)
        nodes += size
    wall, spent = time.perf_counter() - begun, clock.cpu_s() - cpu
    return {"nodes": nodes, "cpu_s": spent, "wall_s": wall}


def _check(result: int, size: int) -> None:
    assert result == size, (result, size)


def _drawn(shape: str) -> Callable[[int], int]:
    return lambda n: _prepared(shape, n)(n)


def _prepared(shape: str, n: int) -> Callable[[int], int]:
    """A workflow is drawn outside of the measured time."""
    flow = {"chain": _chain, "fan": _fan, "nested": _nested}[shape](n)
    return lambda _: int(flow.run())


def _chain(n: int) -> Any:
    twingraph, nodes = importlib.import_module("twingraph"), importlib.import_module("benchmarks.systems.scale_nodes")
    flow = twingraph.Workflow("chain", max_parallel=1000)
    flow.add_component("n0", nodes.inc, x=0)
    for i in range(1, n):
        flow.add_component(f"n{i}", nodes.inc)
        flow.connect(f"n{i - 1}", f"n{i}")
    return flow


def _fan(n: int) -> Any:
    twingraph, nodes = importlib.import_module("twingraph"), importlib.import_module("benchmarks.systems.scale_nodes")
    flow = twingraph.Workflow("fan", max_parallel=1000)
    flow.add_component("source", nodes.zeros, n=n)
    flow.add_map("each", component=nodes.inc)
    flow.connect("source", "each")
    flow.add_component("total", nodes.total)
    flow.connect("each", "total")
    return flow


def _nested(n: int) -> Any:
    twingraph, nodes = importlib.import_module("twingraph"), importlib.import_module("benchmarks.systems.scale_nodes")
    inner = min(n, _INNER.get(n, 1_000))
    part = twingraph.Workflow("part")
    part.add_component("some", nodes.zeros)
    part.add_input("n")
    part.connect("n", "some", input="n")
    part.add_map("each", component=nodes.inc)
    part.connect("some", "each")
    part.add_component("sum", nodes.total)
    part.connect("each", "sum")
    flow = twingraph.Workflow("nested", max_parallel=1000)
    flow.add_component("parts", nodes.sizes, n=n, each=inner)
    flow.add_map("parted", workflow=part, over="n")
    flow.connect("parts", "parted")
    flow.add_component("total", nodes.total)
    flow.connect("parted", "total")
    return flow


def _pipelines(shape: str) -> Callable[[int], int]:
    written: Callable[[int], int] = getattr(importlib.import_module("benchmarks.systems.scale_bodies"), shape)
    return written


def _listed(kind: type, known: Sequence[str] = ()) -> Callable[[str], list[Any]]:
    def parse(text: str) -> list[Any]:
        wrong = [name for name in text.split(",") if known and name not in known]
        if wrong:
            raise argparse.ArgumentTypeError(f"{wrong[0]!r} is not one of {', '.join(known)}")
        return [kind(name) for name in text.split(",")]

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--shapes", type=_listed(str, SHAPES), default=SHAPES, help=", ".join(SHAPES))
    parser.add_argument("--systems", type=_listed(str, SYSTEMS), default=SYSTEMS, help=", ".join(SYSTEMS))
    parser.add_argument("--sizes", type=_listed(int), default=SIZES, help="the first is what others are compared to")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
