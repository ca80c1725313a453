"""`python -m benchmarks.conductors`: small executions per second, with one and with three conductors on one PostgreSQL,
beside one on SQLite. Ours alone, on this machine.

A conductor is a process with two workers whose threads run one workflow after another. CPU is that of everything,
the server included; the time of one execution is what its caller waits.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from benchmarks import databases, meter
from benchmarks.suite import ROOT

FLOWS = {"one": 1, "ten": 10}
CALLERS = 8
SECONDS = 5.0


class Setting(NamedTuple):
    store: str
    conductors: int


SETTINGS = (Setting("SQLite", 1), Setting("PostgreSQL", 1), Setting("PostgreSQL", 3))


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    if given.inside:
        _inside(given.inside, given.callers, given.seconds)
        return 0
    print("| nodes | store | conductors | executions/s | CPU ms each | a caller waits ms | p99 | others' cores |")
    print("| -- " * 8 + "|")
    with databases.server() as server:
        meter.adopt_orphans()
        for number in range(given.rounds):
            shift = number % len(SETTINGS)
            for flow in FLOWS:
                for setting in SETTINGS[shift:] + SETTINGS[:shift]:
                    _measure(setting, flow, given, server)
    return 0


def _measure(setting: Setting, flow: str, given: argparse.Namespace, server: databases.Server) -> None:
    with ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True)
        variables: Mapping[str, str] = {"TWINGRAPH_HOME": stack.enter_context(made) + "/home"}
        if setting.store == "PostgreSQL":
            told = server.variables(f"conductors-{flow}", "TWINGRAPH_DATABASE_URL")
            variables = {**variables, **stack.enter_context(told)}
        conductors = [_start(flow, variables, given) for _ in range(setting.conductors)]
        try:
            _report(setting, flow, conductors, server if setting.store == "PostgreSQL" else None)
        finally:
            for conductor in conductors:
                conductor.wait()
            meter.end_descendants()


def _start(flow: str, variables: Mapping[str, str], given: argparse.Namespace) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.conductors", "--inside", flow]
    command += ["--callers", str(given.callers), "--seconds", str(given.seconds)]
    environment = {**os.environ, **variables, "PYTHONPATH": str(ROOT), "TWINGRAPH_PROGRESS": "off"}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _report(
    setting: Setting, flow: str, conductors: list[subprocess.Popen[str]], server: databases.Server | None
) -> None:
    for conductor in conductors:
        _told(conductor)
    before, busy, begun = _cpu_s(conductors, server), meter.machine_busy_s(), time.perf_counter()
    for conductor in conductors:
        assert conductor.stdin is not None
        conductor.stdin.write("go\n")
        conductor.stdin.flush()
    found = [_told(conductor) for conductor in conductors]
    lasted, spent = time.perf_counter() - begun, _cpu_s(conductors, server) - before
    others = max(0.0, meter.machine_busy_s() - busy - spent) / lasted
    for conductor in conductors:
        assert conductor.stdin is not None
        conductor.stdin.close()
    waits = sorted(wait for told in found for wait in told["waits"])
    median, late = statistics.median(waits) * 1e3, waits[int(len(waits) * 0.99)] * 1e3
    print(
        f"| {FLOWS[flow]} | {setting.store} | {setting.conductors} | {len(waits) / lasted:.0f} | "
        f"{spent / len(waits) * 1e3:.2f} | {median:.1f} | {late:.1f} | {others:.2f} |",
        flush=True,
    )


def _told(conductor: subprocess.Popen[str]) -> Any:
    assert conductor.stdout is not None
    line = conductor.stdout.readline()
    if not line:
        raise RuntimeError(f"a conductor ended with exit code {conductor.wait()}")
    return json.loads(line)


def _cpu_s(conductors: list[subprocess.Popen[str]], server: databases.Server | None) -> float:
    known = meter.processes()
    roots = [conductor.pid for conductor in conductors] + ([server.pid] if server is not None else [])
    return sum(meter.tree_cpu_s(root, known) for root in roots)


def _inside(flow: str, callers: int, seconds: float) -> None:
    from benchmarks.systems import conductor_flows

    workflow, nodes = getattr(conductor_flows, flow), FLOWS[flow]
    waits: list[float] = []

    def call() -> None:
        begun = time.perf_counter()
        result = workflow.run()
        assert result == nodes, result
        waits.append(time.perf_counter() - begun)

    def call_until(end: float) -> None:
        while time.perf_counter() < end:
            call()

    for _ in range(20):
        call()
    waits.clear()
    print(json.dumps("ready"), flush=True)
    sys.stdin.readline()
    end = time.perf_counter() + seconds
    threads = [threading.Thread(target=call_until, args=(end,)) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"waits": waits}), flush=True)
    sys.stdin.read()  # until it has been measured


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conductors", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--callers", type=int, default=CALLERS, help="threads in each conductor's process")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
