"""`python -m benchmarks`: measure ours beside peers, print the tables, keep the raw figures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import catalog, report, suite

_HERE = Path(__file__).resolve().parent


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    given = parser.parse_args(arguments)
    unknown = [name for name in given.workloads if name not in catalog.WORKLOADS]
    if unknown:
        parser.error(f"no workload {', '.join(unknown)}; there are {', '.join(catalog.WORKLOADS)}")
    if given.write and given.size != "full":
        parser.error("--write is for figures of full size")
    options = suite.Options(
        workloads=given.workloads or catalog.WORKLOADS,
        systems=given.systems,
        rounds=given.reps or {"small": 1, "full": 3}[given.size],
        size=given.size,
        python=given.python,
        cache=given.cache,
        limit_s=given.limit,
    )
    results = suite.measure(options)
    text = report.render(results, options)
    print(text)
    _keep(results)
    if results.failures:
        return 1
    if given.write:
        report.write(_HERE / "README.md", text)
    return 0


def _keep(results: suite.Results) -> None:
    folder = _HERE / "results"
    folder.mkdir(exist_ok=True)
    raw = {
        "versions": results.versions,
        "missing": results.missing,
        "failures": results.failures,
        "figures": [asdict(figure) for figure in results.figures.found],
    }
    (folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json").write_text(json.dumps(raw, indent=1) + "\n")


def _list_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}")
        return names

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"{', '.join(catalog.WORKLOADS)} (default: all)"
    )
    systems = tuple(catalog.SYSTEMS)
    parser.add_argument("--systems", type=_list_of(systems), default=list(systems), help=", ".join(systems))
    parser.add_argument("--reps", type=int, help="rounds (default: 3; 1 when small)")
    parser.add_argument("--size", choices=("small", "full"), default="full", help="small only tries the harness out")
    parser.add_argument("--python", default=sys.executable, help="makes the peers' environments (default: this one)")
    parser.add_argument("--cache", type=Path, default=suite.ROOT / ".cache" / "benchmarks", help="the environments")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for one system in one round")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
