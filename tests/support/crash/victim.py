"""The command line, killing itself at a chosen point: `python -m tests.support.crash.victim POINT N ARGS`.

The makers that the wiring joins are exchanged for ones that count what they are asked to do.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from twingraph.cli import main
from twingraph.dispatch import embedded
from twingraph.dispatch.base import Lane
from twingraph.engine.conductor import Conductor
from twingraph.engine.sizes import Sizes
from twingraph.settings import Settings
from twingraph.store.base import Append, Claim, LimitTurn, Wanting
from twingraph.store.blobs.base import BlobStore, BlobWriter
from twingraph.store.home import Home
from twingraph.store.sqlite import store
from twingraph.store.sqlite.journal import SqliteJournal
from twingraph.wiring import makers, running

POINTS = ("before commit", "after commit", "before dispatch", "after dispatch", "before blob", "after blob",
          "before snapshot", "after snapshot", "before claim", "after claim", "never")  # fmt: skip

wanted, left = sys.argv[1], int(sys.argv[2])


def reach(point: str) -> None:
    global left
    if point == wanted:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def commit(batch: Sequence[Append]) -> Iterator[None]:
    snapshot = any(part.snapshot is not None for part in batch)
    reach("before commit")
    if snapshot:
        reach("before snapshot")
    yield
    if snapshot:
        reach("after snapshot")
    reach("after commit")


class Journal(SqliteJournal):
    def append(self, batch: Sequence[Append]) -> set[int]:
        with commit(batch):
            return super().append(batch)

    def append_and_ask(self, batch: Sequence[Append], turn: LimitTurn) -> tuple[set[int], Sequence[Wanting]]:
        with commit(batch):
            return super().append_and_ask(batch, turn)

    def claim(self, execution_id: str, owner: str) -> Claim:
        reach("before claim")
        claim = super().claim(execution_id, owner)
        reach("after claim")
        return claim


class Pool(embedded.EmbeddedPool):
    def submit(self, lane: Lane) -> None:
        reach("before dispatch")
        super().submit(lane)
        reach("after dispatch")


def blobs_of(settings: Settings, home: Home) -> BlobStore:
    """Those of the settings, wherever they are."""
    blobs = makers.blobs_of(settings, home)
    begin = blobs.writer

    def writer() -> BlobWriter:
        reach("before blob")
        made = begin()
        commit = made.commit

        def committed() -> str:
            digest = commit()
            reach("after blob")
            return digest

        made.commit = committed  # type: ignore[method-assign]
        return made

    blobs.writer = writer  # type: ignore[method-assign]
    return blobs


if __name__ == "__main__":
    store.SqliteJournal = Journal  # type: ignore[attr-defined]
    running.blobs_of = blobs_of  # type: ignore[attr-defined]
    embedded.EmbeddedPool = Pool  # type: ignore[misc]
    often = Sizes(snapshot_events=60, snapshot_events_per_node=0)
    running.Conductor = partial(Conductor, sizes=often)  # type: ignore[attr-defined,assignment]
    sys.exit(main(sys.argv[3:]))
