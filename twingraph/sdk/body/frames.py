"""Whether a call is made inside a `try`, told from the code alone: for functions that are not rewritten."""

from __future__ import annotations

import inspect
import opcode
from bisect import bisect_right
from collections.abc import Container, Iterator
from functools import lru_cache
from types import CodeType, FrameType

_PUSH = opcode.opmap["PUSH_EXC_INFO"]
_WITH = opcode.opmap["WITH_EXCEPT_START"]
_AWAIT = opcode.opmap["GET_AWAITABLE"]
_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_BEYOND = frozenset({"twingraph.sdk.body.closing", "asyncio.events"})  # who runs bodies, and their tasks


def in_try_of_helper(frame: FrameType | None, rewritten: Container[CodeType]) -> bool:
    """Whether a call from this frame stands in the `try` of a function around it that is not rewritten. A coroutine
    learns of a failure where it awaits the call: there it need not hold up the other tasks."""
    direct = True
    while frame is not None and frame.f_globals.get("__name__") not in _BEYOND:
        code = frame.f_code
        later = direct and code.co_flags & _ASYNC and _awaits(code, frame.f_lasti)
        if code not in rewritten and not later and in_try(frame):
            return True
        frame, direct = frame.f_back, False
    return False


@lru_cache(maxsize=4096)
def _awaits(code: CodeType, offset: int) -> bool:
    """Whether what the call gives is awaited on the spot."""
    following = code.co_code[offset + 2 :: 2].lstrip(b"\0")  # without the call's inline caches
    return following[:1] == bytes((_AWAIT,))


def in_try(frame: FrameType) -> bool:
    """Whether what the frame does now stands under an `except` or `finally` of its own function."""
    return _protected(frame.f_code, frame.f_lasti)


@lru_cache(maxsize=4096)
def _protected(code: CodeType, offset: int) -> bool:
    """The compiler's own handlers (of comprehensions, generators, `await`, the end of `except ... as`) keep no
    exception and lead on to the handler outside of them; those of `with` call `__exit__` first."""
    table, text = _table(code), code.co_code
    seen: set[int] = set()
    while offset not in seen:
        seen.add(offset)
        target = _handler(table, offset)
        if target is None:
            return False
        if text[target] == _PUSH and text[target + 2] != _WITH:
            return True
        offset = target
    return False


def _handler(table: tuple[tuple[int, int, int], ...], offset: int) -> int | None:
    position = bisect_right(table, (offset, 1 << 62, 0)) - 1
    if position < 0:
        return None
    _, end, target = table[position]
    return target if offset < end else None


@lru_cache(maxsize=1024)
def _table(code: CodeType) -> tuple[tuple[int, int, int], ...]:
    """(start, end, handler) in bytes, by start. Written as numbers of six bits; the first of an entry has bit 7."""
    numbers = list(_numbers(code.co_exceptiontable))
    return tuple(
        (2 * start, 2 * (start + length), 2 * target)
        for start, length, target in zip(numbers[0::4], numbers[1::4], numbers[2::4], strict=True)
    )


def _numbers(data: bytes) -> Iterator[int]:
    number = 0
    for byte in data:
        number = (number << 6) | (byte & 0x3F)
        if not byte & 0x40:
            yield number
            number = 0
