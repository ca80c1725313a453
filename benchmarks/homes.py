"""`python -m benchmarks.homes`: how long a home with a million nodes takes to open, to list and to look into.

The homes are made by the journal's own code: 10 executions of 100,000 nodes, and 1,000 executions of 1,000. Each
figure is the median of several fresh processes, without the start of Python and the imports.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from twingraph.core.events import KINDS, Created, Event, ExecutionEnded, GraphClosed, GraphExtended, NodeEnded, body_of
from twingraph.core.plan import Edge, NodeSpec, PlanNode
from twingraph.core.records import Settings
from twingraph.engine.reader import Reader
from twingraph.store.base import Append, LogRow, NewExecution, Row
from twingraph.store.blobs.local import LocalBlobs
from twingraph.store.home import Home
from twingraph.store.sqlite.journal import SqliteJournal
from twingraph.store.sqlite.records import SqliteRecords
from twingraph.store.sqlite.schema import prepare

SHAPES = {"10 x 100,000": (10, 100_000), "1,000 x 1,000": (1_000, 1_000), "100,000 x 1": (100_000, 1)}
BUDGET_MS = 50.0
_PART = 1_000


def events(nodes: int) -> list[tuple[Event, str | None]]:
    """What a chain of so many nodes leaves in the journal."""
    plan = [
        PlanNode(id=f"n{i}", spec=0, edges=(Edge(source=f"n{i - 1}", param="x"),) if i else ()) for i in range(nodes)
    ]
    ended = [
        (NodeEnded(f"n{i}", 1, "completed", shape="plain", outputs=(("output", "0" * 64, 1),)), "1")
        for i in range(nodes)
    ]
    return [
        (Created(Settings()), None),
        (GraphExtended(tuple(plan), (NodeSpec(component="inc", entry="inc"),)), None),
        (GraphClosed(last_nodes=(f"n{nodes - 1}",)), None),
        *ended,
        (ExecutionEnded("completed"), "1"),
    ]


def make(path: Path, executions: int, nodes: int) -> None:
    """A home with so many executions of so many nodes each, none of them running."""
    home = Home(path).open()
    prepare(home)
    journal = SqliteJournal(home)
    kept = [(KINDS[type(event)], body_of(event), data) for event, data in events(nodes)]
    for number in range(executions):
        at = 1_700_000_000.0 + number * 60
        rows = [Row(seq, kind, at + seq / 1e4, body, data) for seq, (kind, body, data) in enumerate(kept, 1)]
        new = NewExecution(
            id=f"exec-{number:07d}",
            workflow_id=f"flow-{number % 7}",
            name="chain",
            created_at=at,
            owner="gone",
            origin="script",
            target=None,
            code_version=None,
        )
        claim = journal.create(new, Append(number=0, epoch=1, rows=rows[:1], changes={"status": "running"}))
        for first in range(1, len(rows), _PART):
            log = LogRow(at, "info", f"n{first}", "inc", 1, "stdout", "hello")
            part = Append(number=claim.number, epoch=1, rows=rows[first : first + _PART], logs=[log])
            if first + _PART >= len(rows):
                status = ("completed", "failed")[number % 20 == 0]
                part.changes = {"status": status, "completed_at": at + 50, "owner": None, "total": nodes}
            journal.append([part])
    journal.close()
    home.close()


def _open(path: Path) -> Reader:
    home = Home(path).open()
    prepare(home)
    return Reader(SqliteRecords(home), LocalBlobs(home.path))


def _post(reader: Reader) -> None:
    reader.post("exec-0000003", "cancel")


QUESTIONS: dict[str, Callable[[Reader], object]] = {
    "newest": lambda reader: reader.resolve("last"),
    "list": lambda reader: reader.executions(limit=20),
    "list, page 40": lambda reader: reader.executions(limit=20, offset=800),
    "list failed": lambda reader: reader.executions(limit=20, status="failed"),
    "list running": lambda reader: reader.executions(limit=20, status="running"),
    "list one workflow": lambda reader: reader.executions(limit=20, workflow_id="flow-3"),
    "one record": lambda reader: reader.record("exec-0000003"),
    "its logs": lambda reader: reader.logs("exec-0000003", level="info"),
    "post": _post,
}


def ask(path: Path) -> dict[str, float]:
    """Milliseconds that each question takes in this process, the first of which opens the home."""
    found: dict[str, float] = {}
    begun = time.perf_counter()
    reader = _open(path)
    found["open"] = (time.perf_counter() - begun) * 1e3
    for name, question in QUESTIONS.items():
        begun = time.perf_counter()
        question(reader)
        found[name] = (time.perf_counter() - begun) * 1e3
    reader.close()
    return found


def measure(path: Path, rounds: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.homes", "--inside", str(path)]
    told = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(rounds)]
    return {name: statistics.median(one[name] for one in told) for name in told[0]}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.homes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the homes are made")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.inside:
        print(json.dumps(ask(given.inside)))
        return 0
    slow = False
    for shape, (executions, nodes) in SHAPES.items():
        folder = Path(tempfile.mkdtemp(prefix="homes-", dir=given.folder))
        try:
            begun = time.perf_counter()
            make(folder / "home", executions, nodes)
            size = os.path.getsize(folder / "home" / "twingraph.db")
            print(f"\n{shape}: made in {time.perf_counter() - begun:.0f} s, {size / 1e6:,.0f} MB; milliseconds")
            for name, cost in measure(folder / "home", given.rounds).items():
                slow = slow or cost > BUDGET_MS
                print(f"  {name:20} {cost:8.2f}{'  over budget' if cost > BUDGET_MS else ''}")
        finally:
            shutil.rmtree(folder)
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
