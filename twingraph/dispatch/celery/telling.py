"""What is said of lanes, in order. On the worker's loop alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from twingraph.dispatch.celery.messages import Offer, Taken, Word
from twingraph.dispatch.celery.outbox import Outbox

# That a lane is here is said with the next word, or by itself after so long.
TAKEN_SECONDS = 0.05


class Telling:
    def __init__(self, loop: asyncio.AbstractEventLoop, outbox: Outbox) -> None:
        self._loop = loop
        self._outbox = outbox
        self._taken: list[Offer] = []  # nobody has been told of these

    def taken(self, offer: Offer, *, at_once: bool) -> None:
        self._taken.append(offer)
        if at_once:
            self._tell()
        elif len(self._taken) == 1:
            self._loop.call_later(TAKEN_SECONDS, self._tell)

    def say(self, desk: str, word: Word, *, more: bool = False) -> None:
        self._tell()
        self._outbox.say(desk, word, more=more)

    def after(self, desk: str, act: Callable[[], None]) -> None:
        self._tell()
        self._outbox.after(desk, act)

    def _tell(self) -> None:
        """Whatever else is said of a lane comes later."""
        taken, self._taken = self._taken, []
        for offer in taken:
            self._outbox.say(offer.desk, Taken(offer.id))
