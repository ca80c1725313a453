"""Calls that a body makes while an exception is on its way: in handlers, in `finally`, in an `__exit__`.

Plain Python would have finished them before the exception goes on. So a body that fails ends only when these are over:
a clean-up is never cancelled by the failure that it cleans up after.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator


class Unwinding:
    def __init__(self) -> None:
        self._made: dict[str, BaseException] = {}  # by call: what was on its way

    def made(self, node: str) -> None:
        error = sys.exc_info()[1]
        if error is not None:
            self._made[node] = error

    def completed(self, node: str) -> None:
        if self._made:
            self._made.pop(node, None)

    def before(self, error: BaseException) -> Iterator[str]:
        """What was called while this exception, or one that led to it, was on its way; in order."""
        led = set()
        todo: list[BaseException | None] = [error]
        while todo:
            one = todo.pop()
            if one is not None and id(one) not in led:
                led.add(id(one))
                todo += [one.__context__, one.__cause__]
        return (node for node, held in list(self._made.items()) if id(held) in led)
