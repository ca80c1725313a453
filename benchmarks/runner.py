"""Runs the steady-state workloads of one system once: a process of its own, inside the system's environment.

Called by the harness as `python -m benchmarks.runner SYSTEM SIZE FOLDER OUT WORKLOAD...`; writes one JSON object per
line to OUT, since a peer may print what it likes.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

from benchmarks import catalog, meter
from benchmarks.base import System, Workload

_QUIET_SHARE = 0.1
_QUIET_STEP_S = 0.1
_QUIET_LIMIT_S = 30.0


class WrongResultError(Exception):
    """A system returned something else than the workload's result, so that its figures mean nothing."""


def main(arguments: list[str]) -> int:
    name, size, folder, out, *workloads = arguments
    meter.adopt_orphans()
    system = catalog.system(name)(Path(folder))
    with open(out, "w", buffering=1) as lines:
        try:
            system.setup()
            for workload in (catalog.STEADY[chosen] for chosen in workloads):
                _measure(system, workload, size, lines)
        except Exception as error:  # the edge to foreign code: whatever it raises is reported under its name
            traceback.print_exc()
            _write(lines, error=f"{type(error).__name__}: {error}"[:500])
            return 1
        finally:
            system.teardown()
    return 0


def _measure(system: System, workload: Workload, size: str, lines: TextIO) -> None:
    n = workload.sizes[size]
    for drawn in dict.fromkeys((workload.sizes["small"], n)):
        system.draw(workload.name, drawn)
    checked(system, workload, workload.sizes["small"])
    clock = meter.TreeClock()
    _wait_until_quiet(clock)
    walls: list[float] = []
    busy, start, cpu = meter.machine_busy_s(), time.perf_counter(), clock.cpu_s()
    while not walls or (len(walls) < workload.calls[size] and sum(walls) < workload.enough_s):
        begun = time.perf_counter()
        checked(system, workload, n)
        walls.append(time.perf_counter() - begun)
    spent, lasted = clock.cpu_s() - cpu, time.perf_counter() - start
    others = meter.machine_busy_s() - busy - spent
    after = _wait_until_quiet(clock)
    _write(
        lines,
        workload=workload.name,
        n=n,
        nodes=workload.nodes(n),
        calls=len(walls),
        wall_s=statistics.median(walls),
        cpu_s=spent / len(walls),
        after_cpu_s=after / len(walls),
        others_s=others,
        lasted_s=lasted,
    )


def checked(system: System, workload: Workload, n: int) -> None:
    result, expected = workload.run(system, n), workload.expected(n)
    if result != expected:
        raise WrongResultError(f"{workload.name} of {n} gave {result!r}, not {expected!r}")


def _wait_until_quiet(clock: meter.TreeClock) -> float:
    """Wait until the tree has nothing left to do; the processor time that it took to get there.

    Some systems return before they have stored what happened: that work is theirs, not the next workload's.
    """
    begun = time.perf_counter()
    first = last = clock.cpu_s()
    calm = 0
    while calm < 2 and time.perf_counter() - begun < _QUIET_LIMIT_S:
        time.sleep(_QUIET_STEP_S)
        now = clock.cpu_s()
        calm = calm + 1 if now - last < _QUIET_SHARE * _QUIET_STEP_S else 0
        last = now
    return last - first


def _write(lines: TextIO, **fields: Any) -> None:
    lines.write(json.dumps(fields) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
