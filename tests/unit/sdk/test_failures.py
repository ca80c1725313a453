"""A failure reads as ours and as the author's own class at once."""

from __future__ import annotations

import pickle
import traceback
from typing import Any

import pytest

from twingraph import component, pipeline
from twingraph.core.errors import ErrorCode, ExecutionFailed, NodeFailed
from twingraph.core.records import ErrorRecord
from twingraph.errors import HandleMisused
from twingraph.sdk.failures import RemoteError, enrich, node_failed
from twingraph.sdk.frames import own_frames, short
from twingraph.testing import Inline


class RejectedError(Exception):
    """With a constructor that nobody else can call, and a text of its own."""

    def __init__(self, *, order: int) -> None:
        super().__init__(order)
        self.order = order

    def __str__(self) -> str:
        return f"order {self.order}"


def names(kind: type[BaseException]) -> tuple[str, ...]:
    return tuple(f"{one.__module__}.{one.__qualname__}" for one in kind.__mro__)


def record(kind: type[BaseException], message: str = "boom") -> ErrorRecord:
    return ErrorRecord(
        code="user_error",
        error_type=kind.__name__,
        message=message,
        node_id="load",
        traceback="Traceback: there",
        types=names(kind),
    )


def execution_failed() -> ExecutionFailed:
    return ExecutionFailed("load: ValueError: boom", execution_id="exec_1", node_id="load", remote_traceback="there")


@pytest.mark.parametrize("kind", [ValueError, MemoryError, FileNotFoundError, KeyError, RejectedError])
def test_both_errors_are_of_the_class_that_was_raised(kind: type[Exception]) -> None:
    given = record(kind)
    failed = node_failed(given, "exec_1", {"args": ["boom"]})
    assert isinstance(failed, NodeFailed)
    assert isinstance(failed, kind)
    ended = enrich(execution_failed(), given.types, {"args": ["boom"]})
    assert isinstance(ended, ExecutionFailed)
    assert isinstance(ended, kind)
    assert ended.args == ("boom",)


def test_the_code_of_an_error_is_a_plain_word() -> None:
    for error in (
        ExecutionFailed("late", execution_id="exec_1", code=ErrorCode.TIMEOUT),
        NodeFailed("late", execution_id="exec_1", node_id="load", code=ErrorCode.TIMEOUT),
    ):
        assert (type(error.code), error.code) == (str, "timeout")


def test_a_failed_node_is_caught_as_in_plain_python() -> None:
    with pytest.raises(ValueError, match=r"^boom$") as caught:
        raise node_failed(record(ValueError), "exec_1", {"args": ["boom"]})
    error = caught.value
    assert isinstance(error, NodeFailed)
    assert type(error).__name__ == "NodeFailed[ValueError]"
    assert (error.execution_id, error.node_id, error.error_type) == ("exec_1", "load", "ValueError")
    assert (error.code, error.remote_traceback, error.args) == ("user_error", "Traceback: there", ("boom",))


def test_its_cause_is_the_original_with_the_traceback_from_there() -> None:
    cause = node_failed(record(ValueError), "exec_1", {"args": ["boom"]}).__cause__
    assert type(cause) is ValueError
    assert cause.__notes__ == ["Traceback: there"]


@pytest.mark.parametrize("kind", [KeyError, OSError, UnicodeDecodeError, ExceptionGroup, StopIteration])
def test_builtin_classes_read_as_they_do(kind: type[Exception]) -> None:
    arguments = {
        KeyError: ("k",),
        OSError: (2, "No such file"),
        UnicodeDecodeError: ("utf-8", b"x", 0, 1, "why"),
        ExceptionGroup: ("two", [ValueError(1)]),
        StopIteration: (7,),
    }[kind]
    error = node_failed(record(kind), "exec_1", {"args": list(arguments)})
    assert isinstance(error, kind)
    assert isinstance(error, NodeFailed)
    assert str(error) == str(kind(*arguments))


def test_a_file_and_a_module_are_still_named() -> None:
    error = node_failed(record(OSError), "exec_1", {"args": [2, "No such file"], "state": {"filename": "data.csv"}})
    assert isinstance(error, OSError)
    assert (error.errno, error.filename, str(error)) == (2, "data.csv", "[Errno 2] No such file: 'data.csv'")
    assert pickle.loads(pickle.dumps(error)).filename == "data.csv"
    missing = node_failed(record(ImportError), "exec_1", {"args": ["no"], "state": {"name": "numpy"}})
    assert isinstance(missing, ImportError)
    assert missing.name == "numpy"


