"""What a worker says to its conductors: in batches, in order, each signed."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from kombu import Connection, Producer

from twingraph.dispatch.base import LogLines
from twingraph.dispatch.celery.application import desk_queue
from twingraph.dispatch.celery.messages import REPORTS, Word, reports_text, word
from twingraph.dispatch.celery.signing import Seal
from twingraph.dispatch.celery.threads import Sender

LOG = logging.getLogger("twingraph.celery")

# Of one message.
MOST_WORDS = 500
MOST_CHARACTERS = 1_000_000
# Where more is about to be said, it is given so long to come together.
PAUSE_SECONDS = 0.005
# With so many words waiting for a broker that is away, what nodes print is let go of.
MOST_WAITING = 50_000

After = Callable[[], None]
Entry = tuple[str, list[Any] | None, After | None]  # the desk, what is said, what to do once all before it is sent


class Outbox:
    """`say` and `after` on any thread."""

    def __init__(self, worker: str, seal: Seal, connect: Callable[[], Connection]) -> None:
        self._worker = worker
        self._seal = seal
        self._numbers: dict[str, int] = {}
        self._under_way: tuple[str, str, int] | None = None  # the desk, the text, how many entries it holds
        self._pause = 0.0
        self._sender: Sender[Entry] = Sender("twingraph-outbox", connect, self._send, pause=lambda: self._pause)
        self._dropping = False
        self._expiring: tuple[object, set[str]] = (None, set())  # the desks that this channel knows to expire

    def start(self) -> None:
        self._sender.start()

    def close(self, timeout: float) -> None:
        self._sender.close(timeout)

    def say(self, desk: str, said: Word, *, more: bool = False) -> None:
        """`more`: other nodes run, and something will be said of them as well."""
        self._pause = PAUSE_SECONDS if more else 0.0
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
                self._let_expire(connection, desk)
                self._publish(producer, desk, text)
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

    def _let_expire(self, connection: Connection, desk: str) -> None:
        """Redis makes a queue of whatever is sent, and lets it expire only as far as the sending channel knows of that.
        RabbitMQ has the queue from its conductor, or drops what is sent."""
        if connection.transport.driver_type != "redis":
            return
        channel = connection.default_channel
        if self._expiring[0] is not channel:
            self._expiring = channel, set()
        if desk not in self._expiring[1]:
            desk_queue(desk)(channel).queue_declare()
            self._expiring[1].add(desk)

    def _publish(self, producer: Producer, desk: str, text: str) -> None:
        producer.publish(
            text.encode("utf-8", "surrogatepass"),
            routing_key=desk,
            exchange="",
            content_type="application/json",
            content_encoding="utf-8",
            headers={"signature": self._seal.sign(REPORTS + desk, text)},
            delivery_mode=2,
        )


def _characters(said: list[Any]) -> int:
    """About so many: what is long is a list of texts, or of lines."""
    return 100 + sum(sum(len(str(part)) for part in entry) for entry in said if type(entry) is list)
