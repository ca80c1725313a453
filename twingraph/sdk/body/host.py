"""Where bodies run: a thread each, woken by what the conductor says.

A thousand bodies that wait are cheap; over the limit the one that has waited longest is let go, parents that wait for
sub-pipelines first, and is run again from the top once something that it waits for is over.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from time import time
from types import CodeType, FunctionType
from typing import Any, Protocol

from twingraph.core.bodies import Ended, Items, Link, Opened, Page
from twingraph.core.events import GraphClosed
from twingraph.sdk.body.active import active
from twingraph.sdk.body.arguments import Coder
from twingraph.sdk.body.body import Body
from twingraph.sdk.body.closing import closed
from twingraph.sdk.body.hearing import Answer, Evict
from twingraph.sdk.body.known import Known
from twingraph.sdk.body.needs import codes_of, needs_rewriting
from twingraph.sdk.body.speaking import speaking
from twingraph.sdk.body.stopping import BodyEvicted, BodyStopped
from twingraph.sdk.body.threads import Threads

# Bodies that are kept alive in one host; beyond, waiting ones are let go.
BODY_LIMIT = 1_100
EXCEPTIONS = 100

Key = tuple[str, str]


class Place:
    """A body's place in the host: its thread while it has one, and what it waits for while it has none."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.body: Body | None = None
        self.early: list[Any] = []  # messages before the thread stands
        self.sleeps_for: frozenset[str] | None = None
        self.let_go: frozenset[str] | None = None  # the wait in which it was told to make room
        self.dropped = False


class World(Protocol):
    """What surrounds the bodies of a host. Any thread."""

    def find(self, execution: str, entry: str, bundle: str | None) -> Callable[..., Any]:
        """The plain function of a body."""

    def coder(self, execution: str) -> Coder: ...

    def locate(self, execution: str, objects: Mapping[str, Any]) -> str | None:
        """See that workers can load these, by entry. None: the execution's own code has them; else the version that."""

    def body_entry(self, execution: str, pipeline: Any) -> str:
        """The entry by which `find` gives the body of this very pipeline."""

    def code_hash(self, execution: str, entry: str) -> str | None:
        """The identity of the code under this entry, once it was located."""

    def forget(self, execution: str) -> None:
        """Nothing of it will be asked for any more."""


