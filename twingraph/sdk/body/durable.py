"""What a pipeline's body asks for instead of clocks, chance and the world: recorded, so that a replay hears the same.

Outside of a body each is its plain counterpart, so that functions which use them can be tried by hand.
"""

from __future__ import annotations

import random as stdlib_random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, KeysView, ValuesView
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from twingraph.core.errors import ValidationError
from twingraph.sdk.body.active import active

if TYPE_CHECKING:
    from random import Random as _Methods
else:
    _Methods = object

P = ParamSpec("P")
R = TypeVar("R")

# What a single argument may be to stand for all that is in it. Asked of its type: asking a handle itself would wait.
_COLLECTIONS = (list, tuple, set, frozenset, KeysView, ValuesView, Iterator)


def sleep(seconds: float | timedelta) -> Any:
    """Wait. In a pipeline no worker is held meanwhile, and it outlives the process; `await` it in an async one."""
    length = seconds_of(seconds, "sleep")
    caller = active.caller
    return time.sleep(length) if caller is None else caller.sleep(length)


def now() -> datetime:
    """The time in UTC, the same in every replay."""
    caller = active.caller
    return datetime.now(UTC) if caller is None else caller.now()


def uuid4() -> uuid.UUID:
    """A new id, the same in every replay."""
    caller = active.caller
    return uuid.uuid4() if caller is None else caller.uuid4()


class DurableRandom(_Methods):
    """`random()` gives a number from 0 up to 1; `random.randint(1, 6)` and every other method of `random.Random`."""

    def __call__(self) -> float:
        caller = active.caller
        return stdlib_random.random() if caller is None else caller.random().random()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            caller = active.caller
            return getattr(stdlib_random if caller is None else caller.random(), name)

    def __repr__(self) -> str:
        return "<random numbers, the same in every replay>"


random = DurableRandom()


def side_effect(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a plain function in the body itself, once; replays are given what it gave."""
    if not callable(function):
        raise TypeError(f"side_effect takes a function and its arguments, not {function!r}")
    caller = active.caller
    if caller is None:
        return function(*args, **kwargs)
    value: R = caller.side_effect(function, args, kwargs)
    return value


def wait_for_signal(name: str, timeout: float | timedelta | None = None) -> Any:
    """Wait until somebody sends `twingraph signal ID NAME [VALUE]`; gives the value. TimeoutError after `timeout`."""
    if not _is_name(name):
        raise ValidationError(f"the name of a signal must be a text that is not empty, not {name!r}")
    limit = None if timeout is None else seconds_of(timeout, "wait_for_signal(timeout=)")
    caller = active.caller
    if caller is None:
        raise ValidationError(f"wait_for_signal({name!r}) waits inside a running pipeline; here nobody can send it")
    return caller.wait_for_signal(name, limit)


def gather(*handles: Any) -> Any:
    """Wait for all of them, one by one or in a list: their values, in order. `await` it in an async pipeline."""
    every = _all_of(handles)
    caller = active.caller
    return every if caller is None else caller.gather(every)


def wait_any(*handles: Any) -> Any:
    """The handle that is over first, whether it has a value or has failed."""
    every = _all_of(handles)
    if not every:
        raise ValueError("wait_any needs something to wait for")
    caller = active.caller
    return every[0] if caller is None else caller.wait_any(every)


def as_completed(*handles: Any) -> Iterator[Any]:
    """The handles in the order in which they end."""
    every = _all_of(handles)
    caller = active.caller
    return iter(every) if caller is None else caller.as_completed(every)


def _all_of(handles: tuple[Any, ...]) -> list[Any]:
    if len(handles) == 1 and issubclass(type(handles[0]), _COLLECTIONS):
        inside: Iterable[Any] = handles[0]
        return list(inside)
    return list(handles)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name.strip())


def seconds_of(length: Any, where: str, *, least: float = 0.0) -> float:
    if getattr(type(length), "is_symbol", False):  # a plan is made: only a run knows how long
        return length  # type: ignore[no-any-return]
    if isinstance(length, timedelta):
        length = length.total_seconds()
    if type(length) is bool or not isinstance(length, (int, float)):
        raise TypeError(f"{where} takes seconds or a timedelta, not {length!r}")
    if not length >= least:  # also what is not a number
        raise ValueError(f"{where} takes a length from 0, not {length!r}")
    return float(length)
