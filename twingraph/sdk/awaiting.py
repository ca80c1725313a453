"""Waiting for an execution inside somebody else's event loop: in threads of our own, so that the loop goes on."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Begun(Protocol):
    """An execution that was started for somebody who awaits it."""

    def wait(self) -> object: ...

    def stop(self, presses: int) -> object:
        """Its awaiting task was cancelled, after this many Ctrl-C: end it, or leave it paused. Returns at its rest."""


def in_running_loop() -> bool:
    if "asyncio" not in sys.modules:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def in_thread(act: Callable[[], T]) -> T:
    """A thread of its own for each: a loop's executor has few, and what waits here may wait for days."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[T | None, BaseException | None]] = loop.create_future()

    def tell(value: T | None, error: BaseException | None) -> None:
        if not done.done():
            done.set_result((value, error))

    def work() -> None:
        value, error = None, None
        try:
            value = act()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, value, error)

    threading.Thread(target=work, name="twingraph-await", daemon=True).start()
    value, error = await done
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


async def until_over(begin: Callable[[], Begun]) -> Any:
    """Begin it and wait to its end. Cancelling the task that awaits this stops the execution."""
    with _presses() as presses:
        starting = asyncio.ensure_future(in_thread(begin))
        try:
            begun = await asyncio.shield(starting)
            await in_thread(begun.wait)
        except asyncio.CancelledError:
            # Shielded as a whole: who is cancelled once more waits no longer, and it is stopped all the same.
            with suppress(asyncio.CancelledError):
                await asyncio.shield(asyncio.ensure_future(_stop(starting, presses)))
            raise
    return begun


async def _stop(starting: asyncio.Future[Begun], presses: _Presses) -> None:
    begun = await starting
    await in_thread(lambda: begun.stop(presses.count))


class _Presses:
    """Ctrl-C reaches a coroutine as a cancellation; this tells them apart. Whoever listened before still hears it."""

    count = 0
    users = 0
    before: Any = None

    def hear(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.before(number, frame)


_heard = _Presses()


@contextmanager
def _presses() -> Iterator[_Presses]:
    if threading.current_thread() is not threading.main_thread():
        yield _Presses()
        return
    if not _heard.users:
        _heard.count, _heard.before = 0, signal.getsignal(signal.SIGINT)
        if callable(_heard.before):
            signal.signal(signal.SIGINT, _heard.hear)
    _heard.users += 1
    try:
        yield _heard
    finally:
        _heard.users -= 1
        if not _heard.users and signal.getsignal(signal.SIGINT) == _heard.hear:
            signal.signal(signal.SIGINT, _heard.before)