class BodyHost:
    """A `core.bodies.Host`."""

    def __init__(
        self,
        link: Link,
        world: World,
        *,
        limit: int = BODY_LIMIT,
        evict_when_idle: bool = False,
        shows_prints: Callable[[], bool] = lambda: True,
    ) -> None:
        self._link = link
        self._world = world
        self._known: dict[str, Known] = {}
        self._limit = limit
        self._evict_when_idle = evict_when_idle  # for tests: a body that has to wait is let go at once
        self._shows_prints = shows_prints
        self._threads = Threads(self._run)
        self._places: dict[Key, Place] = {}
        self._queue: list[Place] = []  # bodies that wait for room
        self._spoken: dict[Key, int] = {}  # how often those that were let go had printed or logged
        self._alive = 0
        self._lock = threading.Lock()
        self._codes: dict[Any, tuple[Callable[..., Any], frozenset[CodeType] | None]] = {}
        self.exceptions: dict[str, BaseException] = {}  # what left the body of an execution, in this process
        # For tests: another clock, and inboxes that tell who waits.
        self.clock: Callable[[], float] = time
        self.make_inbox: Callable[[], SimpleQueue[Any]] = SimpleQueue

    # -- what the conductor says ---------------------------------------------------------------------

    def open(self, opened: Opened) -> None:
        key = opened.execution, opened.scope
        with self._lock:
            before = self._places.get(key)
            if before is not None:
                self._drop(before, "it is run again from the top")
            place = self._places[key] = Place(opened)
            if self._alive >= self._limit:
                self._queue.append(place)  # before it is seen who waits: who begins to wait right then sees this
                self._make_room()
                return
            self._alive += 1
        self._start(place)

    def page(self, execution: str, scope: str, page: Page) -> None:
        self._tell(execution, scope, page)

    def ended(self, execution: str, scope: str, ended: Ended) -> None:
        self._tell(execution, scope, ended)

    def items(self, execution: str, scope: str, items: Items) -> None:
        self._tell(execution, scope, items)

    def answer(self, execution: str, scope: str, number: int, answer: Any) -> None:
        self._tell(execution, scope, Answer(number, answer))

    def stop(self, execution: str, why: str, scope: str | None = None) -> None:
        with self._lock:
            if scope is not None:
                place = self._places.pop((execution, scope), None)
                self._spoken.pop((execution, scope), None)
                if place is not None:
                    self._drop(place, why)
                return
            for key in [key for key in self._places if key[0] == execution]:
                self._drop(self._places.pop(key), why)
            for key in [key for key in self._spoken if key[0] == execution]:
                del self._spoken[key]
            self._known.pop(execution, None)
        self._world.forget(execution)

    def live(self) -> int:
        """How many bodies have a thread."""
        return self._alive

    def _tell(self, execution: str, scope: str, message: Any) -> None:
        with self._lock:
            place = self._places.get((execution, scope))
            if place is None:
                return
            if place.sleeps_for is not None:
                wakes = isinstance(message, Items) or (isinstance(message, Ended) and message.node in place.sleeps_for)
                if not wakes:
                    return  # its history will say so
                place.sleeps_for = None
                self._places.pop((execution, scope))
            elif place.body is None:
                place.early.append(message)
                return
            else:
                place.body.inbox.put(message)
                return
        self._link.reopen(execution, scope)

    def _drop(self, place: Place, why: str) -> None:
        place.dropped = True
        if place.body is not None:
            place.body.refuse(why)
        elif place in self._queue:
            self._queue.remove(place)

    def _make_room(self) -> None:
        """Let one waiting body go. Those that wait for sub-pipelines first: their children need the room. When none
        waits yet, the next that does goes by itself."""
        waiting = [place for place in self._places.values() if self._may_go(place)]
        parents = [p for p in waiting if self._has_children(p)]
        for place in (parents or waiting)[:1]:
            assert place.body is not None
            place.let_go = place.body.waits_for
            place.body.inbox.put(Evict())

    def _may_go(self, place: Place) -> bool:
        """Whoever was told in this wait has not got round to it."""
        waits_for = place.body.waits_for if place.body is not None else None
        return bool(waits_for) and place.let_go is not waits_for and not place.dropped

    def _has_children(self, place: Place) -> bool:
        execution, scope = place.opened.execution, place.opened.scope
        return any((execution, f"{scope}/{n}" if scope else n) in self._places for n in place.body.waits_for or ())  # type: ignore[union-attr]

    # -- the threads ---------------------------------------------------------------------------------

    def _start(self, place: Place) -> None:
        self._threads.start(place, f"twingraph-body-{place.opened.scope or place.opened.execution}")

    def _run(self, place: Place) -> None:
        body: Body | None = None
        speaking.begin()
        try:
            body = self._carry_out(place)
        finally:
            active.caller = None
            speaking.end(body)
            self._leave(place, body)

    def _leave(self, place: Place, body: Body | None) -> None:
        """The thread ends: its place is free, or waits to be woken."""
        key = place.opened.execution, place.opened.scope
        again = False
        with self._lock:
            self._alive -= 1
            place.body = None
            if body is not None:
                body.leave()
            evicted = body is not None and isinstance(body.stopped, BodyEvicted) and not place.dropped
            if evicted:
                assert body is not None
                self._spoken[key] = max(body.spoken, body.spoken_before)
                wanted = body.evicted_for
                missed = not body.inbox.empty()
                again = missed or any(node in body.over for node in wanted)
                place.sleeps_for = None if again else wanted
            if (not evicted or again) and self._places.get(key) is place:
                del self._places[key]
            following = self._queue.pop(0) if self._queue and self._alive < self._limit else None
            if following is not None:
                self._alive += 1
        if again:
            self._link.reopen(*key)
        if following is not None:
            self._start(following)

    def _carry_out(self, place: Place) -> Body | None:
        opened = place.opened
        coder = self._world.coder(opened.execution)
        known = self._known_of(opened.execution)
        try:
            function, codes = self._prepared(opened)
            kind = _async_body() if inspect.iscoroutinefunction(function) else Body
            body = kind(opened, self._link, coder, lambda target: known.target(target, self._link), codes)
            body.room_wanted = lambda: self._evict_when_idle or self._queue
            body.inbox, body.clock = self.make_inbox(), self.clock
            body.prints_are_shown = self._shows_prints
        except Exception as error:  # the code cannot be loaded: everybody who waits must learn it
            from twingraph.sdk.body.describing import describe

            self._close(opened, GraphClosed(opened.scope, error=describe(error, coder)), error)
            return None
        with self._lock:
            if place.dropped:
                return None
            place.body = body
            body.spoken_before = self._spoken.pop((opened.execution, opened.scope), 0)
            for message in place.early:
                body.inbox.put(message)
            place.early = []
        active.caller = body
        try:
            event, raised = closed(body, function, opened, coder)
        except BodyStopped:
            return body
        self._close(opened, event, raised)
        return body

    def _close(self, opened: Opened, event: GraphClosed, error: BaseException | None) -> None:
        if error is not None and not opened.scope:
            self.exceptions[opened.execution] = error
            while len(self.exceptions) > EXCEPTIONS:  # of executions whose callers never asked
                self.exceptions.pop(next(iter(self.exceptions)), None)
        self._link.feed(opened.execution, event, None)

    def _known_of(self, execution: str) -> Known:
        with self._lock:
            known = self._known.get(execution)
            if known is None:
                world = self._world
                known = self._known[execution] = Known(
                    execution,
                    lambda objects: world.locate(execution, objects),
                    lambda entry: world.code_hash(execution, entry),
                    lambda pipeline: world.body_entry(execution, pipeline),
                )
            return known

    def _prepared(self, opened: Opened) -> tuple[Callable[..., Any], frozenset[CodeType] | None]:
        function = self._world.find(opened.execution, opened.entry, opened.bundle)
        key = getattr(function, "__code__", function)
        if not isinstance(function, FunctionType):
            return function, None
        known = self._codes.get((key, function))
        if known is None:
            known = self._codes[key, function] = _rewritten(function)
        return known


def _rewritten(function: FunctionType) -> tuple[Callable[..., Any], frozenset[CodeType] | None]:
    """The function as it is run, with its code and that of the functions inside it; None when nobody has its source."""
    codes = codes_of(function.__code__)
    if not needs_rewriting(codes):
        return function, codes
    from twingraph.sdk.body.rewriting import rewritten  # most bodies need none, and it costs as much as all else here

    changed = rewritten(function)
    return (function, None) if changed is None else (changed, codes_of(changed.__code__))


def _async_body() -> type[Body]:
    from twingraph.sdk.body.loop import AsyncBody  # asyncio is not loaded for other bodies

    return AsyncBody
