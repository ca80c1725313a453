"""Bytes of user code on the pipe of its worker: refused at once, or taken for what they say, and never waited on."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.foreign import spoiled_text, spoiled_tree
from twingraph.dispatch.base import CodeRef, Lane, NodeRun, RunSettings
from twingraph.dispatch.embedded.protocol import GARBLED, Parser, items_of, lines_of, outcome_of, outputs_of

ERROR = {
    "code": "user_error",
    "error_type": "E",
    "message": "no",
    "traceback": None,
    "types": ["E"],
    "permanent": False,
}
HEADS: list[list[Any]] = [
    ["h"],
    ["l", 1, [[1.0, "info", "stdout", "x"]]],
    ["r", [1, 2]],
    ["i", 1, 0, 1, 1.5],
    ["o", 1, "completed", 1.0, 2.0, 0.1, 99, "plain", [["output", "0" * 64, 1]], [3, 4], None],
    ["o", 2, "failed", 1.0, 2.0, 0.1, 99, None, [], None, ERROR],
    ["p", 1, [["output", "0" * 64, 1]]],
]
LANE = Lane(
    number=1,
    execution="e",
    code=CodeRef(version="1", bundle_path="", interpreter="", working_dir=""),
    settings=RunSettings(component="f", entry="f"),
    runs=[],
)


def heard(data: bytes) -> list[list[Any]]:
    """What the pool makes of it, up to the first that it refuses."""
    found: list[list[Any]] = []

    def message(head: list[Any], texts: list[str]) -> None:
        found.append(head)
        if head[0] == "p":
            json.dumps(outputs_of(head), allow_nan=False, ensure_ascii=False).encode()
        if head[0] == "o":
            outcome = outcome_of(head, texts, LANE, NodeRun("n", 1, []), "w")
            json.dumps(asdict(outcome), allow_nan=False, ensure_ascii=False).encode()  # as it goes into the journal
            for moment in (outcome.started, outcome.ended):
                datetime.fromtimestamp(moment or 0.0, UTC)  # as it is shown

    with suppress(*GARBLED):
        Parser(message).feed(data)
    return found


@given(
    st.lists(
        st.one_of(spoiled_tree([json.dumps(head) for head in HEADS]), spoiled_text([json.dumps(HEADS[4])])), max_size=4
    )
)
def test_whatever_is_said_is_refused_or_heard(lines: list[str]) -> None:
    data = "".join(f"{line}\n1\n" for line in lines).encode("utf-8", "surrogatepass")
    assert len(heard(data)) <= data.count(b"\n")


@pytest.mark.parametrize("at", [-1e11, 1e300, 253_402_300_799, -62_135_596_800, "x", None, True])
def test_a_time_that_no_calendar_has_is_refused(at: object) -> None:
    for head in (["o", 1, "completed", at, 2.0, *HEADS[4][5:]], ["o", 1, "completed", 1.0, at, *HEADS[4][5:]]):
        with pytest.raises(GARBLED):
            outcome_of(head, ["1"], LANE, NodeRun("n", 1, []), "w")
    with pytest.raises(GARBLED):
        items_of(["i", 1, 0, 1, at])
    with pytest.raises(GARBLED):
        lines_of([[at, "info", "stdout", "x"]])


@given(st.binary(max_size=200))
def test_rubbish_is_refused(data: bytes) -> None:
    heard(data + b"\n")


@pytest.mark.parametrize("count", [-1, -1000, 2.5, True, None, "1"])
def test_a_number_of_lines_that_cannot_be_is_refused(count: object) -> None:
    with pytest.raises(GARBLED):
        Parser(lambda head, texts: None).feed(json.dumps(["i", 1, 0, count, 1.5]).encode() + b"\n1\n")


def test_what_is_nested_without_end_is_refused() -> None:
    with pytest.raises(GARBLED):
        Parser(lambda head, texts: None).feed(b"[" * 100_000 + b"\n")
