"""From what is known of a process or a container to how the attempt in it ended. Pure."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from twingraph.core.codec_base import UNREADABLE, CodecError, loads
from twingraph.core.errors import ErrorCode
from twingraph.core.recordclass import recordclass
from twingraph.core.records import (
    ErrorRecord,
    as_error,
    as_output,
    as_text,
    as_text_or_none,
    check_amounts,
    check_counts,
    check_moments,
)
from twingraph.executors.base import Finished, Task
from twingraph.executors.exits import ending_of

# What an engine says that was killed and does not know how its containers ended.
_UNKNOWN = 255
_STATUSES = frozenset({"completed", "failed"})
_LARGEST_EXIT = 255
# What the words of somebody else may lead to.
FOREIGN = (CodecError, IndexError, *UNREADABLE)


@recordclass
class Standing:
    """What is known of a container when its run is over. `ending` and `answer` are the runner's own words."""

    ending: Mapping[str, Any] | None = None
    answer: str | None = None
    exit_code: int | None = None  # None: the container itself is gone
    oom_killed: bool = False
    began: float | None = None
    asked: str | None = None  # why we ended it
    last: Sequence[str] = ()  # the last lines that it said
    fault: str = ""  # of what was written last: a traceback of the interpreter's own


class UnreadableEndingError(ValueError):
    """What a container left are not the words of our runner."""


def ending_of_process(raw: Any) -> Mapping[str, Any]:
    """What the first process says of the end of the node's, where that is what it can say: user code can write it too.
    Raises UnreadableEndingError."""
    try:
        number = raw["exit"] if raw["exit"] is not None else raw["signal"]
        check_counts(number, raw.get("oom", 0))
        if number > _LARGEST_EXIT or (raw["exit"] is None and number == 0):
            raise ValueError(f"no process ends with {number}")
        if raw.get("cpu") is not None:
            check_amounts(raw["cpu"])
        if raw.get("memory") is not None:
            check_counts(raw["memory"])
        as_text_or_none(raw.get("doom"))
    except FOREIGN as error:
        raise _unreadable("what its container says of its end", error) from error
    return dict(raw)


def ending_of_text(text: str) -> Mapping[str, Any]:
    try:
        raw = loads(text)
    except FOREIGN as error:
        raise _unreadable("what its container says of its end", error) from error
    return ending_of_process(raw)


def _unreadable(what: str, error: BaseException) -> UnreadableEndingError:
    return UnreadableEndingError(f"{what} cannot be read: {error}"[:500])


def finished(task: Task, standing: Standing, now: float) -> Finished:
    """How it ended. What we asked for comes first, then the answer of user code, then how its process ended. Raises
    UnreadableEndingError where one of these is not what it must be: whoever is told of the end need look no more."""
    ending = {} if standing.ending is None else ending_of_process(standing.ending)
    doom = standing.asked or (ending.get("doom") if ending.get("doom") == "timeout" else None)
    answer = _answer(standing.answer) if standing.answer is not None and doom in (None, "timeout") else None
    if doom == "timeout" and answer is not None and answer.status == "completed" and _in_time(task, answer):
        doom = None
    if doom is not None:
        return _with_usage(_doomed(task, standing, doom, now), ending)
    memory_gone = standing.oom_killed or bool(ending.get("oom"))
    if answer is not None and (answer.status == "completed" or not memory_gone):
        return _with_usage(answer, ending)
    if memory_gone:
        return _with_usage(_out_of_memory(task, standing, answer, now), ending)
    return _with_usage(_died(task, standing, now), ending)


def failed(
    task: Task,
    code: str,
    kind: str,
    message: str,
    now: float,
    *,
    status: str = "failed",
    permanent: bool = False,
    exit_code: int | None = None,
    traceback: str | None = None,
    types: Sequence[str] | None = None,
    started: float | None = None,
) -> Finished:
    record = ErrorRecord(
        code=code, error_type=kind, message=message, node_id=task.node, attempt=task.attempt,
        types=tuple(types) if types is not None else (kind,), permanent=permanent, exit_code=exit_code,
        traceback=traceback,
    )  # fmt: skip
    return Finished(status=status, started=started, ended=now, error=record)


