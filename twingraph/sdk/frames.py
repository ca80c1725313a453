"""Tracebacks that lead to the author's own line: between it and one of our errors stands one frame of ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from twingraph.core.errors import TwinGraphError

P = ParamSpec("P")
R = TypeVar("R")


def short(function: Callable[P, R]) -> Callable[P, R]:
    @wraps(function)
    def called(*args: P.args, **keywords: P.kwargs) -> R:
        try:
            return function(*args, **keywords)
        except (TwinGraphError, KeyboardInterrupt) as error:
            failed = error.with_traceback(None)  # raised below, where it is not its own context
        raise failed

    return called
