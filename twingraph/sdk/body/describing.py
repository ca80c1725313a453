"""Failures on their way into a body and out of it."""

from __future__ import annotations

import os
import traceback
from typing import Any, Protocol

from twingraph.core.bodies import Ended
from twingraph.core.errors import ErrorCode, NodeFailed, PermanentError, ReplayMismatch, TwinGraphError
from twingraph.core.records import ErrorRecord
from twingraph.core.syntax import undisturbed
from twingraph.sdk.body.arguments import Coder
from twingraph.sdk.body.handles import Handle, handles_in, plain
from twingraph.sdk.failures import node_failed, slots_of

_OWN = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
MAX_MESSAGE = 20_000
MAX_PARTS = 16_384  # characters of an exception's arguments and attributes that travel with it
_HINT = "a handle stood where only its value can; take the value with .result() and pass that"


class Named(Protocol):
    execution: str

    def absolute(self, node: str) -> str: ...


def failure_of(body: Named, node: str, ended: Ended, coder: Coder) -> BaseException:
    """Why a node gave nothing, as the error that a body meets."""
    name = body.absolute(node)
    record = ended.error or ErrorRecord(
        code=ErrorCode.CANCELLED if ended.status == "cancelled" else ErrorCode.UPSTREAM,
        error_type="NodeFailed",
        message=f"it was {ended.status}" + (f" ({ended.reason})" if ended.reason else ""),
        node_id=name,
    )
    parts: dict[str, Any] = {}
    if record.exception:
        try:
            parts = dict(coder.decode(record.exception))
        except Exception:  # a class in it may be gone: the error's description has to do
            parts = {}
    made = node_failed(record, body.execution, parts)
    made.__dict__["_tg_record"] = record
    return made


def describe(error: BaseException, coder: Coder, *, node: str | None = None) -> ErrorRecord:
    """What left a body, or made what it carried out itself fail. A node's failure that passes stays what it was."""
    passed: ErrorRecord | None = error.__dict__.get("_tg_record")
    if passed is not None:
        return passed
    kinds = [kind for kind in type(error).__mro__ if kind is not object]
    return ErrorRecord(
        code=ErrorCode.REPLAY_MISMATCH if isinstance(error, ReplayMismatch) else ErrorCode.USER_ERROR,
        error_type=type(error).__name__,
        message=_message(error),
        node_id=node,
        traceback=_traceback(error),
        types=tuple(
            k.__qualname__ if k.__module__ == "builtins" else f"{k.__module__}.{k.__qualname__}" for k in kinds
        ),
        permanent=isinstance(error, PermanentError),
        exception=_parts(error, coder),
    )


def raised_at(error: BaseException) -> str | None:
    """The author's line that it came through, file and number; None where it did not come of the author's code or of
    a node's failure, but of ours."""
    place, ours = None, False  # whether a frame of ours comes after the author's
    step = error.__traceback__
    while step is not None:
        own = step.tb_frame.f_code.co_filename.startswith(_OWN)
        if own:
            ours = place is not None
        elif place is None:
            place = f"{step.tb_frame.f_code.co_filename}:{step.tb_lineno}"
        step = step.tb_next
    return None if ours and "_tg_record" not in error.__dict__ else place


def words_of(error: BaseException) -> str:
    """Its class and message in a line."""
    return traceback.format_exception_only(error)[-1].strip()[:200]


def looked_through(error: BaseException) -> BaseException:
    """The same with the values of handles that it was raised with; or why one of these has none."""
    try:
        _look_through(error, set())
    except NodeFailed as failed:
        return failed
    except Exception:  # it is held together in its own way
        return error
    return error


def _look_through(error: BaseException | None, seen: set[int]) -> None:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    if _holds_handle(error.args):
        error.args = tuple(_looked_through(part) for part in error.args)
    for name, value in error.__dict__.items():
        if _holds_handle(value):
            error.__dict__[name] = _looked_through(value)
    for inner in (error.__cause__, *(getattr(error, "exceptions", None) or ())):
        _look_through(inner, seen)


def _looked_through(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {name: _looked_through(part) for name, part in value.items()}
    return kind(map(_looked_through, value)) if kind in (list, tuple, set, frozenset) else plain(value)


def _holds_handle(value: Any) -> bool:
    return next(handles_in(value), None) is not None


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the body called sys.exit({error.code!r}); return a value or raise an exception instead"
    try:
        text = str(error)[:MAX_MESSAGE].encode("utf-8", "replace").decode("utf-8")
    except Exception as second:
        return f"<the message of this {type(error).__name__} could not be made: {type(second).__name__}>"
    if isinstance(error, TypeError) and not isinstance(error, TwinGraphError) and _met_a_handle(error, text):
        return f"{text} ({_HINT})"
    return text


def _met_a_handle(error: BaseException, text: str) -> bool:
    """Whether some library was given a handle and wanted the plain value, as C code does."""
    if "Handle" in text:
        return True
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    if step is None or step.tb_frame.f_code.co_filename.startswith(_OWN):  # the value itself did not do it
        return False
    held = step.tb_frame.f_locals.values()
    return any(type(value) is Handle for value in held)


def _traceback(error: BaseException) -> str | None:
    """The author's frames only."""
    try:
        return undisturbed(lambda: _shown(error))
    except Exception:  # no stack is left, or the exception cannot be shown
        return None


def _shown(error: BaseException) -> str:
    whole = traceback.TracebackException.from_exception(error)
    _cut(whole, set())
    return "".join(whole.format())[-100_000:].encode("utf-8", "replace").decode("utf-8")


def _cut(part: Any, seen: set[int]) -> None:
    if part is None or id(part) in seen:
        return
    seen.add(id(part))
    part.stack[:] = [frame for frame in part.stack if not frame.filename.startswith(_OWN)]
    _cut(part.__cause__, seen)
    _cut(part.__context__, seen)
    for inner in getattr(part, "exceptions", None) or ():
        _cut(inner, seen)


def _parts(error: BaseException, coder: Coder) -> str | None:
    state = {name: value for name, value in error.__dict__.items() if name[:2] != "__" and name[:4] != "_tg_"}
    state.update(slots_of(error))
    more = {"state": state, "notes": getattr(error, "__notes__", None)}
    bare: dict[str, Any] = {"args": list(error.args)}
    full = {**bare, **{name: part for name, part in more.items() if part}}
    for parts in (full, bare) if len(full) > 1 else (bare,):
        try:
            text = coder.encode(parts, "exception").text
        except Exception:  # they may be anything
            continue
        if len(text) <= MAX_PARTS:
            return text
    return None
