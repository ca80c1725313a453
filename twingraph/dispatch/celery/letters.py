"""Raw messages to the queue of one reader: a conductor's desk, a worker's post."""

from __future__ import annotations

from typing import Any

from kombu import Connection, Producer

from twingraph.dispatch.celery.application import desk_queue


class Letters:
    """In order. On one sending thread."""

    def __init__(self) -> None:
        self._channel: object = None
        self._expiring: set[str] = set()  # the queues that this channel knows to expire

    def post(self, connection: Connection, queue: str, text: str, signature: str) -> None:
        channel = connection.default_channel
        if connection.transport.driver_type == "redis":
            self._let_expire(channel, queue)
        Producer(channel, auto_declare=False).publish(
            text.encode("utf-8", "surrogatepass"),
            routing_key=queue,
            exchange="",
            content_type="application/json",
            content_encoding="utf-8",
            headers={"signature": signature},
            delivery_mode=2,
        )

    def _let_expire(self, channel: Any, queue: str) -> None:
        """Redis makes a queue of whatever is sent, and lets it expire only as far as the sending channel knows of that.
        RabbitMQ has the queue from its reader, or drops what is sent."""
        if self._channel is not channel:
            self._channel, self._expiring = channel, set()
        if queue not in self._expiring:
            desk_queue(queue)(channel).queue_declare()
            self._expiring.add(queue)