def _answer(said: str) -> Finished:
    try:
        first, *texts = said.split("\n")
        head = loads(first)
        if head["status"] not in _STATUSES or len(head["outputs"]) != len(texts):
            raise ValueError("it is not whole")
        error = head["error"]
        if (head["status"] == "failed") is (error is None):
            raise ValueError("a failure has an error, and nothing else has")
        check_moments(head["started"], head["ended"])
        return Finished(
            status=head["status"],
            started=head["started"],
            ended=head["ended"],
            shape=as_text_or_none(head["shape"]),
            outputs=[as_output(*output) for output in head["outputs"]],
            texts=[as_text(text) for text in texts],
            error=None if error is None else as_error(error, None, None),
        )
    except FOREIGN as why:
        raise _unreadable("the answer that its container left", why) from why


def _in_time(task: Task, answer: Finished) -> bool:
    return task.timeout is not None and answer.started is not None and answer.ended - answer.started <= task.timeout


def _with_usage(ended: Finished, ending: Mapping[str, Any]) -> Finished:
    return replace(ended, cpu=ending.get("cpu"), memory=ending.get("memory"))


def _doomed(task: Task, standing: Standing, doom: str, now: float) -> Finished:
    started = standing.began
    if doom == "timeout":
        message = f"{task.node} ran longer than its timeout of {task.timeout:g} s and was ended"
        types = ("TimeoutError", "OSError", "Exception", "BaseException")
        code = _code(standing)
        return failed(
            task, ErrorCode.TIMEOUT, "TimeoutError", message, now, status="timeout", types=types, started=started,
            exit_code=code,
        )  # fmt: skip
    if doom == "start_timeout":
        message = f"{task.node} had not begun when its start_timeout was over"
        types = ("TimeoutError", "OSError", "Exception", "BaseException")
        return failed(task, ErrorCode.START_TIMEOUT, "TimeoutError", message, now, types=types)
    when = "before it began" if started is None else "while it ran"
    message = f"{task.node} was cancelled {when}"
    return failed(task, ErrorCode.CANCELLED, "Cancelled", message, now, status="cancelled", started=started)


def _out_of_memory(task: Task, standing: Standing, answer: Finished | None, now: float) -> Finished:
    limit = task.resources.get("memory")
    of = f" of {limit}" if limit else ""
    message = f"{task.node} was out of memory: the system ended a process of its container at the limit{of}"
    error = answer.error if answer is not None else None
    if error is not None:
        message += f"; then it failed with {error.words}"
    return failed(
        task, ErrorCode.OOM, "MemoryError", message + _tail(standing), now, status="oom",
        types=("MemoryError", "Exception", "BaseException"), exit_code=_code(standing),
        traceback=error.traceback if error is not None else None, started=standing.began,
    )  # fmt: skip


def _code(standing: Standing) -> int | None:
    ending = standing.ending
    if ending is None:
        return standing.exit_code
    return int(ending["exit"]) if ending["exit"] is not None else 128 + int(ending["signal"])


def _died(task: Task, standing: Standing, now: float) -> Finished:
    ending, code = standing.ending, standing.exit_code
    if ending is not None and ending.get("doom") != "cancelled":
        status, what, number = ending_of(ending["exit"] if ending["exit"] is not None else -ending["signal"])
    elif code is None:
        status, what, number = "lost", "its container disappeared", None
    elif code == _UNKNOWN and ending is None:
        status, what, number = "lost", "its engine ended, and its container with it,", None
    elif ending is not None or code in (128 + signal.SIGKILL, 128 + signal.SIGTERM):
        status, what, number = "lost", "its container was ended from outside", code
    elif code > 128:
        status, what, number = ending_of(128 - code)
    else:
        status, what, number = "crashed", f"its container ended with exit code {code}", code
    when = f"while {task.node} ran" if standing.began is not None else f"before {task.node} began"
    kind, word = ("WorkerCrashed", ErrorCode.CRASHED) if status == "crashed" else ("WorkerLost", ErrorCode.WORKER_LOST)
    return failed(
        task, word, kind, f"{what} {when}{_tail(standing)}", now, status=status, exit_code=number,
        traceback=standing.fault or None, started=standing.began,
    )  # fmt: skip


def _tail(standing: Standing) -> str:
    return "; it said last:\n" + "\n".join(standing.last) if standing.last else ""
