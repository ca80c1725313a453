"""Results as Markdown: the same text for the terminal and for the marked section of the README."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import catalog
from benchmarks.figures import BUDGETS
from benchmarks.suite import Options, Results

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"

_COLUMNS = (
    ("chain wall ms", "chain.wall_ms"),
    ("chain CPU ms", "chain.cpu_ms"),
    ("fan wall ms", "fan.wall_ms"),
    ("fan CPU ms", "fan.cpu_ms"),
    ("hello wall ms", "hello.wall_ms"),
    ("hello CPU ms", "hello.cpu_ms"),
    ("steady PSS MB", "steady.pss_mb"),
    ("steady RSS MB", "steady.rss_mb"),
    ("loop CPU ms", "loop.cpu_ms"),
    ("loop growth -", "loop.growth"),
    ("replay us", "replay.again_us"),
    ("resume wall us", "replay.call_us"),
    ("resume CPU us", "replay.cpu_us"),
    ("resume body us", "replay.body_us"),
    ("waiting PSS MB", "waiting.pss_mb"),
    ("import s", "import.wall_s"),
    ("cold hello s", "cold.wall_s"),
    ("cold CPU s", "cold.cpu_s"),
    ("cold PSS MB", "cold.pss_mb"),
    ("cold RSS MB", "cold.rss_mb"),
)


def render(results: Results, options: Options) -> str:
    columns = [column for column in _COLUMNS if results.figures.everything(column[1])]
    parts = [_circumstances(results, options), _figures(results, options, columns)]
    parts += _ratios(results, options, columns)
    if options.size == "full":
        parts += _budgets(results)
    parts += _notes(results, options)
    return "\n\n".join(part for part in parts if part) + "\n"


def write(readme: Path, text: str) -> None:
    """Replace what stands between the marks."""
    before, _, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{readme.name} has no section between {BEGIN} and {END}")
    readme.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def _circumstances(results: Results, options: Options) -> str:
    lasted = sum(results.figures.everything("others.lasted_s"))
    spent = max(0.0, sum(results.figures.everything("others.spent_s")))
    others = f"{spent / lasted:.2f} cores" if lasted else "not measured"
    sizes = ", ".join(
        f"{name} {_size(name, options.size):,}"
        for name in options.workloads
        if name in ("chain", "fan", *catalog.BODIES)
    )
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {len(os.sched_getaffinity(0))} cores ({_processor()}), "
        f"{memory_gib:.0f} GiB, {platform.system()} {platform.release()}, Python {platform.python_version()}. "
        f"Rounds: {options.rounds}; sizes: {options.size}{f' ({sizes})' if sizes else ''}. "
        f"Used by other processes meanwhile: {others}."
    )


def _size(workload: str, size: str) -> int:
    return catalog.BODIES[workload][size] if workload in catalog.BODIES else catalog.STEADY[workload].sizes[size]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _figures(results: Results, options: Options, columns: Sequence[tuple[str, str]]) -> str:
    header = ["system", "version", *(title for title, _ in columns), "kept"]
    rows = []
    for name in options.systems:
        if name in results.missing:
            continue
        system, found = catalog.system(name), results.figures
        cells = [_number(found.median(name, metric)) for _, metric in columns]
        rows.append([system.title + _mark(results, name), results.versions[name], *cells, system.keeps])
    return "**Figures** (medians over the rounds; chain, fan, loop and replay per node)\n\n" + _table(header, rows)


def _mark(results: Results, name: str) -> str:
    return " (failed)" if name in results.failures else ""


def _ratios(results: Results, options: Options, columns: Sequence[tuple[str, str]]) -> Iterable[str]:
    measured = [name for name in options.systems if results.figures.rounds(name)]
    peers = [name for name in measured if not catalog.system(name).ours]
    for ours in (name for name in measured if catalog.system(name).ours and peers):
        rows = [
            [catalog.system(peer).title, *(_number(results.figures.ratio(ours, peer, metric)) for _, metric in columns)]
            for peer in peers
        ]
        header = ["peer", *(title.rpartition(" ")[0] for title, _ in columns)]
        yield f"**{catalog.system(ours).title}: ours / peer** (below 1: ours is cheaper)\n\n" + _table(header, rows)


def _budgets(results: Results) -> Iterable[str]:
    rows = []
    for budget in BUDGETS:
        value = results.figures.median(budget.system, budget.metric)
        if value is not None:
            verdict = "kept" if value <= budget.limit else "missed"
            rows.append([budget.what, f"{budget.limit:g}", _number(value), verdict])
    if rows:
        yield "**Budgets**\n\n" + _table(["what", "at most", "measured", ""], rows)


def _notes(results: Results, options: Options) -> Iterable[str]:
    problems = [f"- {name} failed: {_flat(reason)}" for name, reason in results.failures.items()]
    problems += [
        f"- {name} is not measured: it could not be installed (the run's error output says why)."
        for name in results.missing
    ]
    if problems:
        yield "**Not as it should be**\n\n" + "\n".join(problems)
    left = [
        f"- {catalog.system(name).title}: of the {workload} CPU, {_number(share)} ms per node came after the result."
        for name in options.systems
        for workload in ("chain", "fan", "hello")
        if (share := results.figures.median(name, f"{workload}.left_ms")) is not None
        and share > 0.1 * (results.figures.median(name, f"{workload}.cpu_ms") or 0)
    ]
    if left:
        yield "**Work left over when the result was there** (where it is more than a tenth)\n\n" + "\n".join(left)
    settings = [f"- {catalog.system(name).title}: {catalog.system(name).settings}." for name in options.systems]
    yield "**Settings**\n\n" + "\n".join(settings)


def _flat(reason: str) -> str:
    return " ".join(reason.split())


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["--"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
