"""What lanes need of their machine before they begin: fetched once, for all that wait for it.

On the worker's loop alone, but for the fetching itself: a thread for each code, so that a store that hangs holds up
nobody else. A lane does not wait for ever: another worker may have what this one cannot get.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from twingraph.dispatch.base import CodeRef, Dispatch
from twingraph.dispatch.celery.ground import Ground
from twingraph.dispatch.celery.messages import Offer

LOG = logging.getLogger("twingraph.celery")

PATIENCE_SECONDS = 60.0

Key = tuple[str, str]
Found = tuple[CodeRef, Dispatch]


@dataclass(slots=True, eq=False)
class _Waiting:
    act: Callable[[CodeRef, Dispatch], None]
    failed: Callable[[Exception], None]
    late: Callable[[], None]
    timer: asyncio.TimerHandle | None = None


def _on_a_thread(act: Callable[[], None]) -> None:
    threading.Thread(target=act, name="twingraph-fetching", daemon=True).start()


class Fetching:
    """`aside` does what may block."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ground: Ground,
        *,
        patience: float = PATIENCE_SECONDS,
        aside: Callable[[Callable[[], None]], None] = _on_a_thread,
    ) -> None:
        self._loop = loop
        self._aside = aside
        self._ground = ground
        self._patience = patience
        self._found: dict[Key, Found] = {}
        self._waiting: dict[Key, list[_Waiting]] = {}  # for each that is being fetched

    def use(
        self,
        offer: Offer,
        act: Callable[[CodeRef, Dispatch], None],
        *,
        failed: Callable[[Exception], None],
        late: Callable[[], None],
    ) -> None:
        """One of the three is called, `act` at once where it is there. Who comes after a failure tries again."""
        key = offer.version, offer.place
        found = self._found.get(key)
        waiting = _Waiting(act, failed, late)
        if found is not None:
            _tell(waiting, found)
            return
        is_first = key not in self._waiting
        waiting.timer = self._loop.call_later(self._patience, self._give_up, key, waiting)
        self._waiting.setdefault(key, []).append(waiting)
        if is_first:
            try:
                self._aside(partial(self._fetch, key, offer))
            except Exception as error:  # this machine has no thread left; who comes later tries again
                self._fetched(key, error)

    def _give_up(self, key: Key, waiting: _Waiting) -> None:
        """The fetching goes on, for whoever comes."""
        waiting_here = self._waiting.get(key, [])
        if waiting not in waiting_here:
            return
        waiting_here.remove(waiting)
        LOG.warning("code %s has not come for %g s; its lane goes back", key[0], self._patience)
        waiting.late()

    def _fetch(self, key: Key, offer: Offer) -> None:
        """On a thread."""
        found: Found | Exception
        try:
            found = self._ground.code_of(offer), self._ground.pool_of(offer)
        except Exception as error:  # whatever keeps it from running here, its conductor must hear of it
            found = error
        except BaseException as error:  # nothing of a thread's own ends anybody else
            found = RuntimeError(f"{type(error).__name__}: {error}")
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._fetched, key, found)

    def _fetched(self, key: Key, found: Found | Exception) -> None:
        if not isinstance(found, Exception):
            self._found[key] = found
        for waiting in self._waiting.pop(key, ()):
            if waiting.timer is not None:
                waiting.timer.cancel()
            _tell(waiting, found)


def _tell(waiting: _Waiting, found: Found | Exception) -> None:
    """Whatever one makes of it, the others hear of it too."""
    if not isinstance(found, Exception):
        try:
            waiting.act(*found)
        except Exception as error:
            LOG.exception("a lane that has all it needs could not begin")
            found = error
        else:
            return
    try:
        waiting.failed(found)
    except Exception:
        LOG.exception("a lane could not be refused")
