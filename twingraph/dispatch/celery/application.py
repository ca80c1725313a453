"""The Celery application: one task, one remote control command, and what ties a worker's life to ours."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from twingraph.core.errors import MissingExtraError, TwinGraphError
from twingraph.settings import Settings, SettingsError, load

try:
    from amqp.exceptions import FrameSyntaxError, PreconditionFailed
    from celery import Celery, signals
    from celery.worker.control import control_command, inspect_command
    from celery.worker.strategy import default
    from kombu import Connection, Queue
    from kombu.exceptions import OperationalError

    from twingraph.dispatch.celery.deliveries import Deliveries, acknowledge
except ImportError as error:  # pragma: no cover - told where it is asked for
    raise MissingExtraError("carrying nodes to other machines", "celery") from error

if TYPE_CHECKING:
    from twingraph.dispatch.celery.carrier import Carrier

LOG = logging.getLogger("twingraph.celery")

TASK = "twingraph.lane"
WISH = "twingraph_wish"
STATUS = "twingraph_status"
QUEUE = "default"  # of what names none
# After a lane's task has returned, Celery takes a moment to count it as done.
WAKE_SECONDS = (0.005, 0.05)
# Silence is told from what workers say. RabbitMQ gives a lane to another worker at once when a connection ends, so it
# is acknowledged at its end, or before that is overdue (`deliveries`). Redis would give it again after the time below,
# and kombu's worker does not survive a broken connection with anything unacknowledged on it, so there it is
# acknowledged when it begins.
FAR_OUT_SECONDS = 7 * 86_400
# A desk whose conductor is gone is removed by the broker.
DESK_EXPIRES_SECONDS = 3600.0


def queue_name(word: str) -> str:
    return f"twingraph.{word}"


def desk_name(conductor: str) -> str:
    return f"twingraph.desk.{conductor}"


def desk_queue(name: str) -> Queue:
    """As conductors and workers declare it alike."""
    return Queue(name, routing_key=name, durable=True, expires=DESK_EXPIRES_SECONDS)


def make_app(settings: Settings) -> Any:
    """What conductors and workers have in common."""
    if settings.broker_url is None:
        raise SettingsError("no broker is set: give --broker URL, or TWINGRAPH_BROKER_URL=redis://... or amqp://...")
    app = Celery("twingraph", broker=settings.broker_url, set_as_current=False)
    options: dict[str, Any] = {"confirm_publish": True}
    is_redis = settings.broker_url.startswith("redis")
    if is_redis:
        options = {"visibility_timeout": FAR_OUT_SECONDS, "socket_keepalive": True, "health_check_interval": 10}
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        event_serializer="json",
        task_ignore_result=True,
        task_acks_late=not is_redis,
        worker_disable_prefetch=is_redis,
        task_default_queue=queue_name(QUEUE),
        task_send_sent_event=False,
        task_publish_retry=False,  # who sends knows better what to do meanwhile
        worker_send_task_events=False,
        worker_prefetch_multiplier=1,
        # After a reconnect it would wait for the broker on the thread of a lane, beside the thread that reads from it:
        # both then hang until the broker misses the heartbeat (30 s).
        worker_enable_prefetch_count_reduction=False,
        worker_pool="threads",
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        control_exchange="twingraph",
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=options,
        broker_connection_retry=True,
        broker_heartbeat=10,
        enable_utc=True,
    )
    strategy = f"{__name__}:strategy"
    app.task(name=TASK, bind=True, ignore_result=True, Strategy=strategy)(_carry)
    return app


# -- in a worker -----------------------------------------------------------------------------------

_carriers: dict[int, Carrier] = {}  # by the application whose worker it belongs to
_deliveries: WeakKeyDictionary[Any, Deliveries] = WeakKeyDictionary()  # by Celery's consumer


def worker_app(settings: Settings | None = None, ready: Callable[[], object] = lambda: None) -> Any:
    """The application of a worker. It carries nothing before Celery starts the worker; `ready` hears when it does."""
    given = settings or load({})
    app = make_app(given)
    app.conf.worker_concurrency = lanes_at_once(given)

    def begin(sender: Any, **_: object) -> None:
        if sender.app is app:
            from twingraph.dispatch.celery.worker import make_carrier

            try:
                carrier = _carriers[id(app)] = make_carrier(given, app, sender.hostname)
            except TwinGraphError as error:  # anything less would be caught and logged, and the worker would go on
                raise SystemExit(f"error: {error}") from error
            carrier.start()

    def tell(sender: Any, **_: object) -> None:
        if sender.app is app:
            ready()

    def drain(**_: object) -> None:
        if (carrier := _carriers.get(id(app))) is not None:
            carrier.drain()

    def end(sender: Any, **_: object) -> None:
        if sender.app is app:
            let_go(app)

    signals.worker_init.connect(begin, weak=False)
    signals.worker_ready.connect(tell, weak=False)
    signals.worker_shutting_down.connect(drain, weak=False)
    signals.worker_shutdown.connect(end, weak=False)
    return app


def let_go(app: Any) -> None:
    """The end of what its worker carries, whatever became of that."""
    if (carrier := _carriers.pop(id(app), None)) is not None:
        carrier.stop()


def lanes_at_once(settings: Settings) -> int:
    """One for each process, and some for those that are quick."""
    from twingraph.dispatch.embedded import PoolOptions

    processes = settings.workers or PoolOptions().workers
    return settings.lanes or processes + min(processes, 8)


def _carry(task: Any, text: str, given: str) -> None:
    """The task: on a thread of the worker, until the lane has ended and its outcomes are with the broker."""
    carrier = _carriers.get(id(task.app))
    if carrier is None:
        raise TwinGraphError("this worker carries nothing; start it with `twingraph worker`")
    carrier.carry(text, given, redelivered=bool((task.request.delivery_info or {}).get("redelivered")))
    for seconds in WAKE_SECONDS:
        carrier.later(seconds, _waker.wake)


def strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., object]:
    """Celery's own way with a message, but for when it is acknowledged. Called for each new connection of a worker."""
    inner = default(task, app, consumer, **options)
    if getattr(consumer, "hub", None) is not None:
        consumer.hub.add_reader(_waker.reading, _waker.heard)
    if not app.conf.task_acks_late:

        def handle(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **more: Any) -> object:
            at_begin = partial(consumer.call_soon_ack, partial(_acknowledge, message))
            return inner(message, body, at_begin, reject, callbacks, **more)

        return handle

    deliveries = _deliveries.setdefault(consumer, Deliveries(consumer))
    deliveries.connected()

    def handle_owing(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **more: Any) -> object:
        if not deliveries.accept(message):
            return None
        at_end = partial(consumer.call_soon_ack, partial(_end, deliveries, message))
        return inner(message, body, at_end, reject, callbacks, **more)

    return handle_owing