def test_a_class_of_the_author_keeps_its_attributes_and_its_text() -> None:
    error = node_failed(record(RejectedError), "exec_1", {"args": [7], "state": {"order": 7}})
    assert isinstance(error, RejectedError)
    assert (error.order, str(error)) == (7, "order 7")


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_ends_a_program_is_never_joined(kind: type[BaseException]) -> None:
    error = node_failed(record(kind), "exec_1", {})
    assert type(error) is NodeFailed
    assert isinstance(error.__cause__, RemoteError)
    assert str(error) == f"load: {kind.__name__}: boom"


def test_a_class_that_is_not_here_leaves_its_nearest_parent() -> None:
    gone = ErrorRecord(
        code="user_error",
        error_type="Gone",
        message="boom",
        node_id="load",
        types=("gone.Gone", "builtins.LookupError", "builtins.Exception"),
    )
    assert isinstance(node_failed(gone, "exec_1", {}), LookupError)


def test_what_was_joined_before_is_joined_by_its_original() -> None:
    """A body lets a NodeFailed out: its execution, or the pipeline around it, fails with the author's class."""
    left = type(node_failed(record(ValueError), "exec_1", {}))
    again = node_failed(record(left), "exec_1", {"args": ["boom"]})
    assert type(again) is left
    outside = enrich(execution_failed(), names(left), {"args": ["boom"]})
    assert type(outside).__name__ == "ExecutionFailed[ValueError]"
    assert isinstance(outside, ValueError)


@pytest.mark.parametrize("kind", [NodeFailed, ExecutionFailed])
def test_ours_alone_stays_alone(kind: type[BaseException]) -> None:
    assert type(node_failed(record(kind), "exec_1", {})) is NodeFailed
    assert type(enrich(execution_failed(), names(kind), {})) is ExecutionFailed


def test_an_error_that_says_nothing_is_its_class_alone() -> None:
    assert str(node_failed(record(KeyboardInterrupt, ""), "exec_1", {})) == "load: KeyboardInterrupt"


def test_an_execution_says_where_and_keeps_the_live_exception_as_its_cause() -> None:
    live = ValueError("boom")
    error = enrich(execution_failed(), names(ValueError), {"args": ["boom"]}, live)
    assert str(error) == "load: ValueError: boom"
    assert error.__cause__ is live
    assert "twingraph show last --node load" in error.__notes__[-1]


def test_joined_errors_survive_pickling() -> None:
    for error in (
        node_failed(record(ValueError), "exec_1", {"args": ["boom"]}),
        enrich(execution_failed(), names(ValueError), {"args": ["boom"]}),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert (str(again), again.args, again.node_id) == (str(error), ("boom",), "load")


def deep(left: int) -> None:
    if not left:
        raise ValueError("boom")
    deep(left - 1)


def test_a_traceback_shows_the_authors_frames_alone_however_deep_it_is() -> None:
    @short
    def ours() -> None:
        deep(700)

    with pytest.raises(ValueError, match="boom") as caught:
        ours()
    error = own_frames(RuntimeError())
    error.__cause__ = caught.value
    caught.value.__context__ = error  # a ring, as careless code can make one
    own_frames(error)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names.count("deep") == 701
    assert "called" not in names


def test_a_cause_without_arguments_has_the_message_alone() -> None:
    error = enrich(execution_failed(), names(TimeoutError), {}, message="it took too long")
    assert str(error.__cause__) == "it took too long"


def test_a_handle_used_wrongly_is_told_under_a_public_name() -> None:
    @component
    def one() -> int:
        return 1

    @pipeline
    def keyed() -> dict[int, str]:
        return {one(): "one"}

    with pytest.raises(HandleMisused, match="take its value first") as caught:
        Inline()(keyed)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ExecutionFailed)


@component
def noted() -> None:
    error = ValueError("boom")
    error.add_note("seen in line 7")
    raise error


@pipeline
def passes_notes() -> None:
    try:
        noted()
    except ValueError as error:
        own = KeyError("other")
        own.add_note(f"{error.__notes__} and here")
        raise own from None


@pipeline
def lets_through() -> None:
    noted()


@pytest.mark.parametrize(
    ("body", "note"), [(lets_through, "seen in line 7"), (passes_notes, "['seen in line 7'] and here")]
)
def test_notes_of_an_exception_come_along(body: Any, note: str) -> None:
    with pytest.raises((ValueError, KeyError)) as caught:
        Inline()(body)
    assert [line for line in caught.value.__notes__ if "look closer" not in line] == [note]
