"""How many lanes a worker holds, how long it may owe RabbitMQ an acknowledgement, and what it does with lanes that find
no room.

Lanes that want a process each are few, so that others have their share. Lanes whose nodes wait beside each other in one
process have room of their own; RabbitMQ hears that they are here as soon as their conductor does, and gives the next.
On Redis a worker takes a lane only when it has room for either kind.

RabbitMQ closes the channel of a worker that owes one for half an hour (`consumer_timeout`), and Celery ends the worker.
So a lane is acknowledged at its end, or when it has been here for a while: its loss is told from silence anyway. The
broker then gives another in its place. Where that finds no room, it goes back, and no more is asked for until a lane
ends: what waits here unacknowledged would be overdue as well, and another worker may have room.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from celery.worker import state

LOG = logging.getLogger("twingraph.celery")

# Well below what any broker allows (15 minutes at first, now 30).
OWED_SECONDS = 300.0
# Lanes whose nodes wait beside each other; two processes of the pool hold as many.
MOST_BESIDE = 1000


class Deliveries:
    """On the thread of Celery's loop alone. `consumer` is Celery's, which outlives its connections. `owes`: the broker
    waits for acknowledgements."""

    def __init__(self, consumer: Any, clock: Callable[[], float] = time.monotonic, *, owes: bool = True) -> None:
        self._consumer = consumer
        self._clock = clock
        self._owes = owes
        # Lanes that have not ended, of whatever connection. A message is kept, so that its id stays its own.
        self._here: dict[int, Any] = {}
        self._beside: dict[int, Any] = {}
        self._owed: dict[int, tuple[float, Any]] = {}  # by age, of this connection
        self._returning: list[Any] = []
        self._paused = self._watching = False

    def connected(self) -> None:
        """What came by the connection before cannot be acknowledged; this one gives as much as it likes, at first."""
        self._owed.clear()
        self._returning.clear()
        self._paused = self._watching = False
        if not self._owes:
            qos = self._consumer.connection.default_channel.qos
            is_open = qos.can_consume
            qos.can_consume = lambda: self.has_room and is_open()

    @property
    def has_room(self) -> bool:
        """For a lane of either kind."""
        return self._has_room(beside=False) and self._has_room(beside=True)

    def _has_room(self, *, beside: bool) -> bool:
        lanes: int = self._consumer.pool.num_processes
        return len(self._beside) < max(MOST_BESIDE, lanes) if beside else len(self._here) < lanes

    def accept(self, message: Any, *, beside: bool = False) -> bool:
        """Whether there is room for it."""
        kept = self._beside if beside else self._here
        if not self._owes:
            kept[id(message)] = message
            return True
        if self._paused or not self._has_room(beside=beside):
            self._returning.append(message)
            if not self._paused:
                self._paused = True
                self._consumer.call_soon(self._pause)
            elif len(self._returning) == 1:
                self._consumer.call_soon(self._give_back)
            return False
        kept[id(message)] = message
        self._owed[id(message)] = self._clock(), message
        self._watch()
        return True

    def refuse(self, message: Any) -> None:
        """It is nothing that can be carried, and shall not come again."""
        if self._owes:
            _acknowledge(message)

    def told(self, message: Any) -> None:
        """Its conductor knows where it is, and will notice when it is lost."""
        self._settle(message)

    def end(self, message: Any) -> None:
        """The lane has ended."""
        self._here.pop(id(message), None)
        self._beside.pop(id(message), None)
        self._settle(message)
        if not self._returning and self.has_room:
            self._go_on()

    def _settle(self, message: Any) -> None:
        if self._owed.pop(id(message), None) is not None:
            _acknowledge(message)

    # -- too old -----------------------------------------------------------------------------------

    def _watch(self) -> None:
        if not self._watching and self._owed:
            self._watching = True
            oldest, _ = next(iter(self._owed.values()))
            self._consumer.timer.call_after(max(0.0, oldest + OWED_SECONDS - self._clock()), self._look)

    def _look(self) -> None:
        self._watching = False
        now = self._clock()
        for at, message in list(self._owed.values()):
            if now - at >= OWED_SECONDS:
                self._settle(message)
        self._watch()

    # -- too many ----------------------------------------------------------------------------------

    def _pause(self) -> None:
        """First the broker is told to give no more; else it would give us the same again."""
        if self._paused:
            _speak(self._consumer.task_consumer.cancel)
            self._give_back()

    def _give_back(self) -> None:
        returning, self._returning = self._returning, []
        for message in returning:
            _speak(message.requeue)
        if self.has_room:  # one has ended meanwhile
            self._go_on()

    def _go_on(self) -> None:
        if self._paused and not _ends():
            self._paused = False
            _speak(self._consumer.task_consumer.consume)


def _acknowledge(message: Any) -> None:
    """A lane that ends after the broker was away cannot be acknowledged any more; it is given again, and known."""
    try:
        message.ack()
    except Exception as error:
        LOG.info("a lane could not be acknowledged, and will be given again: %s", error)


def _ends() -> bool:
    """Whether the worker was asked to end; it is the exit code then, which may be 0."""
    return any(asked is not None and asked is not False for asked in (state.should_stop, state.should_terminate))


def _speak(act: Callable[[], object]) -> None:
    """Whatever goes wrong, a new connection mends it; anything else than this would end the worker."""
    try:
        act()
    except Exception as error:
        raise ConnectionResetError(f"RabbitMQ did not hear us: {error}") from error
