"""The event loop of async bodies. It advances only on journaled results, one at a time, in the order of the journal, so
that a replay takes the same turns. Timers are durable nodes; there is no I/O in it."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import sys
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import suppress
from types import FrameType
from typing import Any
from weakref import WeakSet, WeakValueDictionary

from twingraph.core.bodies import Ended
from twingraph.core.errors import PermanentError
from twingraph.core.plan import NodeKind
from twingraph.sdk.body.active import active
from twingraph.sdk.body.body import Body
from twingraph.sdk.body.given import Cell
from twingraph.sdk.body.handles import Handle, handles_in, plain

_path: contextvars.ContextVar[str] = contextvars.ContextVar("twingraph_task", default="")


class AsyncBody(Body):
    """A body that is an async function: what waits is awaited, so that its other tasks go on meanwhile."""

    in_loop = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.loop = BodyLoop(self)  # type: ignore[abstract]

    @property
    def task(self) -> str:
        return _path.get()

    @task.setter
    def task(self, path: str) -> None:
        """Each task of asyncio carries its path in its context."""

    def finish(self, result: Coroutine[Any, Any, Any]) -> Any:
        try:  # what ended first is needed first, and may stand on the last page
            self.hear_until(lambda: self.history.complete)
        except BaseException:
            result.close()  # else Python warns that nobody has awaited it
            raise
        return self.loop.run_until_complete(result)

    def note_over(self, ended: Ended) -> None:
        if ended.node not in self.over:
            heapq.heappush(self.loop.arrived, (ended.order, ended.node))
        super().note_over(ended)

    # -- awaiting ----------------------------------------------------------------------------------

    def awaited(self, node: str, output: str | None) -> Generator[Any, None, Any]:
        return self._awaited(node, output, self.given.cell(node))

    def _awaited(self, node: str, output: str | None, cell: Cell) -> Generator[Any, None, Any]:
        """`cell` is held: the handle may be gone as soon as it is awaited."""
        try:
            yield from self.loop.delivery((node,)).__await__()
        except asyncio.CancelledError:
            self._let_go(node)
            raise
        return self.value(node, output)

    def _let_go(self, node: str) -> None:
        self.let_go.add(node)
        self.met[node] = None

    def items_awaited(self, handle: Handle) -> AsyncIterator[Any]:
        target = self._calls[handle._tg_node].target
        if target is None or not target.generator:
            raise TypeError(f"`async for` needs a generator, and {self.absolute(handle._tg_node)} is none; await it")
        return _Items(self, handle)

    async def items_delivered(self, handle: Handle) -> Iterator[Any]:
        """All that a generator gave, once it is over. One that failed gives what it handed over, then its failure."""
        node, output = handle._tg_node, handle._tg_output
        try:
            await self.loop.delivery((node,))
        except asyncio.CancelledError:
            self._let_go(node)
            raise
        streamed = self.items(node) if output in (None, "output") else None
        return iter(self.value(node, output)) if streamed is None else streamed

    def sleep(self, seconds: float) -> Any:
        self._check()
        return _called("sleep", self._later(self._wait_node("sleep", NodeKind.SLEEP, wait=seconds)))

    def wait_for_signal(self, name: str, timeout: float | None) -> Any:
        self._check()
        return _called("wait_for_signal", self._later(self._signal_node(name, timeout)))

    def _later(self, node: str) -> Coroutine[Any, Any, Any]:
        return self._value_of(node, self.given.cell(node))

    async def _value_of(self, node: str, cell: Cell) -> Any:
        await self.loop.delivery((node,))
        return self.value(node, None)

    def gather(self, handles: Iterable[Any]) -> Any:
        return _called("gather", self._gather(list(handles)))

    async def _gather(self, wanted: list[Any]) -> list[Any]:
        nodes = [handle._tg_node for handle in wanted if type(handle) is Handle]
        while True:
            there = [node for node in nodes if self.loop.is_delivered(node)]
            failed = [node for node in there if self.over[node].status != "completed"]
            if failed:
                self.met.update(dict.fromkeys(nodes))
                raise self.failure(min(failed, key=lambda node: self.over[node].order))
            if len(there) == len(nodes):
                return [plain(handle) if type(handle) is Handle else await _awaited(handle) for handle in wanted]
            await self.loop.delivery([node for node in nodes if not self.loop.is_delivered(node)])

    def wait_any(self, handles: Iterable[Any]) -> Any:
        return _called("wait_any", self._first({handle._tg_node: handle for handle in handles}))

    async def _first(self, left: dict[str, Any]) -> Any:
        if not left:
            raise ValueError("there is nothing to wait for")
        await self.loop.delivery(left)
        there = [node for node in left if self.loop.is_delivered(node)]
        first = min(there, key=lambda node: self.over[node].order)
        self._forced[first] = None
        return left.pop(first)

    def as_completed(self, handles: Iterable[Any]) -> Any:
        return _Completed(self, {handle._tg_node: handle for handle in handles})

    # -- the rewritten body ------------------------------------------------------------------------

    async def asettle(self, mark: list[int]) -> None:
        since = self._since(mark)
        for node in since:
            await self.loop.delivery((node,))
        self._raise_first(since)

    async def asettled(self, mark: list[int], value: Any) -> Any:
        await self.asettle(mark)
        return value

    async def areturned(self, mark: list[int], value: Any) -> Any:
        await self.asettle(mark)
        for handle in handles_in(value):
            await self.loop.delivery((handle._tg_node,))
            plain(handle)
        return value


class _Items:
    """What a generator gave, for `async for`, once it is over: the journal has no order of items and results, without
    which a replay would take other turns."""

    def __init__(self, body: AsyncBody, handle: Handle) -> None:
        self._body = body
        self._handle = handle
        self._left: Iterator[Any] | None = None

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self._left is None:
            self._left = await self._body.items_delivered(self._handle)
        for item in self._left:
            return item
        raise StopAsyncIteration


class _Completed:
    """The handles as they are over: `async for handle in ...`, or `for next_one in ...: handle = await next_one`."""

    def __init__(self, body: AsyncBody, left: dict[str, Any]) -> None:
        self._body = body
        self._left = left

    def __iter__(self) -> Iterator[Awaitable[Any]]:
        for _ in range(len(self._left)):
            yield self._body._first(self._left)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while self._left:
            yield await self._body._first(self._left)


def _called(name: str, waits: Any) -> Any:
    """Under the name that its author knows: whoever forgets to await it is told of it."""
    waits.__name__ = waits.__qualname__ = name
    return waits


async def _awaited(value: Any) -> Any:
    return await value if hasattr(value, "__await__") else value


class BodyTimer(asyncio.TimerHandle):
    """A callback that a SLEEP node of the journal calls."""

    def __init__(self, when: float, callback: Any, args: Any, loop: BodyLoop, context: Any, node: str) -> None:
        super().__init__(when, callback, args, loop, context)
        self.node = node

    def cancel(self) -> None:
        if not self.cancelled():
            super().cancel()
            self._loop.give_up(self)  # type: ignore[attr-defined]


class BodyLoop(asyncio.AbstractEventLoop):
    def __init__(self, body: AsyncBody) -> None:
        self._body = body
        self._ready: deque[asyncio.Handle] = deque()
        self._delivered: set[str] = set()
        self.arrived: list[tuple[int, str]] = []  # what is over and has not had its turn
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._timers: dict[str, BodyTimer] = {}
        self._tasks: list[asyncio.Task[Any]] = []
        self._created: dict[str, int] = {}
        self._counter = itertools.count(1)
        self._numbers: dict[int, int] = {}  # of async generators that have begun, by their id
        self._generators: WeakValueDictionary[int, AsyncGenerator[Any, None]] = WeakValueDictionary()
        self._closers: WeakSet[asyncio.Task[None]] = WeakSet()
        self._together: tuple[Sequence[Any], int] | None = None  # what is being started, and how many tasks came before
        self._time = 0.0
        self._closed = False

    # -- turns -------------------------------------------------------------------------------------

    def run_until_complete(self, future: Any) -> Any:
        if asyncio._get_running_loop() is not None:
            if asyncio.iscoroutine(future):
                future.close()
            raise RuntimeError("the loop of the body runs already: await it")
        asyncio._set_running_loop(self)
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=self._begun, finalizer=self._left)
        try:
            main = self._new_task(future, path="")
            self._turn(main)
            self._end_what_is_left()
            return main.result()
        finally:
            if self._body.stopped is not None:
                self._abandon()
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(None)
            self._closed = True

    def _end_what_is_left(self) -> None:
        left = [task for task in self._tasks if not task.done()]
        for task in left:
            if task not in self._closers:
                task.cancel()
        for task in left:
            self._turn(task)
        for generator in list(self._generators.values()):
            self._turn(self._closing(generator))

    # -- generators that nobody iterates to their end: what they do on their way out is a task --------

    def _begun(self, generator: AsyncGenerator[Any, None]) -> None:
        number = self._numbers[id(generator)] = next(self._counter)
        self._generators[number] = generator

    def _left(self, generator: AsyncGenerator[Any, None]) -> None:
        if self._body.stopped is None and not self._closed:
            self._closing(generator)

    def _closing(self, generator: AsyncGenerator[Any, None]) -> asyncio.Task[None]:
        """Named by when the generator began: when it is found to be dropped may be for the garbage collector to say."""
        task = self._new_task(generator.aclose(), path=f"g{self._numbers.pop(id(generator))}")
        self._closers.add(task)
        return task

    def _abandon(self) -> None:
        """What is left of a body that does not go on ends without a word: it is run again elsewhere, or not wanted."""
        for task in self._tasks:
            quiet: Any = task
            quiet._log_destroy_pending = quiet._log_traceback = False
            with suppress(BaseException):
                quiet.get_coro().close()
        self._ready.clear()

    def _turn(self, until: asyncio.Future[Any]) -> None:
        body = self._body
        while not until.done():
            while self._ready:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()
                if body.stopped is not None:
                    raise body.stopped
            if not until.done():
                self._deliver_next()

    def _deliver_next(self) -> None:
        """The result that is next in the journal; nothing else before everything has gone on that waited for it."""
        if not self.arrived:
            self._body.waits_for = frozenset(self._waiters) | frozenset(self._timers)
            try:
                self._body.hear_until(lambda: self.arrived)
            finally:
                self._body.waits_for = None
        self._deliver(heapq.heappop(self.arrived)[1])

    def _deliver(self, node: str) -> None:
        self._delivered.add(node)
        timer = self._timers.pop(node, None)
        if timer is not None and not timer.cancelled():
            self._time = max(self._time, timer.when())
            self._ready.append(timer)
        for future in self._waiters.pop(node, ()):
            if not future.done():
                future.set_result(None)

    def is_delivered(self, node: str) -> bool:
        return node in self._delivered

    async def delivery(self, nodes: Iterable[str]) -> None:
        """Until the result of one of these has had its turn."""
        wanted = tuple(nodes)
        if self._body.stopped is not None:
            raise self._body.stopped
        if not wanted or not self._delivered.isdisjoint(wanted):
            return
        future: asyncio.Future[None] = self.create_future()
        for node in wanted:
            self._waiters.setdefault(node, []).append(future)
        await future

    # -- callbacks and timers ----------------------------------------------------------------------

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> BodyTimer:
        return self.call_at(self._time + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> BodyTimer:
        node = self._body._wait_node("sleep", NodeKind.SLEEP, wait=max(0.0, when - self._time))
        timer = self._timers[node] = BodyTimer(when, callback, args, self, context, node)
        return timer

    def give_up(self, timer: BodyTimer) -> None:
        if self._timers.pop(timer.node, None) is not None:
            self._body.give_up(timer.node)

    def time(self) -> float:
        """Moves with the timers alone: the same in every replay. What a person means by time is `twingraph.now()`."""
        return self._time

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Asked for by asyncio; `BodyTimer.cancel` does it."""

    # -- tasks -------------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: contextvars.Context | None = None, **_: Any
    ) -> asyncio.Task[Any]:
        if type(coro) is Handle:
            coro = _awaited(coro)
        parent = _path.get()
        number = self._number(parent)
        return self._new_task(coro, path=f"{parent}.{number}" if parent else str(number), name=name, context=context)

    def _number(self, parent: str) -> int:
        """Tasks are known by their order of creation. `asyncio.as_completed` creates them in the order of a set, which
        is another one in each process: those count in the order in which they were given."""
        known = self._created.get(parent, 0)
        given = _given_to_as_completed()
        if given is None:
            self._created[parent] = known + 1
            return known + 1
        one, every = given
        if self._together is None or self._together[0] is not every:
            self._together = every, known
            self._created[parent] = known + len(every)
        return self._together[1] + next(place for place, other in enumerate(every, 1) if other is one)

    def _new_task(
        self, coro: Any, *, path: str, name: str | None = None, context: contextvars.Context | None = None
    ) -> asyncio.Task[Any]:
        inside = contextvars.copy_context() if context is None else context
        inside.run(_path.set, path)
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=inside)
        # A body that is left paused when its process ends is run again later; nobody has forgotten it.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)
        return task

    # -- what asyncio asks of any loop -------------------------------------------------------------

    def is_running(self) -> bool:
        return not self._closed

    def is_closed(self) -> bool:
        return self._closed

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        """There is nothing to show."""

    def get_task_factory(self) -> None:
        return None

    def call_exception_handler(self, context: Mapping[str, Any]) -> None:
        """A task that failed with nobody to see it: told as asyncio tells it. The garbage collector may find it on the
        thread of another body, which has not said this; and one that was let go before it looked is run again."""
        import logging

        if self._body.stopped is not None:
            return
        speaks = active.caller
        if speaks is not self._body:
            active.caller = None
        try:
            logging.getLogger("asyncio").error("%s", context.get("message"), exc_info=context.get("exception"))
        finally:
            active.caller = speaks

    def default_exception_handler(self, context: Mapping[str, Any]) -> None:
        self.call_exception_handler(context)

    async def shutdown_asyncgens(self) -> None:
        """They end with the body."""


def _given_to_as_completed() -> tuple[Any, Sequence[Any]] | None:
    """What `asyncio.as_completed` makes a task of just now, and all that it was given, where that has an order."""
    frame: FrameType | None = sys._getframe(3)
    one = None
    while frame is not None and frame.f_code.co_filename == asyncio.tasks.__file__:
        found = frame.f_locals
        one = found.get("f", found.get("aw")) if one is None else one
        every = found.get("fs", found.get("aws"))
        if every is not None:
            fits = isinstance(every, (list, tuple)) and any(other is one for other in every)
            return (one, every) if fits else None
        frame = frame.f_back
    return None


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(self: BodyLoop, *args: Any, **kwargs: Any) -> Any:
        raise PermanentError(
            f"the body of a pipeline waits for its own calls alone, and asyncio's {name} is something else: do it in a "
            "component, or once and recorded by twingraph.side_effect(function)"
        )

    return refuse


def _refuse_the_rest(kind: Any) -> None:
    for name, method in vars(asyncio.AbstractEventLoop).items():
        if callable(method) and not name.startswith("__") and name not in vars(kind):
            setattr(kind, name, _refusing(name))
    kind.__abstractmethods__ = frozenset()


_refuse_the_rest(BodyLoop)
