"""Errors for callers: an ExecutionFailed that is also an instance of the class that the user's code raised."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from twingraph.core.errors import ExecutionFailed
from twingraph.sdk.value_classes import class_named


class RemoteError(Exception):
    """What was raised in another process: its message, and below it the traceback of the user's code there."""

    def __init__(self, message: str, traceback: str | None) -> None:
        super().__init__(message)
        if traceback:
            self.add_note(traceback.rstrip())


def enrich(error: ExecutionFailed, types: tuple[str, ...], parts: Mapping[str, Any]) -> ExecutionFailed:
    """The same error as an instance of the original class too; its cause is the original as far as it is known here.

    `parts` may hold the original's `args` and, as `state`, its attributes.
    """
    cls = _find(types)
    original = _rebuilt(cls, parts, str(error)) if cls is not None else None
    raised = _joined(error, original) if original is not None else error
    cause = original or RemoteError(str(error), None)
    if error.remote_traceback:
        cause.add_note(error.remote_traceback.rstrip())
    raised.__cause__ = cause
    node = f" --node {shlex.quote(error.node_id)}" if error.node_id else ""
    raised.add_note(f"look closer: twingraph show last{node}    ({error.execution_id})")
    return raised


def _find(types: tuple[str, ...]) -> type[Exception] | None:
    """The first class of the names that this process already has: nothing is imported for an error's sake."""
    for name in types:
        module, _, attribute = name.rpartition(".")
        found: object = class_named(module or "builtins", attribute)
        if isinstance(found, type) and issubclass(found, BaseException):
            return found if issubclass(found, Exception) and not issubclass(found, ExecutionFailed) else None
    return None


def _rebuilt(cls: type[Exception], parts: Mapping[str, Any], message: str) -> Exception | None:
    given = tuple(parts["args"]) if "args" in parts else (message,)
    for first in (given, ()):
        made: Exception | None = _made(cls, cls, first)
        if made is not None:
            made.args = given
            made.__dict__.update(parts.get("state", {}))
            return made
    return None


def _made(cls: type[Exception], base: type[Exception], arguments: tuple[object, ...]) -> Any:
    """An instance without the author's `__init__`, which may want anything; those of builtins set their attributes."""
    try:
        made = cls.__new__(cls, *arguments)
        if base.__module__ == "builtins":
            base.__init__(made, *arguments)
    except Exception:
        return None
    return made


def _joined(error: ExecutionFailed, original: Exception) -> ExecutionFailed:
    base = type(original)
    try:
        cls = _join(base)
    except TypeError:  # the layouts of the two classes do not fit together
        return error
    made = _made(cls, base, original.args) or _made(cls, base, ())
    if made is None:
        return error
    made.__dict__.update(original.__dict__)
    made.__dict__.update(error.__dict__)
    made.args = original.args
    made.said = str(error)
    joined: ExecutionFailed = made
    return joined


def _again(cls: type[Exception], arguments: tuple[object, ...], state: dict[str, object]) -> Any:
    """Of a pickle: the joined class has no name that a module knows."""
    made = _made(_join(cls), cls, arguments) or _made(_join(cls), cls, ())
    made.__dict__.update(state)
    made.args = arguments
    return made


_joins: dict[type[Exception], Any] = {}


def _join(cls: type[Exception]) -> Any:
    if cls not in _joins:
        body = {
            "__str__": lambda self: self.said,
            "__reduce__": lambda self: (_again, (cls, self.args, self.__dict__)),
            "__module__": __name__,
        }
        _joins[cls] = type(f"ExecutionFailed[{cls.__name__}]", (ExecutionFailed, cls), body)
    return _joins[cls]
