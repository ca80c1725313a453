"""Why what a conductor sent is not taken up: said once, and changes nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from twingraph.dispatch.celery.application import queue_word
from twingraph.dispatch.served import Worker, refused, unserved

LOG = logging.getLogger("twingraph.celery")

# Nothing was taken from a queue for so long, though something waits there: then workers are asked,
QUIET_SECONDS = 10.0
# sooner where nobody answered before, about bodies,
ALONE_SECONDS = 1.0
# and again after so long. They may be busy.
AGAIN_SECONDS = 30.0
# Workers that have much to do answer late.
ANSWER_SECONDS = 2.0


def on_a_thread(act: Callable[[], None]) -> None:
    threading.Thread(target=act, name="twingraph-hints", daemon=True).start()


class Hints:
    """On the conductor's loop; `ask` is called by `aside`, on a thread."""

    def __init__(
        self, ask: Callable[[], Sequence[Worker]], aside: Callable[[Callable[[], None]], None] = on_a_thread
    ) -> None:
        self._ask = ask
        self._aside = aside
        self._quiet: dict[str, tuple[int, float]] = {}  # by queue: the newest that was taken, and since when
        self._lost: set[str] = set()  # queues out of which something was taken by nobody who says so
        self._next = 0.0
        self._asking = False
        self._said: set[str] = set()

    def begin_anew(self) -> None:
        """We could not hear for a while."""
        self._quiet.clear()

    def lost(self, queues: Iterable[str]) -> None:
        self._lost.update(queues)

    def tick(self, now: float, waiting: Mapping[str, int], *, alone: bool = False) -> None:
        """`waiting`: the queues in which something was not taken, each with the number of the newest that was. `alone`:
        no worker seems to be there."""
        quiet, self._quiet = self._quiet, {}
        for queue, latest in waiting.items():
            known, since = quiet.get(queue, (latest, now))
            self._quiet[queue] = latest, since if known == latest else now
        patience = ALONE_SECONDS if alone else QUIET_SECONDS
        silent = {queue for queue, (_, since) in self._quiet.items() if now - since >= patience}
        if (silent or self._lost) and not self._asking and now >= self._next:
            lost, self._lost = self._lost, set()
            self._asking, self._next = True, now + AGAIN_SECONDS
            self._aside(lambda: self._look(silent, lost))

    def _look(self, silent: set[str], lost: set[str]) -> None:
        try:
            workers = self._ask()
            for queue in sorted(silent | lost):
                word = queue_word(queue)
                why = unserved(word, workers) or (refused(word, workers) if queue in lost else None)
                if why is not None and why not in self._said:
                    self._said.add(why)
                    LOG.warning("what was sent to the queue %s is not taken up: %s", word, why)
        except Exception as error:  # anybody may have answered anything
            LOG.debug("which workers there are cannot be asked: %s", error)
        finally:
            self._asking = False
