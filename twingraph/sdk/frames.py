"""Tracebacks that lead to the author's own line: between it and one of our errors stands one frame of ours."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

from twingraph.core.errors import TwinGraphError

P = ParamSpec("P")
R = TypeVar("R")

_OURS = str(Path(__file__).parents[1])


def short(function: Callable[P, R]) -> Callable[P, R]:
    @wraps(function)
    def called(*args: P.args, **keywords: P.kwargs) -> R:
        try:
            return function(*args, **keywords)
        except (TwinGraphError, KeyboardInterrupt) as error:
            failed = error.with_traceback(None)  # raised below, where it is not its own context
        raise failed

    return called


def author_level() -> int:
    """How far above whoever asks the author's own line is, as `warnings.warn` counts."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        level, frame = level + 1, frame.f_back
    return level


def own_frames(error: BaseException) -> BaseException:
    """The same error, and those behind it, with tracebacks that show the author's frames alone."""
    seen: set[int] = set()
    behind: BaseException | None = error
    while behind is not None and id(behind) not in seen:
        seen.add(id(behind))
        behind.__traceback__ = _without_ours(behind.__traceback__)
        behind = behind.__cause__ or behind.__context__
    return error


def _without_ours(found: TracebackType | None) -> TracebackType | None:
    steps = []
    while found is not None:
        if not found.tb_frame.f_code.co_filename.startswith(_OURS):
            steps.append(found)
        found = found.tb_next
    own: TracebackType | None = None
    for step in reversed(steps):
        own = TracebackType(own, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return own
