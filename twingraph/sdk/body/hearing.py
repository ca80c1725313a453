"""What reaches a body from outside: outcomes, history, answers, and the word that it must not go on.

All of a body belongs to its own thread. What comes from outside arrives in `inbox` and is looked at only when the body
has to wait, so nothing here needs a lock.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from time import time
from typing import Any, NoReturn

from twingraph.core.bodies import BodyLog, Ended, Items, Link, Opened, Page
from twingraph.core.errors import HandleMisused, ReplayMismatch
from twingraph.core.recordclass import recordclass
from twingraph.core.statuses import NodeStatus
from twingraph.sdk.body.history import History
from twingraph.sdk.body.stopping import BodyEvicted, BodyMismatched, BodyStopped
from twingraph.sdk.body.unwinding import Unwinding

COMPLETED = NodeStatus.COMPLETED.value


@recordclass(kw_only=False)
class Stop:
    why: str


@recordclass(kw_only=False)
class Evict:
    pass


@recordclass(kw_only=False)
class Answer:
    number: int
    value: Any


Message = Ended | Items | Page | Stop | Evict | Answer


class Hearing:
    """The part of a body that listens and waits."""

    in_side_effect = False

    def __init__(self, opened: Opened, link: Link) -> None:
        self.execution, self.scope = opened.execution, opened.scope
        self.inbox: SimpleQueue[Message] = SimpleQueue()
        self.clock: Callable[[], float] = time
        self.prints_are_shown: Callable[[], bool] = lambda: True  # by the process too, not in the log alone
        self.waits_for: frozenset[str] | None = None
        self.evicted_for: frozenset[str] = frozenset()  # what it waited for when it was let go
        self.room_wanted: Callable[[], object] = lambda: False  # whether it is let go when it has to wait
        self.stopped: BodyStopped | None = None
        self.spoken = 0  # how often it has printed or logged, from its top on,
        self.spoken_before = 0  # and how often it had when it was let go
        self.over: dict[str, Ended] = {}
        self.history = History(opened.execution, self.hear_until, self._end_with)
        self._link = link
        self._thread: int | None = threading.get_ident()  # None: it has ended
        self._unwinding = Unwinding()
        self._items: dict[str, list[Any]] = {}
        self._asked: dict[int, Any] = {}
        self._numbers = itertools.count()
        self._hears = False

    @property
    def replays(self) -> bool:
        """Whether history still answers: what is printed meanwhile was printed before. May wait for the next page, but
        not where the body waits itself: what speaks there is a finalizer, wherever the garbage collector found it."""
        if not self._hears:
            self.hear_until(lambda: self.history.complete or self.history.ahead)
        return not self.history.used_up

    def speaks_anew(self) -> bool:
        """Whether what is printed or logged now was not before. What a side effect says is not said again, and what a
        finalizer says comes at any time: neither counts. Who is let go says nothing on the way out."""
        if type(self.stopped) is BodyEvicted:
            return False
        replays = self.replays
        if self._hears or self.in_side_effect:
            return not replays
        self.spoken += 1
        return not replays and self.spoken > self.spoken_before

    def say(self, lines: Sequence[BodyLog]) -> None:
        """Lines for the execution's log."""
        self._link.log(self.execution, lines)

    # -- what comes in -----------------------------------------------------------------------------

    def hear_until(self, there: Callable[[], object]) -> None:
        """Take in what comes from outside until this holds. Nobody else may take any of it meanwhile: the body would
        wait for ever for what has come already."""
        before, self._hears = self._hears, True
        try:
            while not there():
                self._hear()
        finally:
            self._hears = before

    def _hear(self) -> None:
        """Wait for one message."""
        if self.stopped is not None:
            raise self.stopped
        if self.waits_for and self.history.complete and self.room_wanted() and self.inbox.empty():
            self._evict()
        message = self.inbox.get()
        kind = type(message)
        if kind is Ended:
            self.note_over(message)  # type: ignore[arg-type]
        elif kind is Items:
            self._take_items(message)  # type: ignore[arg-type]
        elif kind is Page:
            self._take_page(message)  # type: ignore[arg-type]
        elif kind is Answer:
            self._asked[message.number] = message.value  # type: ignore[union-attr]
        elif kind is Evict:
            if self.waits_for and self.history.complete:
                self._evict()
        else:
            self.stopped = BodyStopped(message.why)  # type: ignore[union-attr]
            raise self.stopped

    def refuse(self, why: str) -> None:
        """Any thread: it must not go on. It learns that at its next call, or where it waits."""
        if self.stopped is None or type(self.stopped) is BodyMismatched:  # nobody is to hear how it would have ended
            self.stopped = BodyStopped(why)
        self.inbox.put(Stop(why))

    def leave(self) -> None:
        """It has ended: its thread may be that of another body soon."""
        self._thread = None

    def _end_with(self, error: ReplayMismatch) -> NoReturn:
        if self.stopped is None:
            self.stopped = BodyMismatched(error)
        raise self.stopped

    def _evict(self) -> None:
        self.evicted_for = self.waits_for or frozenset()
        self.stopped = BodyEvicted("the host needed the room")
        raise self.stopped

    def note_over(self, ended: Ended) -> None:
        self.over[ended.node] = ended
        if ended.status == COMPLETED:
            self._unwinding.completed(ended.node)

    def _take_page(self, page: Page) -> None:
        for ended in page.ended:
            self.note_over(ended)
        for items in page.items:
            self._take_items(items)
        self.history.take(page)

    def _take_items(self, items: Items) -> None:
        known = self._items.setdefault(items.node, [])
        known.extend(items.texts[len(known) - items.start :])

    def ask(self, what: str, about: str) -> Any:
        number = next(self._numbers)
        self._link.ask(self.execution, self.scope, number, what, about)
        self.hear_until(lambda: number in self._asked)
        return self._asked.pop(number)

    # -- waiting -----------------------------------------------------------------------------------

    def await_over(self, nodes: Iterable[str]) -> None:
        """Wait until one of these is over."""
        wanted = frozenset(nodes)
        over = self.over
        if any(node in over for node in wanted):
            return
        if self.stopped is not None:
            raise self.stopped
        self.waits_for = wanted
        try:
            self.hear_until(lambda: any(node in over for node in wanted))
        finally:
            self.waits_for = None

    def _await_more(self, node: str, known: int) -> None:
        self.waits_for = frozenset((node,))
        try:
            self.hear_until(lambda: node in self.over or len(self._items.get(node, ())) > known)
        finally:
            self.waits_for = None

    def ended(self, node: str) -> Ended:
        self._check()
        if node not in self.over:
            self.await_over((node,))
        return self.over[node]

    def _check(self) -> None:
        if threading.get_ident() != self._thread:
            if self._thread is None:
                raise HandleMisused(
                    "this handle is used after its pipeline's body has ended: return its value from the pipeline, or "
                    "take it in the body with .result()"
                )
            raise HandleMisused(
                "a handle, or a call of a component, came into a thread that is not its pipeline's: take the value "
                "with .result() in the body and give that to the thread, or make the thread's work a component"
            )
        if self.stopped is not None:
            raise self.stopped
