"""What a component can ask about its own run: `twingraph.current()`. Python 3.8, standard library only."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any

try:
    from twingraph.core.errors import TwinGraphError
except Exception:  # shipped alone, or on a Python that twingraph itself does not support

    class TwinGraphError(Exception):  # type: ignore[no-redef]
        """What TwinGraph raises on purpose."""


class RealClock:
    """What `time` gave before any user code ran. That may put others in their place there and in every module that has
    them by name, as tests do that freeze the time: here nobody looks for them."""

    now, steady, sleep, thread_cpu = time.time, time.monotonic, time.sleep, time.thread_time


# A run's progress becomes a line of its log, at most this often.
PROGRESS_SECONDS = 0.5


def progress_line(done: float, total: float | None) -> str:
    return f"{done:.12g}" if total is None else f"{done:.12g} of {total:.12g}"


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no longer number out
        return "..."
    return text if len(text) <= 40 else text[:37] + "..."


class Current:
    """The run around the caller. `channel` has `progress(done, total)` and `artifact(name, data)`."""

    __slots__ = ("_channel", "attempt", "execution_id", "idempotency_key", "node_id")

    def __init__(self, execution_id: str, node_id: str, attempt: int, channel: Any) -> None:
        self.execution_id = execution_id
        self.node_id = node_id
        self.attempt = attempt
        self.idempotency_key = f"{execution_id}:{node_id}"
        self._channel = channel

    @property
    def logger(self) -> Any:
        """A logger of `logging` named for the node; what it says, from DEBUG on, is kept with the attempt."""
        import logging

        logger = logging.getLogger(self.node_id)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.DEBUG)
        return logger

    def progress(self, done: float, total: float | None = None) -> None:
        """Tell how far the run is. Cheap; many calls in a short time are joined."""
        try:
            numbers = float(done), None if total is None else float(total)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ValueError(f"current().progress({_short(done)}, {_short(total)}): {error}") from None
        self._channel.progress(*numbers)

    def artifact(self, name: str, data: bytes | str) -> str:
        """Keep a file beside the node's outputs; gives the content hash under which it is stored."""
        kept: str = self._channel.artifact(name, data.encode("utf-8") if isinstance(data, str) else data)
        return kept


# Entries whose code this worker is loading just now: what stands at the top of a module must not start a run there.
loading: list[str] = []

running: ContextVar[Current] = ContextVar("twingraph_current")


def current() -> Current:
    """The run that the caller is part of."""
    try:
        return running.get()
    except LookupError:
        raise TwinGraphError(
            "twingraph.current() has an answer only inside a running component; "
            "it was called outside of one, or in a thread that did not inherit its context"
        ) from None
