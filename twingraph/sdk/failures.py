"""Errors for callers and bodies: an ExecutionFailed or NodeFailed that also is of the class that user code raised."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from twingraph.core.errors import ExecutionFailed, NodeFailed, TwinGraphError
from twingraph.sdk.value_classes import class_named

if TYPE_CHECKING:
    from twingraph.core.records import ErrorRecord

F = TypeVar("F", ExecutionFailed, NodeFailed)
_OURS = (ExecutionFailed, NodeFailed)
# What Python's own exceptions keep neither in their arguments nor in their dict; the runner knows the same.
_SLOTS = ((OSError, ("filename", "filename2")), (ImportError, ("name", "path")))


class RemoteError(Exception):
    """What was raised in another process: its message, and below it the traceback of the user's code there."""

    def __init__(self, message: str, traceback: str | None) -> None:
        super().__init__(message)
        if traceback:
            self.add_note(traceback.rstrip())


def enrich(
    error: ExecutionFailed,
    types: tuple[str, ...],
    parts: Mapping[str, Any],
    live: BaseException | None = None,
    message: str | None = None,
) -> ExecutionFailed:
    """The same error as an instance of the original class too; its cause is the original as far as it is known here.

    `parts` may hold the original's `args`, its `notes` and, as `state`, its attributes. `live` is the very exception
    that left the body of a pipeline, where that ran in this process: its traceback is the author's own. `message` is
    the original's, without the place that the error names before it.
    """
    cls = _find(types)
    original = _rebuilt(cls, parts, str(error) if message is None else message) if cls is not None else None
    raised = _joined(error, original) if original is not None else error
    raised.__cause__ = live if live is not None else _cause(original, str(error), error.remote_traceback)
    _note(raised, parts)
    node = f" --node {shlex.quote(error.node_id)}" if error.node_id else ""
    raised.add_note(f"look closer: twingraph show last{node}    ({error.execution_id})")
    return raised


def node_failed(record: ErrorRecord, execution_id: str, parts: Mapping[str, Any]) -> NodeFailed:
    """What a body meets when it waits for a node that failed: `except ValueError` takes it as in plain Python."""
    node = record.node_id or ""
    error = NodeFailed(
        f"{node}: {record.words}",
        execution_id=execution_id,
        node_id=node,
        error_type=record.error_type,
        code=record.code,
        remote_traceback=record.traceback,
    )
    cls = _find(record.types or (record.error_type,))
    original = _rebuilt(cls, parts, record.message) if cls is not None else None
    raised = _joined(error, original) if original is not None else error
    raised.__cause__ = _cause(original, record.message, record.traceback)
    _note(raised, parts)
    return raised


def _note(raised: BaseException, parts: Mapping[str, Any]) -> None:
    """What the author's `add_note` said. The cause shows it with its traceback."""
    notes = parts.get("notes")
    for note in notes if isinstance(notes, list) else ():
        if isinstance(note, str):
            raised.add_note(note)


def _cause(original: Exception | None, message: str, traceback: str | None) -> Exception:
    if original is None:
        return RemoteError(message, traceback)
    if traceback:
        original.add_note(traceback.rstrip())
    return original


def _find(types: tuple[str, ...]) -> type[Exception] | None:
    """The first class of the names that this process already has: nothing is imported for an error's sake.

    What a body let out may be joined already; then it is the class behind our own that counts.
    """
    ours = False
    for name in types:
        module, _, attribute = name.rpartition(".")
        found: object = class_named(module or "builtins", attribute)
        if not isinstance(found, type) or not issubclass(found, BaseException):
            continue
        if found in _OURS or (ours and found is TwinGraphError):
            ours = True
            continue
        return found if issubclass(found, Exception) and not (ours and found is Exception) else None
    return None


def _rebuilt(cls: type[Exception], parts: Mapping[str, Any], message: str) -> Exception | None:
    given = tuple(parts["args"]) if "args" in parts else (message,)
    for first in (given, ()):
        made: Exception | None = _made(cls, cls, first)
        if made is not None:
            made.args = given
            _furnish(made, parts.get("state", {}))
            return made
    return None


def slots_of(error: BaseException) -> dict[str, Any]:
    names = [name for kind, names in _SLOTS if isinstance(error, kind) for name in names]
    return {name: value for name in names if (value := getattr(error, name)) is not None}


def _furnish(made: Exception, state: Mapping[str, Any]) -> None:
    slots = [name for kind, names in _SLOTS if isinstance(made, kind) for name in names]
    for name, value in state.items():
        if name in slots:
            setattr(made, name, value)
        else:
            made.__dict__[name] = value


def _made(cls: type[Exception], base: type[Exception], arguments: tuple[object, ...]) -> Any:
    """An instance without the author's `__init__`, which may want anything; those of builtins set their attributes."""
    # MemoryError's own refuses a class of which it is not the first base
    new = Exception.__new__ if cls is not base and issubclass(base, MemoryError) else cls.__new__
    try:
        made = new(cls, *arguments)
        if base.__module__ == "builtins":
            base.__init__(made, *arguments)
    except Exception:
        return None
    return made


def _joined(error: F, original: Exception) -> F:
    base = type(original)
    kind = type(error)
    try:
        cls = _join(kind, base)
    except TypeError:  # the layouts of the two classes do not fit together
        return error
    made = _made(cls, base, original.args) or _made(cls, base, ())
    if made is None:
        return error
    made.__dict__.update({**original.__dict__, **error.__dict__})
    _furnish(made, slots_of(original))
    if kind is NodeFailed:  # a body goes by what the author gave the error, as plain Python does
        made.__dict__.update(original.__dict__)
    made.args = original.args
    made.said = str(error)
    joined: F = made
    return joined


def _again(kind: type[Exception], cls: type[Exception], arguments: tuple[object, ...], state: dict[str, Any]) -> Any:
    """Of a pickle: the joined class has no name that a module knows."""
    joined = _join(kind, cls)
    made = _made(joined, cls, arguments) or _made(joined, cls, ())
    _furnish(made, state)
    made.args = arguments
    return made


_joins: dict[tuple[type[Exception], type[Exception]], Any] = {}


def _join(kind: type[Exception], cls: type[Exception]) -> Any:
    """A NodeFailed reads as the original does, for a body may look at its text; an ExecutionFailed also says where."""
    if (kind, cls) not in _joins:
        body: dict[str, Any] = {
            "__reduce__": lambda self: (_again, (kind, cls, self.args, {**self.__dict__, **slots_of(self)})),
            "__module__": __name__,
        }
        if kind is ExecutionFailed:
            body["__str__"] = lambda self: self.said
        _joins[kind, cls] = type(f"{kind.__name__}[{cls.__name__}]", (kind, cls), body)
    return _joins[kind, cls]
