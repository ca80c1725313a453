"""What lanes need of their machine before they begin: fetched once, for all that wait for it.

On the worker's loop alone, but for the fetching itself: a thread for each code, so that a store that hangs holds up
nobody else.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from twingraph.dispatch.base import CodeRef, Dispatch
from twingraph.dispatch.celery.ground import Ground
from twingraph.dispatch.celery.messages import Offer

Found = tuple[CodeRef, Dispatch]
Waiting = tuple[Callable[[CodeRef, Dispatch], None], Callable[[Exception], None]]


class Fetching:
    def __init__(self, loop: asyncio.AbstractEventLoop, ground: Ground) -> None:
        self._loop = loop
        self._ground = ground
        self._found: dict[tuple[str, str], Found] = {}
        self._waiting: dict[tuple[str, str], list[Waiting]] = {}

    def use(self, offer: Offer, act: Callable[[CodeRef, Dispatch], None], failed: Callable[[Exception], None]) -> None:
        """At once where it is there. Who comes after a failure tries again."""
        key = offer.version, offer.place
        found = self._found.get(key)
        if found is not None:
            act(*found)
            return
        waiting = self._waiting.setdefault(key, [])
        waiting.append((act, failed))
        if len(waiting) == 1:
            threading.Thread(target=self._fetch, args=(key, offer), name="twingraph-fetching", daemon=True).start()

    def _fetch(self, key: tuple[str, str], offer: Offer) -> None:
        """On a thread."""
        found: Found | Exception
        try:
            found = self._ground.code_of(offer), self._ground.pool_of(offer)
        except Exception as error:  # whatever keeps it from running here, its conductor must hear of it
            found = error
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._fetched, key, found)

    def _fetched(self, key: tuple[str, str], found: Found | Exception) -> None:
        if not isinstance(found, Exception):
            self._found[key] = found
        for act, failed in self._waiting.pop(key):
            if isinstance(found, Exception):
                failed(found)
            else:
                act(*found)
