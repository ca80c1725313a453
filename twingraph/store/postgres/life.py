"""A conductor's sign of life on PostgreSQL: a row that says until when it is to be taken for alive."""

from __future__ import annotations

import threading
from contextlib import suppress

from twingraph.core.errors import StoreError
from twingraph.store.postgres.connection import Link
from twingraph.store.postgres.schema import HEAD
from twingraph.store.postgres.statements import BEAT, BEAT_SECONDS, GONE, SWEEP


class Beating:
    """Says so every second, from a thread of its own, until `release` or the end of the process.

    The time is the server's, so that machines need not agree. Who does not come through for five seconds may lose what
    it holds; it learns that from its next append, which is refused.
    """

    def __init__(self, url: str, name: str) -> None:
        self._name = name
        self._link = Link(url, head=HEAD)
        self._link.ask(SWEEP)
        self._link.ask(BEAT, (name,))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="twingraph-life", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            with suppress(StoreError):  # the conductor itself finds out, and says so
                self._link.ask(BEAT, (self._name,))

    def release(self) -> None:
        """Others may take over at once what this conductor holds."""
        self._over.set()
        self._thread.join(10)
        with suppress(StoreError):
            self._link.ask(GONE, (self._name,))
        self._link.close()
