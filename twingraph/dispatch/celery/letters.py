"""Raw messages to the queue of one reader: a conductor's desk, a worker's post. Signed, and in order."""

from __future__ import annotations

from kombu import Connection, Producer

from twingraph.dispatch.celery.application import desk_queue
from twingraph.dispatch.celery.signing import Seal


class Letters:
    """On one sending thread."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal
        self._expiring: tuple[object, set[str]] = (None, set())  # the queues that this channel knows to expire

    def send(self, connection: Connection, producer: Producer, queue: str, purpose: str, text: str) -> None:
        """What is signed for a purpose is not taken for another one."""
        self._let_expire(connection, queue)
        producer.publish(
            text.encode("utf-8", "surrogatepass"),
            routing_key=queue,
            exchange="",
            content_type="application/json",
            content_encoding="utf-8",
            headers={"signature": self._seal.sign(purpose, text)},
            delivery_mode=2,
        )

    def _let_expire(self, connection: Connection, queue: str) -> None:
        """Redis makes a queue of whatever is sent, and lets it expire only as far as the sending channel knows of that.
        RabbitMQ has the queue from its reader, or drops what is sent."""
        if connection.transport.driver_type != "redis":
            return
        channel = connection.default_channel
        if self._expiring[0] is not channel:
            self._expiring = channel, set()
        if queue not in self._expiring[1]:
            desk_queue(queue)(channel).queue_declare()
            self._expiring[1].add(queue)
