"""`python -m benchmarks.prune`: pruning a home with a million nodes, and how long a writer waits for it.

The homes are those of `benchmarks.homes`, with values in the blob store beside some of their nodes; half of the
executions are pruned while another process appends as a busy conductor does.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from contextlib import closing
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

from benchmarks.homes import SHAPES, make
from twingraph.store.base import Append, NewExecution, Row
from twingraph.store.blobs.local import LocalBlobs
from twingraph.store.home import Home
from twingraph.store.prune import Prune, Retention
from twingraph.store.sqlite.journal import SqliteJournal
from twingraph.store.sqlite.prune import SqlitePrune
from twingraph.store.sqlite.schema import prepare


class TimedPrune(SqlitePrune):
    """Remembers how long each change held the database."""

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self.spent: list[float] = []

    def _write(self, statement: str, values: tuple[object, ...]) -> int:
        began = time.perf_counter()
        try:
            return super()._write(statement, values)
        finally:
            self.spent.append(time.perf_counter() - began)


def add_blobs(home: Home, count: int) -> None:
    """So many blobs of two days ago, each mentioned by an event of some execution."""
    blobs = LocalBlobs(home.path)
    then = time.time() - 2 * 86_400
    with closing(SqliteJournal(home)) as journal:
        numbers = [row[0] for row in journal._db.execute("select number from executions")]
        for index in range(count):
            digest = blobs.put(index.to_bytes(8, "big") * 100)
            os.utime(home.blobs / digest[:2] / digest[2:], (then, then))
            text = f'{{"$":"ref","rung":"bytes","hash":"{digest}","size":800}}'
            number = numbers[index % len(numbers)]
            journal._db.execute(
                "update events set data = ? where execution = ? and seq = ?", (text, number, 4 + index // len(numbers))
            )


def write(path: Path, ready: Event, alone: Event, stop: Event, told: Connection) -> None:
    """A busy conductor: one commit after another, each timed."""
    home = Home(path).open()
    journal = SqliteJournal(home)
    new = NewExecution(
        id="exec-live", workflow_id="live", name="live", created_at=time.time(), owner="w", origin="script",
        target=None, code_version=None,
    )  # fmt: skip
    claim = journal.create(new, Append(number=0, epoch=1, rows=[Row(1, "created", 0.0, "{}", None)]))
    before: list[float] = []
    beside: list[float] = []
    seq = 1
    ready.set()
    while not stop.is_set():
        rows = [Row(seq + number, "node_ended", 0.0, '["n"]', "1") for number in range(1, 11)]
        began = time.perf_counter()
        journal.append([Append(number=claim.number, epoch=1, rows=rows)])
        (beside if alone.is_set() else before).append(time.perf_counter() - began)
        seq += 10
        time.sleep(0.002)
    told.send((before, beside))


def measure(shape: str, blobs: int) -> None:
    executions, nodes = SHAPES[shape]
    with tempfile.TemporaryDirectory(prefix="twingraph-prune-") as folder:
        path = Path(folder) / "home"
        make(path, executions, nodes)
        home = Home(path).open()
        prepare(home)
        add_blobs(home, blobs)
        half = 1_700_000_000.0 + executions // 2 * 60 + 50
        store = TimedPrune(home)
        began = time.perf_counter()
        Prune(store, LocalBlobs(path)).plan(Retention(ended_before=half))
        print(f"{shape}, {blobs:,} blobs: dry run {time.perf_counter() - began:.1f} s", flush=True)
        context = multiprocessing.get_context("spawn")
        ready, alone, stop = context.Event(), context.Event(), context.Event()
        ours, theirs = context.Pipe()
        writer = context.Process(target=write, args=(path, ready, alone, stop, theirs))
        writer.start()
        ready.wait()
        time.sleep(3)  # the writer alone, for comparison
        alone.set()
        store.spent.clear()
        began = time.perf_counter()
        pruned = Prune(store, LocalBlobs(path)).run(Retention(ended_before=half))
        spent = time.perf_counter() - began
        stop.set()
        before, beside = ours.recv()
        writer.join()
        counts = f"{len(pruned.executions):,} executions, {pruned.rows:,} rows, {pruned.blobs:,} blobs"
        print(f"  prune {spent:.1f} s: {counts}", flush=True)
        print(f"  a change: {_spread(store.spent)}", flush=True)
        print(f"  a conductor's commit: {_spread(beside)}; before: {_spread(before)}", flush=True)
        home.close()


def _spread(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    figures = (statistics.median(ordered), ordered[-1 - len(ordered) // 100], ordered[-1])
    return "median {:.1f} ms, 99 % {:.1f}, worst {:.1f}".format(*(figure * 1e3 for figure in figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, action="append")
    parser.add_argument("--blobs", type=int, default=5_000)
    given = parser.parse_args()
    for shape in given.shape or SHAPES:
        measure(shape, given.blobs)


if __name__ == "__main__":
    main()
