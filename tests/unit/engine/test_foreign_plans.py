"""Plans that somebody else wrote: what a process with the author's code answered, and what lay in the home."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.foreign import spoiled
from twingraph.core.errors import TwinGraphError
from twingraph.engine import plans

PLAN = {
    "name": "flow",
    "nodes": [
        {"id": "a", "component": "a", "conditional": {"reason": "x > 1", "place": "f:1"}},
        {"id": "b", "component": "b"},
    ],
    "edges": [{"source": "a", "target": "b", "label": "data_flow"}],
    "parameters": {"day": {"type": "integer"}},
    "warnings": ["one"],
}  # fmt: skip


def test_what_was_answered_is_kept_and_read() -> None:
    assert plans.read(plans.answered(json.dumps({"plan": PLAN}).encode())).name == "flow"


@given(spoiled([json.dumps(PLAN)]))
def test_a_kept_plan_is_read_or_said_to_be_damaged(text: str) -> None:
    with suppress(TwinGraphError):
        plans.read(text)


@given(
    st.one_of(
        spoiled([json.dumps({"plan": PLAN}), '{"error": "no"}']).map(lambda text: text.encode("utf-8", "replace")),
        st.binary(),
    )
)
def test_an_answer_is_a_plan_or_says_why_there_is_none(said: bytes) -> None:
    with suppress(TwinGraphError):
        plans.read(plans.answered(said))


def test_the_reason_of_the_process_is_told() -> None:
    with pytest.raises(TwinGraphError, match="could not be made: no such entry"):
        plans.answered(b'{"error": "no such entry"}')
