"""Prunes a home and kills itself at a chosen step: `python -m tests.support.prune_victim HOME STEP`."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path

from tests.support.pruning import DAY
from twingraph.store.blobs.local import LocalBlobs
from twingraph.store.home import Home
from twingraph.store.prune import Prune, Retention
from twingraph.store.sqlite.prune import SqlitePrune

left = int(sys.argv[2])


def step() -> None:
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


class Store(SqlitePrune):
    def _change(self, statement: str, *values: object) -> int:
        step()
        done = super()._change(statement, *values)
        step()
        return done

    def remove_rows(self, table: str, number: int, most: int) -> int:
        return super().remove_rows(table, number, min(most, 2))


class Blobs(LocalBlobs):
    def delete(self, digest: str, *, before: datetime | None = None) -> bool:
        step()
        done = super().delete(digest, before=before)
        step()
        return done


if __name__ == "__main__":
    home = Home(Path(sys.argv[1])).open()
    now = float(sys.argv[3])
    with closing(Store(home)) as store:
        Prune(store, Blobs(home.path), now=lambda: now, pause=lambda _: None).run(
            Retention(ended_before=now - 30 * DAY, keep=1)
        )
