"""Prune on a real home: one at a time, beside whatever runs there."""

from __future__ import annotations

from contextlib import closing

from twingraph.core.errors import ConflictError
from twingraph.settings import Settings
from twingraph.store.locks import FileLock
from twingraph.store.prune import Progress, Prune, Pruned, Retention
from twingraph.store.sqlite.prune import SqlitePrune
from twingraph.store.sqlite.store import SqliteStore
from twingraph.wiring.blob_users import check_alone
from twingraph.wiring.makers import blobs_of, open_home, open_store


def prune(settings: Settings, retention: Retention, *, dry_run: bool, progress: Progress) -> Pruned:
    """What went, or with `dry_run` what would go."""
    home = open_home(settings)
    lock = FileLock(home.path / "prune.lock")
    try:
        if not lock.take(wait=False):
            raise ConflictError(f"another prune is at work in {home.path}; wait for it, it does the same")
        records, blobs = open_store(home, settings), blobs_of(settings, home)
        check_alone(settings, home, records, blobs)
        with closing(records.prune()) as store:
            made = Prune(store, blobs, progress=progress)
            return made.plan(retention) if dry_run else made.run(retention)
    finally:
        lock.release()
        home.close()


def shrink(settings: Settings) -> None:
    """Give what is free in the database back to the disk, which nobody else may use meanwhile."""
    if settings.database_url is not None:
        return  # the server makes room by itself
    home = open_home(settings)
    SqliteStore(home)
    alone = home.alone()
    try:
        if not alone.take(wait=False):
            raise ConflictError(
                f"the database can be made smaller only while nobody else uses {home.path}; what was pruned is free "
                "for new executions in any case: end the other TwinGraph processes, then `twingraph prune --vacuum`"
            )
        with closing(SqlitePrune(home)) as store:
            store.shrink()
    finally:
        alone.release()
        home.close()
