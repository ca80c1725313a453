"""Errors for callers: an ExecutionFailed that is also an instance of the class that the user's code raised."""

from __future__ import annotations

import sys
from functools import lru_cache

from twingraph.core.errors import ExecutionFailed

# Classes whose instances end a program rather than report an error.
_NEVER = (SystemExit, KeyboardInterrupt, GeneratorExit)


class RemoteError(Exception):
    """What was raised in another process: its message, and below it the traceback of the user's code there."""

    def __init__(self, message: str, traceback: str | None) -> None:
        super().__init__(message)
        if traceback:
            self.add_note(traceback.rstrip())


def enrich(error: ExecutionFailed, types: tuple[str, ...], original: BaseException | None) -> ExecutionFailed:
    """The same error as an instance of the original class too, with the original or its description as cause."""
    raised = error
    cls = type(original) if original is not None else _find(types)
    if cls is not None and issubclass(cls, Exception) and not issubclass(cls, (ExecutionFailed, *_NEVER)):
        raised = _joined(error, cls, original) or error
    raised.__cause__ = original or RemoteError(str(error), error.remote_traceback)
    return raised


def _find(types: tuple[str, ...]) -> type[BaseException] | None:
    """The class that the names mean, if this process already has it: nothing is imported for an error's sake."""
    for name in types:
        module, _, attribute = name.rpartition(".")
        found = getattr(sys.modules.get(module or "builtins"), attribute, None)
        if isinstance(found, type) and issubclass(found, BaseException):
            return found
    return None


def _joined(error: ExecutionFailed, cls: type[Exception], original: BaseException | None) -> ExecutionFailed | None:
    try:
        joined = _join(cls)
        made = joined.__new__(joined)
    except TypeError:  # the layouts of the two classes do not fit together
        return None
    made.__dict__.update(original.__dict__ if original is not None else {})
    made.__dict__.update(error.__dict__)
    made.args = original.args if original is not None else error.args
    return made


@lru_cache(maxsize=256)
def _join(cls: type[Exception]) -> type[ExecutionFailed]:
    def say(self: ExecutionFailed) -> str:
        return str(self.__dict__.get("_said") or ", ".join(map(str, self.args)))

    return type(f"ExecutionFailed[{cls.__name__}]", (ExecutionFailed, cls), {"__str__": say, "__module__": __name__})