def _acknowledge(message: Any, *_: object) -> None:
    acknowledge(message)


def _end(deliveries: Deliveries, message: Any, *_: object) -> None:
    deliveries.end(message)


class _Waker:
    """Celery looks for the next lane when something happens on one of its sockets, else after a second; the end of the
    last one does not count as that."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()
        os.set_blocking(self.reading, False)
        os.set_blocking(self._writing, False)

    def wake(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._writing, b".")

    def heard(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.reading, 4096)


_waker = _Waker()


def _wish(state: Any, text: str, signature: str) -> None:
    """Cancel, recall, drop or grant. On the thread that hears the broker."""
    if (carrier := _carriers.get(id(state.app))) is not None:
        carrier.wish(text, signature)


def _status(state: Any) -> Mapping[str, Any] | None:
    carrier = _carriers.get(id(state.app))
    return None if carrier is None else carrier.status()


control_command(name=WISH, args=[("text", str), ("signature", str)])(_wish)
inspect_command(name=STATUS)(_status)


# -- in a conductor --------------------------------------------------------------------------------


def sending(app: Any) -> Connection:
    """A connection to publish with. It may be idle for hours, with nobody who sends its heartbeats."""
    return app.connection_for_write(heartbeat=0)


def is_of_the_broker(connection: Connection, error: Exception) -> bool:
    """Whether it may be gone when the same is sent later; else what is sent is at fault."""
    if isinstance(error, FrameSyntaxError | PreconditionFailed):
        return False
    passing = (OSError, OperationalError, *connection.connection_errors, *connection.channel_errors)
    return isinstance(error, passing)


def send(app: Any, producer: Any, queue: str, text: str, given: str) -> None:
    """A lane to a queue."""
    app.send_task(TASK, (text, given), producer=producer, queue=queue, argsrepr="(...)", kwargsrepr="{}")


def tell_workers(app: Any, connection: Connection, text: str, given: str) -> None:
    """All of them, over this very connection."""
    _mailbox(app, connection).abcast(WISH, {"text": text, "signature": given})


def ask_workers(app: Any, timeout: float = 1.0) -> dict[str, Any]:
    """What each worker that answers in time says of itself."""
    with sending(app) as connection:
        replies: Sequence[dict[str, Any]] = _mailbox(app, connection).multi_call(STATUS, timeout=timeout) or ()
    return {name: told for reply in replies for name, told in reply.items() if told}


def _mailbox(app: Any, connection: Connection) -> Any:
    mailbox = app.control.mailbox(connection)
    mailbox.producer_pool = None  # one for the whole process, of connections that nobody mends or closes
    return mailbox


def waiting(app: Any, queue: str) -> int:
    """How much is in a queue that nobody has yet."""
    with sending(app) as connection:
        return depth(connection, queue)


def depth(connection: Connection, queue: str) -> int:
    """The same over a connection that is there; a queue that does not exist is empty."""
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)
        except connection.channel_errors:
            return 0
