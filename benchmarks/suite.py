"""One run: every system in turn, round after round, each time in fresh processes and a fresh folder."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import catalog, databases, environments, meter, whole
from benchmarks.base import System
from benchmarks.figures import Figures

ROOT = Path(__file__).resolve().parent.parent
_MB = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to measure and with what."""

    workloads: Sequence[str]
    systems: Sequence[str]
    rounds: int
    size: str
    python: str
    """Makes the peers' environments and runs the systems that need none."""
    cache: Path
    limit_s: float
    """For the steady-state workloads of one system in one round."""


@dataclass(slots=True)
class Results:
    """What came out of a run."""

    figures: Figures = field(default_factory=Figures)
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Systems that could not be installed, with the reason."""
    failures: dict[str, str] = field(default_factory=dict)
    """Systems that failed or gave a wrong result, with the reason."""


class _FailedError(Exception):
    """A system broke or gave a wrong result; its further rounds are not run."""


def measure(options: Options) -> Results:
    """Measure in rounds A B C, B C A, ...: drift of a shared machine then falls on all of them alike."""
    meter.adopt_orphans()
    results = Results()
    pythons = _prepare(options, results)
    with ExitStack() as stack:
        needed = any(catalog.system(name).database for name in pythons)
        server = stack.enter_context(databases.server()) if needed else None
        _rounds(options, pythons, server, results)
    return results


def _rounds(options: Options, pythons: dict[str, str], server: databases.Server | None, results: Results) -> None:
    for number in range(options.rounds):
        names = [name for name in pythons if name not in results.failures]
        shift = number % len(names) if names else 0
        for name in names[shift:] + names[:shift]:
            _say(f"round {number + 1} of {options.rounds}: {name}")
            try:
                with ExitStack() as stack:
                    made = tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True)
                    folder, system = Path(stack.enter_context(made)), catalog.system(name)
                    variables = {"BENCHMARK_FOLDER": str(folder), **system.environment(folder)}
                    if system.database is not None and server is not None:
                        variables |= stack.enter_context(server.variables(name, system.database))
                    _round(system, pythons[name], number, options, variables, folder, results.figures)
            except _FailedError as failure:
                results.failures[name] = str(failure)
                _say(f"{name} failed: {failure}")


def _prepare(options: Options, results: Results) -> dict[str, str]:
    pythons = {}
    for name in options.systems:
        system = catalog.system(name)
        try:
            python = environments.interpreter(system, options.python, sys.executable, options.cache)
            results.versions[name] = environments.version(system, python)
        except environments.NotInstallableError as error:
            results.missing[name] = str(error)
            _say(f"{name} cannot be installed: {error}")
        else:
            pythons[name] = python
    return pythons


def _round(
    system: type[System],
    python: str,
    number: int,
    options: Options,
    variables: Mapping[str, str],
    folder: Path,
    figures: Figures,
) -> None:
    if catalog.COLD in options.workloads:
        paths = {"PYTHONPATH": str(ROOT)} if system.ours else {}
        figures.add(system.name, number, _cold(system, python, {**variables, **paths}, folder))
    variables = {**variables, "PYTHONPATH": str(ROOT)}
    if system.bodies is not None:
        for name in (name for name in options.workloads if name in catalog.BODIES):
            figures.add(system.name, number, _body(system.bodies, python, variables, folder, name, options))
    steady = [name for name in options.workloads if name in catalog.STEADY]
    if steady:
        figures.add(system.name, number, _steady(system, python, variables, folder, steady, options))


def _cold(system: type[System], python: str, variables: Mapping[str, str], folder: Path) -> Iterator[tuple[str, float]]:
    commands = [("import", whole.import_command(system, python), "")]
    if system.once is not None:
        commands.append(("cold", whole.hello_command(system.once, python), "1"))
    for workload, command, expected in commands:
        # The first run leaves the compiled modules and an initialised home behind: cold is the process, not the disk.
        outcomes = [whole.run_cold(command, variables, folder) for _ in range(2)]
        for outcome in outcomes:
            if outcome.code != 0 or not outcome.text.strip().endswith(expected):
                raise _FailedError(f"{workload}: {_ending(outcome)}")
        timed = outcomes[-1]
        yield f"{workload}.wall_s", timed.wall_s
        yield f"{workload}.cpu_s", timed.cpu_s
        yield f"{workload}.rss_mb", timed.rss_bytes / _MB
        yield f"{workload}.pss_mb", timed.pss_bytes / _MB


def _body(
    script: str, python: str, variables: Mapping[str, str], folder: Path, workload: str, options: Options
) -> Iterator[tuple[str, float]]:
    """In a folder of its own, since what one leaves behind the next would resume."""
    own = folder / workload
    own.mkdir()
    command = whole.body_command(script, python, workload, catalog.BODIES[workload][options.size])
    outcome = whole.run(command, {**variables, "TWINGRAPH_HOME": str(own / "home")}, own, options.limit_s, 0.5)
    if outcome.code != 0:
        raise _FailedError(f"{workload}: {_ending(outcome)}")
    for metric, value in json.loads(outcome.text.splitlines()[-1]).items():
        yield f"{workload}.{metric}", value


def _steady(
    system: type[System], python: str, variables: Mapping[str, str], folder: Path, steady: list[str], options: Options
) -> Iterator[tuple[str, float]]:
    out = folder / "figures.jsonl"
    command = [python, "-m", "benchmarks.runner", system.name, options.size, str(folder), str(out), *steady]
    outcome = whole.run(command, variables, folder, options.limit_s, 0.05)
    lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    for line in lines:
        if "error" in line:
            _say(outcome.text[-2000:])
            raise _FailedError(line["error"])
        workload, per_node = line["workload"], 1000 / line["nodes"]
        yield f"{workload}.wall_ms", line["wall_s"] * per_node
        yield f"{workload}.cpu_ms", (line["cpu_s"] + line["after_cpu_s"]) * per_node
        yield f"{workload}.left_ms", line["after_cpu_s"] * per_node
        yield f"{workload}.calls", line["calls"]
        yield "others.spent_s", line["others_s"]
        yield "others.lasted_s", line["lasted_s"]
    if outcome.code != 0:
        raise _FailedError(_ending(outcome))
    yield "steady.rss_mb", outcome.rss_bytes / _MB
    yield "steady.pss_mb", outcome.pss_bytes / _MB


def _ending(outcome: whole.Outcome) -> str:
    how = "killed at its time limit" if outcome.code is None else f"exit code {outcome.code}"
    return f"{how}, after saying: {' '.join(outcome.text.split())[-400:]}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
