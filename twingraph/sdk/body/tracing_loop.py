"""An event loop for following async bodies: time jumps, nothing is waited for, tasks carry the names of a live run."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

from twingraph.sdk.body.ways import Ended

TimerSet = Callable[[float], Callable[[], None]]  # told for how long; gives what is to be called when it goes off


class _Nothing(selectors.BaseSelector):
    """Hears of nothing outside; a wait for a moment is over at once."""

    def __init__(self) -> None:
        self.passed = 0.0
        self._registered: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        descriptor = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = selectors.SelectorKey(fileobj, descriptor, events, data)
        self._registered[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._registered.pop(fileobj)

    def get_map(self) -> Any:
        return self._registered

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._registered[fileobj]

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Ended("depends on something outside")
        self.passed += max(timeout, 0.0)
        return []


class TracingLoop(asyncio.SelectorEventLoop):
    def __init__(self, timer_set: TimerSet) -> None:
        self._nothing = _Nothing()
        super().__init__(self._nothing)
        self._timer_set = timer_set
        self._made: dict[str, int] = {}
        factory: Any = self._named
        self.set_task_factory(factory)

    def time(self) -> float:
        return self._nothing.passed

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """A timer of the body is a sleep, as it is in a run."""
        gone_off = self._timer_set(max(when - self.time(), 0.0))

        def go_off() -> None:
            gone_off()
            callback(*args)

        return super().call_at(when, go_off, context=context)

    def _named(self, loop: Any, coroutine: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        """A number below the task that makes it, in order of creation."""
        try:
            current = asyncio.current_task()
        except RuntimeError:
            current = None
        task = _Task(coroutine, loop=loop, **options)
        if current is not None:
            around = getattr(current, "twingraph_caller", "")
            count = self._made[around] = self._made.get(around, 0) + 1
            task.twingraph_caller = f"{around}.{count}" if around else str(count)
        return task


class _Task(asyncio.Task[Any]):
    twingraph_caller = ""


def run(coroutine: Coroutine[Any, Any, Any], timer_set: TimerSet) -> Any:
    """To its end; what it has left running is dropped."""
    loop = TracingLoop(timer_set)
    outer = asyncio._get_running_loop()  # of the pipeline that called this one
    asyncio._set_running_loop(None)
    try:
        return loop.run_until_complete(coroutine)
    finally:
        asyncio._set_running_loop(outer)
        for task in asyncio.all_tasks(loop):
            task.cancel()
            coro = task.get_coro()
            if coro is not None:
                coro.close()
        loop.set_exception_handler(lambda *_: None)
        loop.close()
