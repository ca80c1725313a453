"""What a worker says to its conductors: in batches, in order, each signed."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from kombu import Connection, Producer

from twingraph.dispatch.base import LogLines
from twingraph.dispatch.celery.letters import Letters
from twingraph.dispatch.celery.messages import REPORTS, Word, reports_text, word
from twingraph.dispatch.celery.signing import Seal
from twingraph.dispatch.celery.threads import Sender

LOG = logging.getLogger("twingraph.celery")

# Of one message.
MOST_WORDS = 500
MOST_CHARACTERS = 1_000_000
# With so many words waiting for a broker that is away, what nodes print is let go of.
MOST_WAITING = 50_000

After = Callable[[], None]
Entry = tuple[str, list[Any] | None, After | None]  # the desk, what is said, what to do once all before it is sent


class Outbox:
    """`say` and `after` on any thread."""

    def __init__(self, worker: str, seal: Seal, connect: Callable[[], Connection]) -> None:
        self._worker = worker
        self._letters = Letters(seal)
        self._numbers: dict[str, int] = {}
        self._under_way: tuple[str, str, int] | None = None  # the desk, the text, how many entries it holds
        self._sender: Sender[Entry] = Sender("twingraph-outbox", connect, self._send)
        self._dropping = False

    def start(self) -> None:
        self._sender.start()

    def close(self, timeout: float) -> None:
        self._sender.close(timeout)

    def waiting(self) -> int:
        """How many words the broker does not have yet."""
        return self._sender.waiting()

    def say(self, desk: str, said: Word) -> None:
        if type(said) is LogLines and self._sender.waiting() > MOST_WAITING:
            if not self._dropping:
                LOG.warning("the broker is away: what nodes print is not kept until it is back")
            self._dropping = True
            return
        self._dropping = False
        self._sender.put((desk, word(said), None))

    def after(self, desk: str, act: After) -> None:
        """Called on the sending thread once everything said before is with the broker."""
        self._sender.put((desk, None, act))

    def _send(self, connection: Connection, batch: deque[Entry]) -> None:
        """What goes to one desk one after another is one message. One that failed goes again as it was: it may have
        come there, and then a second of its number is not read."""
        producer = Producer(connection.default_channel, auto_declare=False)
        while batch:
            if self._under_way is None:
                self._under_way = self._next(batch)
            desk, text, count = self._under_way
            if text:
                self._letters.send(connection, producer, desk, REPORTS + desk, text)
            self._under_way = None
            for _ in range(count):
                _, _, act = batch.popleft()
                if act is not None:
                    act()

    def _next(self, batch: deque[Entry]) -> tuple[str, str, int]:
        desk = batch[0][0]
        words: list[list[Any]] = []
        count = size = 0
        for to, said, _ in batch:
            if to != desk or len(words) >= MOST_WORDS or size > MOST_CHARACTERS:
                break
            count += 1
            if said is not None:
                words.append(said)
                size += _characters(said)
        if not words:
            return desk, "", count
        number = self._numbers[desk] = self._numbers.get(desk, 0) + 1
        return desk, reports_text(self._worker, number, words), count


def _characters(said: list[Any]) -> int:
    """About so many: what is long is a list of texts, or of lines."""
    return 100 + sum(sum(len(str(part)) for part in entry) for entry in said if type(entry) is list)
