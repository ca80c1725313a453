"""Celery's consumer, which takes what is no lane for a defect of the message and not of the worker.

Celery looks a task up by whatever stands in a header that nobody has checked, and measures bodies to describe them: a
list for a name, or a number for a body, ended the worker, and the broker gave the message to the next one.
"""

from __future__ import annotations

import logging
from typing import Any

from celery.worker.consumer import Consumer

LOG = logging.getLogger("twingraph.celery")


class Named(dict[str, Any]):
    """What cannot be a name names nothing."""

    def __getitem__(self, name: object) -> Any:
        if not isinstance(name, str):
            raise KeyError(name)
        return super().__getitem__(name)


class Careful(Consumer):  # type: ignore[misc]  # Celery tells no types
    Strategies = Named

    def on_unknown_message(self, body: object, message: Any) -> None:
        self._refuse(message, "it names no task")

    def on_unknown_task(self, body: object, message: Any, exc: Exception) -> None:
        self._refuse(message, "it names none of our tasks")

    def on_invalid_task(self, body: object, message: Any, exc: Exception) -> None:
        self._refuse(message, type(exc).__name__)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        self._refuse(message, type(exc).__name__)

    def _refuse(self, message: Any, why: str) -> None:
        """It shall not come again."""
        LOG.error("refused: a message that is no lane (%s)", why)
        message.ack_log_error(LOG, self.connection_errors)
