"""From what is known of a container to how the attempt in it ended."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.foreign import spoiled, spoiled_tree
from twingraph.executors.base import Task
from twingraph.executors.ended import Standing, UnreadableEndingError, ending_of_text, finished

TASK = Task(execution="e", node="n", attempt=1, component="c", entry="c", bundle_path="", code_version="1", timeout=5.0)


def ending(**given: Any) -> dict[str, Any]:
    return {"exit": 0, "signal": None, "doom": None, "cpu": 1.0, "memory": 7, "oom": 0, "ended": 9.0, **given}


def answer(status: str = "completed", *, started: float = 1.0, ended: float = 2.0) -> str:
    error = {"code": "user_error", "error_type": "E", "message": "m", "types": ["E"]} if status == "failed" else None
    outputs = [["output", "h", 1]] if error is None else []
    head = {"status": status, "shape": "plain", "outputs": outputs, "error": error, "started": started, "ended": ended}
    return "\n".join([json.dumps(head), *(["1"] if outputs else [])])


@pytest.mark.parametrize(
    ("standing", "status", "code"),
    [
        (Standing(ending=ending(), answer=answer()), "completed", None),
        (Standing(ending=ending(), answer=answer("failed")), "failed", "user_error"),
        (Standing(ending=ending(oom=1), answer=answer("failed")), "oom", "oom"),
        (Standing(ending=ending(oom=1), answer=answer()), "completed", None),
        (Standing(ending=ending(exit=None, signal=9, oom=1)), "oom", "oom"),
        (Standing(exit_code=137, oom_killed=True), "oom", "oom"),
        (Standing(ending=ending(exit=None, signal=9)), "lost", "worker_lost"),
        (Standing(ending=ending(exit=None, signal=11)), "crashed", "crashed"),
        (Standing(ending=ending(exit=3)), "crashed", "crashed"),
        (Standing(exit_code=137), "lost", "worker_lost"),
        (Standing(exit_code=143), "lost", "worker_lost"),
        (Standing(exit_code=127), "crashed", "crashed"),
        (Standing(exit_code=255), "lost", "worker_lost"),
        (Standing(), "lost", "worker_lost"),
        (Standing(ending=ending(exit=None, signal=15, doom="timeout")), "timeout", "timeout"),
        (Standing(ending=ending(doom="timeout"), answer=answer()), "completed", None),
        (Standing(ending=ending(doom="timeout"), answer=answer(ended=7.0)), "timeout", "timeout"),
        # the engine asked it to end, and nobody of us did
        (Standing(ending=ending(exit=None, signal=15, doom="cancelled"), exit_code=143), "lost", "worker_lost"),
        (Standing(ending=ending(doom="cancelled"), answer=answer(), asked="cancelled"), "cancelled", "cancelled"),
        (Standing(asked="start_timeout"), "failed", "start_timeout"),
    ],
)
def test_how_it_ended(standing: Standing, status: str, code: str | None) -> None:
    found = finished(TASK, standing, 10.0)
    assert (found.status, found.error.code if found.error else None) == (status, code)


def test_the_last_lines_and_the_exit_code_are_told() -> None:
    found = finished(TASK, Standing(ending=ending(exit=3), last=["one", "two"], began=1.0), 10.0)
    assert found.error is not None
    assert found.error.exit_code == 3
    assert found.error.message.endswith("it said last:\none\ntwo")


def test_an_answer_that_is_not_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="not whole"):
        finished(TASK, Standing(ending=ending(), answer=answer() + "\n2"), 10.0)


ANSWERS = [answer().split("\n")[0], answer("failed")]
ENDINGS = [json.dumps(ending()), json.dumps(ending(exit=None, signal=9, doom="timeout", oom=1))]


@given(st.sampled_from([None, *ENDINGS]) | spoiled_tree(ENDINGS), st.none() | spoiled(ANSWERS) | spoiled_tree(ANSWERS))
def test_whatever_a_container_left_is_refused_or_can_be_journaled(ended: str | None, said: str | None) -> None:
    with suppress(UnreadableEndingError):
        raw = None if ended is None else ending_of_text(ended)
        found = finished(TASK, Standing(ending=raw, answer=None if said is None else f"{said}\n1"), 10.0)
        json.dumps(asdict(found), allow_nan=False, ensure_ascii=False).encode()
        for moment in (found.started, found.ended):
            datetime.fromtimestamp(moment or 0.0, UTC)


@given(spoiled(ENDINGS))
def test_an_ending_that_no_process_has_is_refused(text: str) -> None:
    with suppress(UnreadableEndingError):
        ending_of_text(text)


@pytest.mark.parametrize("at", ["x", 1e300, -1e11, float("nan"), True])
def test_a_time_that_no_calendar_has_is_refused(at: Any) -> None:
    for times in ({"started": at}, {"ended": at}):
        with pytest.raises(UnreadableEndingError, match="no calendar has"):
            finished(TASK, Standing(ending=ending(), answer=answer(**times)), 10.0)


def test_what_was_asked_to_end_needs_no_answer() -> None:
    found = finished(TASK, Standing(ending=ending(), answer="rubbish", asked="cancelled"), 10.0)
    assert found.status == "cancelled"
