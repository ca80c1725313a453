"""The store of many conductors, on PostgreSQL."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from twingraph.store.postgres.connection import Link, place
from twingraph.store.postgres.journal import PostgresJournal
from twingraph.store.postgres.life import Beating
from twingraph.store.postgres.records import PostgresRecords
from twingraph.store.postgres.schema import HEAD, prepare

if TYPE_CHECKING:
    from twingraph.store.postgres.prune import PostgresPrune

_MAKE_SECRET = "insert into secrets values ('pickle', %s) on conflict do nothing returning name"
_SECRET = "select value from secrets where name = 'pickle'"


class PostgresStore:
    """Keeps the promise of `store.base.Store`."""

    def __init__(self, url: str) -> None:
        prepare(url)
        self._url = url
        self.place = place(url)

    def journal(self) -> PostgresJournal:
        return PostgresJournal(self._url)

    def records(self) -> PostgresRecords:
        return PostgresRecords(self._url)

    def prune(self) -> PostgresPrune:
        from twingraph.store.postgres.prune import PostgresPrune

        return PostgresPrune(self._url)

    def begin(self, conductor: str) -> Beating:
        return Beating(self._url, conductor)

    def secret(self) -> bytes:
        """Made by whoever comes first. In the database, since what one machine pickles another one opens."""
        link = Link(self._url, head=HEAD)
        try:
            found = link.ask(_SECRET)
            if not found:
                link.ask(_MAKE_SECRET, (secrets.token_bytes(32),))
                found = link.ask(_SECRET)
            return bytes(found[0][0])
        finally:
            link.close()
