"""`make check`, `make test` and `make coverage`: what people and CI run, defined once.

`check` is the quick gate: format, lint, types, rooms, and the tests that need nothing outside their process.
`test` is everything: the same, then all tests on the main Python, then the library's tests on the newest further Python
of the machine, and units and conformance on those between. Every step runs even after one has failed, so that one run
shows all. `coverage` tells which lines the tests on the main Python reach in their own processes.
"""

import argparse
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from tools.environments import ROOT, Environment, environment_of
from tools.pythons import further, main_python

REPORTS = ROOT / ".cache" / "reports"
CODE = ["twingraph", "tests", "tools", "examples"]
QUICK = ["unit", "pipelines", "simulation", "house"]
COMPUTING = ["pipelines", "simulation"]  # thousands of lives, in processes that nothing else has touched
EVERYTHING = ["unit", "conformance", "integration", "reference", "browser", "house"]
LIBRARY = ["unit", "conformance", "integration"]  # what the newest Python has to show; the rest is about the checkout
BETWEEN = ["unit", "conformance"]  # and those between the oldest and the newest: every part, and every promise
# Engines, brokers and stores that end in the middle do so alike on every Python; their promises are held on each.
ONCE = ["docker", "celery", "services", "blobs", "postgres", "secrets"]


class Step(NamedTuple):
    name: str
    command: List[str]
    report: Optional[Path] = None
    environment: Optional[Environment] = None  # made right before the step, so that tests begin early


class Count(NamedTuple):
    passed: int = 0
    failed: int = 0
    skipped: int = 0


def static_steps(environment: Environment) -> List[Step]:
    tool = environment.bin
    return [
        Step("format", [str(tool / "ruff"), "format", "--check", "--quiet", "."]),
        Step("lint", [str(tool / "ruff"), "check", "--quiet", "."]),
        Step("types", [str(tool / "mypy"), "--no-error-summary"]),
        Step("rooms", [str(tool / "lint-imports"), "--cache-dir", ".cache/import-linter"]),
    ]


def services_step(environment: Environment) -> Step:
    """Brings the services here, which may take minutes; tests start and stop them by themselves."""
    return Step("services", [environment.interpreter, "-m", "tools.services", "install"])


def test_step(environment: Environment, kinds: List[str], flags: List[str], *, called: str) -> Step:
    """The tests of these kinds that exist; a kind is a folder of `tests`."""
    folders = [f"tests/{kind}" for kind in kinds if (ROOT / "tests" / kind).is_dir()]
    report = REPORTS / f"{called}-{environment.python.name}.xml"
    own_cache = f"cache_dir=.cache/pytest-{environment.python.name}"
    command = [
        environment.interpreter,
        "-m",
        "pytest",
        "-q",
        "-o",
        own_cache,
        f"--junit-xml={report}",
        *flags,
        *folders,
    ]
    return Step(f"{called} on Python {environment.python.name}", command, report, environment)


def run(step: Step) -> bool:
    print(f"\n--- {step.name}", flush=True)
    if step.report is not None and step.report.exists():
        step.report.unlink()
    began = time.monotonic()
    code = carry_out(step)
    verdict = "ok" if code == 0 else f"FAILED (exit {code})"
    print(f"--- {step.name}: {verdict}, {time.monotonic() - began:.1f} s", flush=True)
    return code == 0


def carry_out(step: Step) -> int:
    if step.environment is not None:
        try:
            step.environment.ensure("dev")
        except subprocess.CalledProcessError as error:
            print(f"the environment could not be made: {error}", flush=True)
            return error.returncode
    return subprocess.run(step.command, cwd=str(ROOT), stdin=subprocess.DEVNULL).returncode


def count(report: Path) -> Count:
    """What a test run says about itself; a run that left no report counts as one failure."""
    if not report.exists():
        return Count(failed=1)
    suites = list(ElementTree.parse(str(report)).getroot().iter("testsuite"))
    total, failures, errors, skipped = (
        sum(int(suite.get(name, "0")) for suite in suites) for name in ("tests", "failures", "errors", "skipped")
    )
    return Count(total - failures - errors - skipped, failures + errors, skipped)


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def close(results: List[Tuple[Step, bool]], began: float) -> int:
    """The closing words, and the exit code that they amount to."""
    counts = [count(step.report) for step, _ in results if step.report is not None]
    total = Count(*(sum(column) for column in zip(*counts))) if counts else Count()
    broken = [step.name for step, ok in results if not ok]
    print()
    if broken:
        print("failed: " + ", ".join(broken))
    refused = in_ci() and total.skipped > 0
    if refused:
        print("failed: a test was skipped; where a test cannot run it is left out by `only_where`, with its reason")
    numbers = {"failed": total.failed, "passed": total.passed, "skipped": total.skipped}
    words = [f"{number} {word}" for word, number in numbers.items() if number]
    print(f"===== {', '.join(words) or 'no tests'} in {time.monotonic() - began:.2f}s =====", flush=True)
    return 1 if broken or refused else 0


def check(environment: Environment, jobs: List[str]) -> List[Step]:
    return [*static_steps(environment), test_step(environment, QUICK, jobs, called="tests")]


def everything(environment: Environment, jobs: List[str]) -> List[Step]:
    steps = [*static_steps(environment), services_step(environment)]
    steps.append(test_step(environment, COMPUTING, jobs, called="simulations"))
    steps.append(test_step(environment, EVERYTHING, ["--durations=10", *jobs], called="tests"))
    others = further(environment.python)
    names = ", ".join(python.name for python in others.values()) or "none"
    print(f"main Python {environment.python.name}; further Pythons from 3.11 on this machine: {names}", flush=True)
    once = [f"--ignore=tests/integration/{folder}" for folder in ONCE]
    for number, python in enumerate(others.values(), start=1):
        kinds = LIBRARY if number == len(others) else BETWEEN
        steps.append(test_step(environment_of(python, main=False), kinds, [*once, *jobs], called="tests"))
    return steps


def coverage(environment: Environment, jobs: List[str]) -> List[Step]:
    told = ["--cov", "--cov-report=term"]
    return [services_step(environment), test_step(environment, EVERYTHING, [*told, *jobs], called="coverage")]


PLANS: Dict[str, Callable[[Environment, List[str]], List[Step]]] = {
    "check": check,
    "test": everything,
    "coverage": coverage,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gate", choices=tuple(PLANS))
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="test processes at once (default: all cores)"
    )
    arguments = parser.parse_args()
    began = time.monotonic()
    environment = environment_of(main_python(), main=True)
    environment.ensure("dev")
    REPORTS.mkdir(parents=True, exist_ok=True)
    jobs = ["-n", str(arguments.jobs)] if arguments.jobs > 1 else []
    return close([(step, run(step)) for step in PLANS[arguments.gate](environment, jobs)], began)


if __name__ == "__main__":
    sys.exit(main())
