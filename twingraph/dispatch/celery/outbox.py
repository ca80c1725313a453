"""What a worker says to its conductors: in batches, in order, each signed.

A message that the broker, which is there, does not take three times over is taken apart; a word that does not go even
alone is let go of, so that it holds up nothing else, and the run whose values it carried fails.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from kombu import Connection

from twingraph.core.errors import ErrorCode
from twingraph.core.records import ErrorRecord
from twingraph.dispatch.base import LogLines, Outcome
from twingraph.dispatch.celery.application import is_of_the_broker
from twingraph.dispatch.celery.letters import Letters
from twingraph.dispatch.celery.messages import REPORTS, Word, apart, reports_text, run_of, word
from twingraph.dispatch.celery.signing import Seal
from twingraph.dispatch.celery.threads import Sender

LOG = logging.getLogger("twingraph.celery")

# Of one message.
MOST_WORDS = 500
MOST_CHARACTERS = 1_000_000
# Where more is about to be said, it is given so long to come together.
PAUSE_SECONDS = 0.005
# So often is tried to send what the broker, which is there, does not take: a breaking connection raises anything too.
TRIES = 3
MOST_OF_AN_ERROR = 2000
# With so many words waiting for a broker that is away, what nodes print is let go of.
MOST_WAITING = 50_000

After = Callable[[], None]
Entry = tuple[str, list[Any] | None, After | None]  # the desk, what is said, what to do once all before it is sent
# Over a connection to a desk: the text and its signature. It raises where that may not have come.
Post = Callable[[Connection, str, str, str], None]


class Outbox:
    """`say` and `after` on any thread."""

    def __init__(self, worker: str, seal: Seal, connect: Callable[[], Connection], post: Post | None = None) -> None:
        self._worker = worker
        self._seal = seal
        self._connect = connect
        self._post = post or Letters().post
        self._numbers: dict[str, int] = {}
        self._under_way: tuple[str, str, int] | None = None  # the desk, the text, how many entries it holds
        self._pause = 0.0
        self._tries = 0  # of what is under way,
        self._instead = False  # which stands for what could not be sent
        self._apart = 0  # so many entries go one by one
        self._sender: Sender[Entry] = Sender(
            "twingraph-outbox", connect, self._send, self._give_up, pause=lambda: self._pause
        )
        self._dropping = False

    def start(self) -> None:
        self._sender.start()

    def close(self, timeout: float) -> None:
        self._sender.close(timeout)

    def waiting(self) -> int:
        """How many words the broker does not have yet."""
        return self._sender.waiting()

    def say(self, desk: str, said: Word, *, more: bool = False) -> None:
        """`more`: other nodes run, and something will be said of them as well."""
        self._pause = PAUSE_SECONDS if more else 0.0
        if type(said) is LogLines and self._sender.waiting() > MOST_WAITING:
            if not self._dropping:
                LOG.warning("the broker is away: what nodes print is not kept until it is back")
            self._dropping = True
            return
        self._dropping = False
        for one in apart(said):
            self._sender.put((desk, word(one), None))

    def after(self, desk: str, act: After) -> None:
        """Called on the sending thread once everything said before is with the broker."""
        self._sender.put((desk, None, act))

    def _send(self, connection: Connection, batch: deque[Entry]) -> None:
        """What goes to one desk one after another is one message. One that failed goes again as it was: it may have
        come there, and then a second of its number is not read."""
        while batch:
            if self._under_way is None:
                self._under_way = self._next(batch)
            desk, text, count = self._under_way
            if text:
                self._post(connection, desk, text, self._seal.sign(REPORTS + desk, text))
            self._under_way = None
            self._tries, self._instead, self._apart = 0, False, max(0, self._apart - count)
            for _ in range(count):
                _, _, act = batch.popleft()
                if act is not None:
                    act()

    def _give_up(self, batch: deque[Entry], error: Exception) -> bool:
        """After a message did not go. What is the broker's fault goes again as it is, for ever."""
        with self._connect() as connection:  # it is not opened
            of_the_broker = is_of_the_broker(connection, error)
        self._tries = 0 if of_the_broker else self._tries + 1
        if self._under_way is None or self._tries < TRIES:
            return False
        _, _, count = self._under_way
        self._under_way, self._tries = None, 0
        if count > 1:
            self._apart = count
            return True
        desk, said, act = batch[0]
        LOG.error("the broker does not take what is said to %s: %s: %s", desk, type(error).__name__, error)
        run = None if said is None or self._instead else run_of(said)
        self._instead = True
        batch[0] = desk, None if run is None else self._unsendable(*run, error), act
        return True

    def _unsendable(self, execution: str, node: str, attempt: int, error: Exception) -> list[Any]:
        """Instead of values of a run: that it has failed."""
        record = ErrorRecord(
            code=ErrorCode.INTERNAL,
            error_type="Unsendable",
            message=f"what {node} made could not be sent to its conductor: the broker does not take the message "
            f"({type(error).__name__}: {error})"[:MOST_OF_AN_ERROR],
            node_id=node,
            attempt=attempt,
            permanent=True,
        )
        now = time.time()
        return word(Outcome(execution, node, attempt, "failed", None, now, worker=self._worker, error=record))

    def _next(self, batch: deque[Entry]) -> tuple[str, str, int]:
        desk = batch[0][0]
        words: list[list[Any]] = []
        count = size = 0
        for to, said, _ in batch:
            if to != desk or (self._apart and count) or len(words) >= MOST_WORDS or size > MOST_CHARACTERS:
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
