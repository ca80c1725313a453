"""Whole processes: started, watched and reaped, with all that they leave behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import meter
from benchmarks.base import System

_SCRIPTS = Path(__file__).parent / "cold"
_BODIES = Path(__file__).parent / "bodies"
_LIMIT_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one process tree cost from its start to the end of its first process, with the server beside it."""

    code: int | None
    """The exit code; None when it was killed at its time limit."""
    text: str
    wall_s: float
    cpu_s: float
    rss_bytes: int
    pss_bytes: int


def run(command: list[str], environment: Mapping[str, str], folder: Path, limit_s: float, period_s: float) -> Outcome:
    """Run a command in `folder`. What outlives it is killed and counted; the caller has no other children meanwhile."""
    beside = int(environment[meter.BESIDE]) if meter.BESIDE in environment else None
    with tempfile.TemporaryFile() as output:
        before, begun = _spent_s(beside), time.perf_counter()
        process = subprocess.Popen(
            command,
            env=as_installed({**os.environ, **environment}, folder),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        watch = meter.MemoryWatch(process.pid, period_s, beside)
        watch.start()
        alarm = threading.Timer(limit_s, process.kill)  # waiting with a time limit would poll, up to 50 ms late
        alarm.daemon = True
        alarm.start()
        try:
            code = process.wait()
            wall = time.perf_counter() - begun
        finally:
            alarm.cancel()
            watch.stop()
            meter.end_descendants()
        output.seek(0)
        text = output.read().decode(errors="replace")
    return Outcome(
        code=None if code == -signal.SIGKILL and wall >= limit_s else code,
        text=text,
        wall_s=wall,
        cpu_s=_spent_s(beside) - before,
        rss_bytes=watch.rss_bytes,
        pss_bytes=watch.pss_bytes,
    )


def as_installed(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What is installed is compiled. Where the environment forbids to leave that beside the sources, it is left in
    `folder`: else every process would compile all modules anew, which takes longer than all the rest of a short one."""
    variables = dict(environment)
    if variables.pop("PYTHONDONTWRITEBYTECODE", None):
        variables["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
    return variables


def import_command(system: type[System], python: str) -> list[str]:
    return [python, "-c", f"import {system.imports}"]


def hello_command(script: str, python: str) -> list[str]:
    return [python, str(_SCRIPTS / script)]


def body_command(script: str, python: str, workload: str, n: int) -> list[str]:
    return [python, str(_BODIES / script), workload, str(n)]


def run_cold(command: list[str], environment: Mapping[str, str], folder: Path) -> Outcome:
    return run(command, environment, folder, _LIMIT_S, 0.005)


def _spent_s(beside: int | None) -> float:
    gone = resource.getrusage(resource.RUSAGE_CHILDREN)
    return gone.ru_utime + gone.ru_stime + (meter.tree_cpu_s(beside) if beside is not None else 0.0)
