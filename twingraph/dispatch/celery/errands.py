"""What a conductor's sender has to do, and what it lets go of. All on the sender's thread."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from kombu import Connection

from twingraph.core.errors import TwinGraphError
from twingraph.dispatch.celery import application
from twingraph.dispatch.celery.messages import LANE, WISHES, Wish, wishes_text
from twingraph.dispatch.celery.signing import Seal
from twingraph.dispatch.celery.threads import NotYetError

LOG = logging.getLogger("twingraph.celery")

PREPARE_SECONDS = 3600.0
# So often workers hear in which queues something has been waiting for long.
WAITS_SECONDS = 10.0
# A blob store that does not answer for so long holds up lanes, and nothing else.
PATIENCE_SECONDS = 2.0
# So often is tried to send what the broker, which is there, does not take: a breaking connection raises anything too.
TRIES = 3

Errand = tuple[str, Any]  # lane: (number, queue, text) | wishes: [...] | look: queues | ask: (execution, its answer)


class Errands:
    """`seen` hears which queues are empty, `refused` the number of a lane that can never be sent, and why."""

    def __init__(
        self,
        app: Any,
        seal: Seal,
        prepare: Callable[[], object],
        clock: Callable[[], float],
        *,
        seen: Callable[..., object],
        refused: Callable[..., object],
        is_over: Callable[[str], bool],
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._app = app
        self._seal = seal
        self._prepare = prepare
        self._patience = patience
        self._prepared = -math.inf
        self._told = -math.inf
        self._preparing: Future[object] | None = None
        self._clock = clock
        self._seen = seen
        self._refused = refused
        self._is_over = is_over
        self._failed: tuple[Errand, int] | None = None  # what did not go, and how often

    def send(self, connection: Connection, batch: deque[Errand]) -> None:
        """Wishes first: they need nothing but the broker."""
        if len(batch) > 1:
            ordered = sorted(batch, key=lambda errand: errand[0] == "lane")
            batch.clear()
            batch.extend(ordered)
        producer = self._app.amqp.Producer(connection.default_channel)
        while batch:
            kind, what = batch[0]
            if kind == "lane":
                self._make_ready()
                _, queue, text = what
                application.send(self._app, producer, queue, text, self._seal.sign(LANE, text))
            elif kind == "wishes":
                self._wish(connection, what)
            elif kind == "ask":
                execution, answer = what
                if self._knows_over(execution):
                    self._wish(connection, [answer])
            else:
                self._look(connection, what)
            batch.popleft()

    def _wish(self, connection: Connection, wishes: Sequence[Wish]) -> None:
        text = wishes_text(wishes)
        application.tell_workers(self._app, connection, text, self._seal.sign(WISHES, text))

    def _knows_over(self, execution: str) -> bool:
        try:
            return self._is_over(execution)
        except TwinGraphError as error:  # whoever asked will ask again
            LOG.debug("whether %s is over cannot be told: %s", execution, error)
            return False

    def _look(self, connection: Connection, queues: Sequence[str]) -> None:
        empty = {queue for queue in queues if application.depth(connection, queue) == 0}
        self._seen(empty)
        full = [queue for queue in queues if queue not in empty]
        if full and self._clock() - self._told > WAITS_SECONDS:
            self._told = self._clock()
            self._wish(connection, [Wish("waits", "", full)])

    def _make_ready(self) -> None:
        if self._clock() - self._prepared <= PREPARE_SECONDS:
            return
        if self._preparing is None:
            self._preparing = Future()
            threading.Thread(target=self._run, args=(self._preparing,), name="twingraph-probe", daemon=True).start()
        try:
            error = self._preparing.exception(self._patience)
        except TimeoutError:
            raise NotYetError("no lane can be sent: the blob store does not answer") from None
        self._preparing = None
        if error is not None:
            raise NotYetError(
                f"no lane can be sent: the blob store does not take what workers look for ({error})"
            ) from error
        self._prepared = self._clock()

    def _run(self, preparing: Future[object]) -> None:
        """On a thread."""
        try:
            preparing.set_result(self._prepare())
        except Exception as error:
            preparing.set_exception(error)

    def give_up(self, batch: deque[Errand], error: Exception) -> bool:
        """Lets go of the first where it is its own fault."""
        errand = batch[0]
        with application.sending(self._app) as connection:  # it is not opened
            if application.is_of_the_broker(connection, error):
                self._failed = None
                return False
        times = self._failed[1] + 1 if self._failed is not None and self._failed[0] is errand else 1
        self._failed = errand, times
        if times < TRIES:
            return False
        self._failed = None
        LOG.error("the broker does not take a message (%s): %s: %s", errand[0], type(error).__name__, error)
        if errand[0] == "lane":
            self._refused(errand[1][0], error)
        batch.popleft()
        return True
