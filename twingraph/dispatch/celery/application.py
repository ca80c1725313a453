"""The Celery application: one task, one remote control command; what conductors and workers have in common."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from secrets import token_hex
from typing import Any

from twingraph.core.errors import MissingExtraError
from twingraph.dispatch.celery.signing import Seal
from twingraph.settings import Settings, SettingsError

try:
    from amqp.exceptions import FrameSyntaxError, PreconditionFailed
    from celery import Celery
    from celery.app.amqp import AMQP
    from kombu import Connection, Consumer, Queue
    from kombu.exceptions import OperationalError
except ImportError as error:  # pragma: no cover - told where it is asked for
    raise MissingExtraError("carrying nodes to other machines", "celery") from error

TASK = "twingraph.lane"
WISH = "twingraph_wish"
STATUS = "twingraph_status"
QUEUE = "default"  # of what names none
# Silence is told from what workers say. RabbitMQ gives a lane to another worker at once when a connection ends, so it
# is acknowledged at its end, or before that is overdue (`deliveries`). Redis would give it again after the time below,
# and kombu's worker does not survive a broken connection with anything unacknowledged on it, so there nothing is
# acknowledged: what is taken out of the queue is gone from it.
FAR_OUT_SECONDS = 7 * 86_400
# So often does a worker look for a broker that is away, and says so at first and then each time of so many.
AGAIN_SECONDS = 1.0
SAID_EVERY = 30
# A desk whose conductor is gone is removed by the broker.
DESK_EXPIRES_SECONDS = 3600.0


def queue_name(word: str) -> str:
    return f"twingraph.{word}"


def queue_word(name: str) -> str:
    """As people call it."""
    return name.removeprefix(queue_name(""))


def desk_name(conductor: str) -> str:
    return f"twingraph.desk.{conductor}"


def desk_queue(name: str) -> Queue:
    """As conductors and workers declare it alike."""
    return Queue(name, routing_key=name, durable=True, expires=DESK_EXPIRES_SECONDS)


class Persistent(Connection):  # type: ignore[misc]  # kombu tells no types
    """It looks for a broker that is away at an even pace, so that a worker is back as soon as that is, and says so now
    and then. (Kombu waits longer each time, up to half a minute.) What it cannot unpack is thrown away."""

    again_seconds = AGAIN_SECONDS

    def get_transport_cls(self) -> Any:
        found = super().get_transport_cls()
        if found.driver_type == "redis":
            from twingraph.dispatch.celery.unpacking import Transport  # its client is only there where it is wanted

            return Transport
        return found

    def ensure_connection(
        self,
        errback: Callable[[Exception, float], object] | None = None,
        max_retries: int | None = None,
        **more: Any,
    ) -> Connection:
        failures = count()

        def failed(error: Exception, seconds: float) -> None:
            if errback is not None and next(failures) % SAID_EVERY == 0:
                errback(error, seconds)

        pace = {"interval_start": self.again_seconds, "interval_step": 0.0, "interval_max": self.again_seconds}
        return super().ensure_connection(failed, max_retries, **{**more, **pace})


class Transport(AMQP):  # type: ignore[misc]  # Celery tells no types
    """How Celery reaches the broker."""

    Connection = Persistent

    def TaskConsumer(self, *args: Any, **more: Any) -> Consumer:  # noqa: N802 - Celery's name
        return super().TaskConsumer(*args, no_ack=not self.app.conf.task_acks_late, **more)


def make_app(settings: Settings) -> Any:
    """What conductors and workers have in common."""
    if settings.broker_url is None:
        raise SettingsError("no broker is set: give --broker URL, or TWINGRAPH_BROKER_URL=redis://... or amqp://...")
    app = Celery("twingraph", broker=settings.broker_url, amqp=Transport, set_as_current=False)
    options: dict[str, Any] = {"confirm_publish": True}
    is_redis = settings.broker_url.startswith("redis")
    if is_redis:
        options = {
            "visibility_timeout": FAR_OUT_SECONDS,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "priority_steps": [0],  # one list for a queue; each further one costs with every message
        }
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        event_serializer="json",
        task_ignore_result=True,
        task_acks_late=not is_redis,
        task_default_queue=queue_name(QUEUE),
        task_send_sent_event=False,
        task_publish_retry=False,  # who sends knows better what to do meanwhile
        worker_send_task_events=False,
        worker_prefetch_multiplier=1,
        worker_consumer="twingraph.dispatch.celery.consuming:Careful",
        # After a reconnect it would wait for the broker on the thread of a lane, beside the thread that reads from it:
        # both then hang until the broker misses the heartbeat (30 s).
        worker_enable_prefetch_count_reduction=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,  # there are none of Celery's; else it warns
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
    app.task(name=TASK, ignore_result=True, Strategy="twingraph.dispatch.celery.serving:strategy")(_carry)
    return app


def _carry(text: str, given: str) -> None:
    """Never called: what a worker does with a lane is the task's strategy."""


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
    mailbox(app, connection).abcast(WISH, {"text": text, "signature": given})


def ask_workers(app: Any, seal: Seal | None, timeout: float = 1.0) -> list[dict[str, Any]]:
    """What each worker that answers in time says of itself, and as `same_key` whether it has the key of this seal; None
    where no seal is known. Nothing of it is signed: it is for people, and no more."""
    challenge = token_hex(16)
    with sending(app) as connection:
        asked = mailbox(app, connection).multi_call(STATUS, {"challenge": challenge}, timeout=timeout)
    found: dict[str, dict[str, Any]] = {}  # one that ends may answer twice
    for reply in asked or ():
        for told in reply.values():
            if isinstance(told, dict) and isinstance(name := told.get("worker"), str) and "queues" in told:
                proof = told.pop("proof", None)
                told["same_key"] = None if seal is None else seal.proves(name, challenge, proof)
                found[name] = told
    return [found[name] for name in sorted(found)]


def mailbox(app: Any, connection: Connection | None) -> Any:
    """None: who uses it brings channels."""
    box = app.control.mailbox(connection)
    box.producer_pool = None  # one for the whole process, of connections that nobody mends or closes
    return box


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
