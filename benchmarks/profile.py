"""`python -m benchmarks.profile chain|fan|hello`: where each microsecond of a node goes, thread by thread.

Runs ours (or another system that needs no environment of its own) with a sampler in its process and in every Python
that it starts. Figures are slower than in the benchmark: they say where, the benchmark says how much.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import areas, catalog, databases, meter
from benchmarks.runner import checked
from benchmarks.suite import ROOT

_SERVER = "server"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("workload", choices=sorted(catalog.STEADY))
    parser.add_argument("--system", choices=sorted(catalog.SYSTEMS), default="twingraph")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    parser.add_argument("--exact", action="store_true", help="count every call instead of sampling")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to repeat the workload")
    parser.add_argument("--top", type=int, default=25, help="lines per table")
    parser.add_argument("--areas", action="store_true", help="one table: which part of the house costs how much")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.inside:
        _repeat(given, given.inside)
        return 0
    passed = list(arguments or sys.argv[1:])
    if given.areas:
        return _print_areas(passed, given)
    nodes, reports = _run(passed, given)
    if not nodes:
        return 1
    print(f"{given.workload} of {given.system}: {nodes:,} nodes; microseconds of processor time per node")
    for report in reports:
        if report["threads"]:
            print("\n".join(_tables(report, nodes, given.top)))
    if len(reports) == 1:
        print("(No other Python process sampled itself: they ignored PYTHONPATH, or there were none.)")
    return 0


def _run(arguments: list[str], given: argparse.Namespace) -> tuple[int, list[dict[str, Any]]]:
    """How many nodes there were, none when it failed, and what each process has to say."""
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if _start(arguments, given, folder):
            return 0, []
        nodes = int((folder / "nodes").read_text())
        return nodes, [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def _print_areas(arguments: list[str], given: argparse.Namespace) -> int:
    """What each thread costs comes from a run that is hardly slowed down, how it is split from one that counts all."""
    given.exact = False
    nodes, plain = _run(arguments, given)
    given.exact = True
    counted_nodes, counted = _run(arguments, given)
    if not nodes or not counted_nodes:
        return 1
    totals, shares = _by_role(plain, "threads"), _by_role(counted, "areas")
    print(f"| {given.workload} of {given.system}, us per node | {' | '.join(sorted(totals))} | all |")
    print(f"| -- | {'-- | ' * (len(totals) + 1)}")
    rows: dict[str, dict[str, float]] = {}
    for role, parts in totals.items():
        split = shares.get(role, {}) or {areas.OTHER: 1.0}
        whole = sum(split.values())
        for area, part in split.items():
            rows.setdefault(area, {})[role] = sum(parts.values()) / nodes * 1e6 * part / whole
    for area in areas.ORDER:
        if sum(rows.get(area, {}).values()) >= 0.5:
            print(f"| {area} | {_cells(rows[area], totals)} |")
    summed = {role: sum(parts.values()) / nodes * 1e6 for role, parts in totals.items()}
    print(f"| all | {_cells(summed, totals)} |")
    return 0


def _cells(costs: Mapping[str, float], roles: Mapping[str, object]) -> str:
    cells = [f"{costs[role]:.0f}" if costs.get(role, 0.0) >= 0.5 else "" for role in sorted(roles)]
    return " | ".join([*cells, f"{sum(costs.values()):.0f}"])


def _by_role(reports: Sequence[Mapping[str, Any]], what: str) -> dict[str, dict[str, float]]:
    """Seconds by what the thread is for."""
    found: dict[str, dict[str, float]] = {}
    for report in reports:
        for thread, spent in report[what].items():
            role = _role(report["command"], thread)
            known = found.setdefault(role, {})
            for area, seconds in spent.items() if isinstance(spent, dict) else [(thread, spent)]:
                known[area] = known.get(area, 0.0) + seconds
    return {role: spent for role, spent in found.items() if sum(spent.values()) > 0.001}


def _role(command: str, thread: str) -> str:
    if command == _SERVER:
        return _SERVER
    if "benchmarks.profile" not in command:
        return "workers"
    if "conductor" in thread:
        return "conductor"
    return "script" if thread.startswith("MainThread") else "bodies and others"


def _start(arguments: list[str], given: argparse.Namespace, folder: Path) -> int:
    system = catalog.system(given.system)
    with ExitStack() as stack:
        told: Mapping[str, str] = {}
        if system.database is not None:
            server = stack.enter_context(databases.server())
            told = stack.enter_context(server.variables(given.system, system.database))
        return _start_with({**system.environment(folder), **told}, arguments, given, folder)


def _start_with(told: Mapping[str, str], arguments: list[str], given: argparse.Namespace, folder: Path) -> int:
    variables = {
        **os.environ,
        **told,
        "PYTHONPATH": f"{ROOT / 'benchmarks' / 'inject'}{os.pathsep}{ROOT}",
        "BENCHMARK_PROFILE": str(folder),
    }
    if given.exact:
        variables["BENCHMARK_EXACT"] = "1"
    command = [sys.executable, "-m", "benchmarks.profile", *arguments, "--inside", str(folder)]
    return subprocess.run(command, env=variables, cwd=folder, check=False).returncode


def _repeat(given: argparse.Namespace, folder: Path) -> None:
    workload = catalog.STEADY[given.workload]
    n = workload.sizes[given.size]
    system = catalog.system(given.system)(folder)
    system.setup()
    try:
        system.draw(workload.name, n)
        checked(system, workload, n)
        (folder / "on").touch()
        time.sleep(0.1)
        beside = meter.beside()
        before = meter.tree_cpu_s(beside) if beside is not None else 0.0
        calls, begun = 0, time.perf_counter()
        while not calls or time.perf_counter() - begun < given.seconds:
            checked(system, workload, n)
            calls += 1
        (folder / "on").unlink()
        if beside is not None:
            _tell_of(meter.tree_cpu_s(beside) - before, folder)
        time.sleep(0.5)  # long enough for the workers' samplers to notice and write
        _wait_for(folder / f"{os.getpid()}.json")
        (folder / "nodes").write_text(str(calls * workload.nodes(n)))
    finally:
        system.teardown()


def _tell_of(server_s: float, folder: Path) -> None:
    """What the server beside it has cost, told as its own processes tell it."""
    report = {
        "command": _SERVER,
        "threads": {_SERVER: server_s},
        "lines": {_SERVER: {}},
        "functions": {_SERVER: {}},
        "areas": {_SERVER: {areas.SERVER: server_s}},
    }
    (folder / "server.json").write_text(json.dumps(report))


def _wait_for(report: Path, seconds: float = 20.0) -> None:
    """Our own has the most to say."""
    until = time.monotonic() + seconds
    while not report.exists() and time.monotonic() < until:
        time.sleep(0.05)


def _tables(report: Mapping[str, Any], nodes: int, top: int) -> list[str]:
    lines = [f"\n== {report['command']}"]
    for thread, spent in sorted(report["threads"].items(), key=lambda item: -item[1]):
        lines.append(f"\n-- thread {thread}: {spent / nodes * 1e6:.1f}")
        for title, table in (("at", report["lines"]), ("inside", report["functions"])):
            lines.append(f"   {title}:")
            ranked = sorted(table[thread].items(), key=lambda item: -item[1])[:top]
            lines += [
                f"   {cost / nodes * 1e6:8.1f}  {place}{_calls(report, thread, place, nodes)}" for place, cost in ranked
            ]
    return lines


def _calls(report: Mapping[str, Any], thread: str, place: str, nodes: int) -> str:
    if "calls" not in report:
        return ""
    return f"  ({report['calls'][thread][place] / nodes:.2f} calls per node)"


if __name__ == "__main__":
    sys.exit(main())
