"""Kombu's transport for Redis, which takes what it cannot unpack for a defect of the message and not of the worker.

Anybody who reaches Redis can put anything into a list that is a queue, and it is out of there when it is read: an error
that came of it would end the worker, and with it what it carries. On RabbitMQ the server sees to the shape.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from queue import Empty
from typing import Any

from kombu.transport import redis, virtual

LOG = logging.getLogger("twingraph.celery")


class Message(virtual.Message):  # type: ignore[misc]  # kombu tells no types
    def __init__(self, payload: Any, channel: Any = None, **more: Any) -> None:
        super().__init__(payload, channel=channel, **more)
        for part in (self.headers, self.properties, self.delivery_info):
            if not isinstance(part, dict):
                raise TypeError(f"a {type(part).__name__} stands where names and values should")
        channel.connection.is_unpacked = True


class Channel(redis.Channel):  # type: ignore[misc]
    Message = Message

    def _brpop_read(self, **options: Any) -> Any:
        return self._read(super()._brpop_read, **options)

    def _receive_one(self, *given: Any) -> Any:
        """What is broadcast."""
        return self._read(super()._receive_one, *given)

    def _read(self, read: Callable[..., Any], *given: Any, **options: Any) -> Any:
        transport = self.connection
        transport.is_unpacked = False
        try:
            return read(*given, **options)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            if transport.is_unpacked:  # it is of whoever was given the message
                raise
            LOG.error("refused: what is no message (%s: %s)", type(error).__name__, str(error)[:200])
            raise Empty from error


class Transport(redis.Transport):  # type: ignore[misc]
    Channel = Channel
    is_unpacked = False
