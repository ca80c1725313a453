"""Whether a worker has the memory for one more lane.

A lane counts with what its nodes say they need (`resources`), its processes with what they really hold: whichever is
more. Containers are no processes of ours and count with what they may use. One lane always runs, so that a limit that
is too small slows a worker down and does not stop it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from twingraph.core.errors import PermanentError
from twingraph.core.quantities import byte_count
from twingraph.dispatch.base import RunSettings

# Looking at all processes costs some milliseconds; within this time the last look is good enough.
LOOK_SECONDS = 0.5
# What waits for memory asks so often.
AGAIN_SECONDS = 0.1
# A lane for which there is no memory waits so long; then others may have it.
PATIENCE_SECONDS = 5.0


class NoRoomError(PermanentError):
    """A node needs more memory than this worker may ever use."""


class Room:
    """On the worker's loop alone."""

    def __init__(
        self,
        most: int | None = None,
        used: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """`most` bytes; None: any number. `used` looks how much the worker's processes hold by now."""
        self._most = most
        self._used = used
        self._clock = clock
        self._held: dict[str, tuple[int, bool]] = {}  # by lane: what it may need, and whether in processes of ours
        self._waiting: dict[str, float] = {}  # by lane: since when
        self._patience = patience
        self._seen = (-LOOK_SECONDS, 0)

    def take(self, lane: str, settings: RunSettings) -> bool:
        """Whether it may begin now. One that may not has its turn before those that ask after it.

        Raises NoRoomError when it never will.
        """
        if self._most is None:
            return True
        need, local = need_of(settings), settings.platform == "local"
        if need > self._most:
            raise NoRoomError(
                f"it needs {need} bytes of memory (resources memory), and this worker may use {self._most} "
                "(--max-memory); serve a queue with a larger worker, and send it there: labels={'queue': NAME}"
            )
        if self._held and (next(iter(self._waiting), lane) != lane or self._in_use() + need > self._most):
            self._waiting.setdefault(lane, self._clock())
            return False
        self._waiting.pop(lane, None)
        self._held[lane] = need, local
        return True

    def was_long(self, lane: str) -> bool:
        """Whether it has waited for so long that it had better go elsewhere."""
        return self._clock() - self._waiting.get(lane, self._clock()) > self._patience

    def give_back(self, lane: str) -> None:
        """It is over, or waits no more."""
        self._held.pop(lane, None)
        self._waiting.pop(lane, None)

    def _in_use(self) -> int:
        now = self._clock()
        if now - self._seen[0] >= LOOK_SECONDS:
            self._seen = now, self._used()
        said = {local: sum(need for need, here in self._held.values() if here is local) for local in (True, False)}
        return max(self._seen[1], said[True]) + said[False]


def need_of(settings: RunSettings) -> int:
    """What its author said, of this or of the platform; a text that is no size is told of where the node runs."""
    try:
        return byte_count(settings.resources.get("memory") or settings.platform_config.get("memory") or 0)
    except ValueError:
        return 0
