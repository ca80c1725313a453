"""`python -m benchmarks.replays`: how long a replay of 10,000 nodes from the last one takes until that runs.

Each figure is of a whole `twingraph replay ID --from last` in a process of its own, from its start to the moment at
which the node's code began in its worker, and beside it the CPU of the whole tree. What is kept is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import whole
from twingraph import wiring

PIPELINES = ("calls", "loop")
SHAPES = ("chain", "fan", *PIPELINES)
BUDGET_SECONDS = 1.0
_FLOWS = Path(__file__).parent / "systems" / "replay_flows.py"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replays", description=__doc__)
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=", ".join(SHAPES))
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    print(f"{'':8} {'nodes':>8} {'first run s':>12} {'until it runs':>14} {'whole':>7} {'CPU s':>7}")
    slow = False
    for shape in given.shapes or SHAPES:
        folder = Path(tempfile.mkdtemp(prefix="replays-"))
        try:
            slow = _measure(shape, given.nodes, given.rounds, folder / "home") or slow
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return int(slow)


def _measure(shape: str, nodes: int, rounds: int, home: Path) -> bool:
    begun = time.perf_counter()
    given = ["-i", f"nodes={nodes}"] if shape in PIPELINES else []
    first = _twingraph(["run", f"{_FLOWS}:{shape}", *given], nodes, home)
    took = time.perf_counter() - begun
    told = [_again(first, nodes, home) for _ in range(rounds)]
    until, whole, cpu = (statistics.median(figures) for figures in zip(*told, strict=True))
    over = bool(until > BUDGET_SECONDS)
    print(
        f"{shape:8} {nodes:8,} {took:12.2f} {until:14.2f} {whole:7.2f} {cpu:7.2f}{'  over budget' if over else ''}",
        flush=True,
    )
    return over


def _again(execution: str, nodes: int, home: Path) -> tuple[float, float, float]:
    """Seconds until the last node ran, until all was over, and of CPU."""
    spent, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    again = _twingraph(["replay", execution, "--from", "last"], nodes, home)
    whole, after = time.time() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    reader = wiring.open_reader(str(home))
    view = reader.view(again)
    reader.close()
    run = [node for node in view.nodes if node.attempts]
    assert [node.id for node in run] == ["last"], [node.id for node in run][:5]
    started = run[0].attempts[0].started_at
    assert started is not None
    return started.timestamp() - begun, whole, after.ru_utime + after.ru_stime - spent.ru_utime - spent.ru_stime


def _twingraph(words: Sequence[str], nodes: int, home: Path) -> str:
    ours = {"TWINGRAPH_HOME": str(home), "TWINGRAPH_PROGRESS": "off", "REPLAY_NODES": str(nodes)}
    variables = whole.as_installed({**os.environ, **ours}, home.parent)
    command = [sys.executable, "-m", "twingraph", *words, "--json"]
    done = subprocess.run(command, env=variables, check=True, stdout=subprocess.PIPE)
    document = json.loads(done.stdout)
    assert document["status"] == "completed", document
    return str(document["execution_id"])


if __name__ == "__main__":
    sys.exit(main())
