"""The threads that speak with the broker. Each has a connection of its own, makes it anew when it breaks, for as long
as it takes, and loses nothing of what it was given. It catches everything: what a broken connection raises depends on
where it broke, and a thread that ended would leave an execution waiting for ever.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from kombu import Connection, Consumer, Queue
from kombu.message import Message

LOG = logging.getLogger("twingraph.celery")

Item = TypeVar("Item")

PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
# How long the receiver waits for a message before it looks whether there is something to acknowledge.
LOOK_SECONDS = 0.2
# So many messages a broker that hears of each gives us ahead of that.
PREFETCH = 500


class NotYetError(Exception):
    """What is to be sent cannot be made ready yet, and the broker is not to blame."""


class Backoff:
    """Growing pauses while the broker is away."""

    def __init__(self, ended: threading.Event) -> None:
        self._ended = ended
        self._pause = PAUSE_SECONDS
        self._told = False

    def failed(self, error: BaseException) -> None:
        if not self._told and isinstance(error, NotYetError):
            LOG.warning("%s; trying until that is mended", error)
        elif not self._told:
            LOG.warning("the broker cannot be reached (%s: %s); trying until it can", type(error).__name__, error)
        self._told = True
        self._ended.wait(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def went_well(self) -> None:
        if self._told:
            LOG.warning("what is said goes out again")
        self._pause, self._told = PAUSE_SECONDS, False


class Sender(Generic[Item]):
    """A thread without a timer: it sends what there is, and what came meanwhile is the next batch.

    `send` publishes a batch; it takes out of the deque what is sent, so that the rest goes again after a failure. Where
    that is the fault of the first of the rest, which would fail for ever, `give_up` takes it out or puts something else
    in its place, and says so. For as long as `pause` says, what comes gathers before it is sent.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connection],
        send: Callable[[Connection, deque[Item]], None],
        give_up: Callable[[deque[Item], Exception], bool] = lambda batch, error: False,
        pause: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._connect = connect
        self._send = send
        self._give_up = give_up
        self._pause = pause
        self._queue: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._batch: deque[Item] = deque()  # taken out of the queue and not sent yet; of the thread
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, item: Item) -> None:
        """Any thread."""
        self._queue.put(item)

    def waiting(self) -> int:
        return self._queue.qsize() + len(self._batch)

    def close(self, timeout: float) -> None:
        """What is there is still sent, if that can be done in time."""
        self._queue.put(None)
        self._thread.join(timeout)
        self._ended.set()

    def _work(self) -> None:
        connection: Connection | None = None
        backoff = Backoff(self._ended)
        batch = self._batch
        last = False
        while not self._ended.is_set() and not (last and not batch):
            if not last and (seconds := self._pause()):
                self._ended.wait(seconds)
            last = self._gather(batch) or last
            try:
                if connection is None:
                    connection = self._connect()
                if batch:
                    self._send(connection, batch)
                backoff.went_well()
            except NotYetError as error:
                backoff.failed(error)
            except Exception as error:  # whatever it is, what was to be said must not be lost with this thread
                _drop(connection)
                connected, connection = connection is not None, None
                if connected and batch and self._give_up(batch, error):
                    backoff = Backoff(self._ended)
                else:
                    backoff.failed(error)
        _drop(connection)

    def _gather(self, batch: deque[Item]) -> bool:
        """Waits only when there is nothing to do. Whether the end was asked for."""
        entry = None
        try:
            entry = self._queue.get(block=not batch)
            while entry is not None:
                batch.append(entry)
                entry = self._queue.get_nowait()
        except queue.Empty:
            return False
        return True


class Receiver:
    """A thread that hears one queue. `heard(message)` is called on it; a message is acknowledged once `acknowledge` was
    called for it, on any thread. What was not is delivered again after the connection broke, unless it is `forgetful`:
    a broker that would not do that anyway is not asked to keep count."""

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connection],
        source: Queue,
        heard: Callable[[Message], None],
        *,
        forgetful: bool = False,
    ) -> None:
        self._connect = connect
        self._source = source
        self._heard = heard
        self._forgetful = forgetful
        self._due: deque[Message] = deque()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self.connected_since: float | None = None  # by the monotonic clock

    def start(self) -> None:
        self._thread.start()

    def acknowledge(self, message: Message) -> None:
        self._due.append(message)

    def close(self, timeout: float) -> None:
        self._ended.set()
        self._thread.join(timeout)

    def _work(self) -> None:
        backoff = Backoff(self._ended)
        while not self._ended.is_set():
            connection: Connection | None = None
            try:
                connection = self._connect()
                self._listen(connection, backoff)
            except Exception as error:
                self.connected_since = None
                if not self._ended.is_set():
                    backoff.failed(error)
            finally:
                _drop(connection)

    def _listen(self, connection: Connection, backoff: Backoff) -> None:
        channel = connection.channel()
        self._due.clear()  # of the connection before: they come again
        with Consumer(
            channel,
            queues=[self._source],
            on_message=self._heard,
            on_decode_error=self._refused,
            accept=["json"],
            no_ack=self._forgetful,
            prefetch_count=PREFETCH,
        ):
            self.connected_since = time.monotonic()
            backoff.went_well()
            while not self._ended.is_set():
                try:
                    connection.drain_events(timeout=LOOK_SECONDS)
                except TimeoutError:
                    connection.heartbeat_check()
                self._acknowledge_due(channel)
            self._acknowledge_due(channel)
        bound: Any = self._source(channel)
        bound.delete()  # the conductor that it was for is gone

    def _refused(self, message: Message, error: Exception) -> None:
        """It cannot be unpacked, so that nobody can see whose it is, and it would come again for ever."""
        LOG.error("refused: a message that cannot be unpacked (%s: %s)", type(error).__name__, error)
        self.acknowledge(message)

    def _acknowledge_due(self, channel: Any) -> None:
        """What came by a connection before this one comes again, and is known by its number then."""
        while self._due:
            message = self._due.popleft()
            if message.channel is channel and not self._forgetful:
                message.ack()


def _drop(connection: Connection | None) -> None:
    if connection is not None:
        try:
            connection.release()
        except Exception as error:  # it is broken already
            LOG.debug("a broken connection was given up: %s", error)
