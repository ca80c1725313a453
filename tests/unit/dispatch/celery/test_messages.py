"""What goes over the wire comes back as it was; what cannot be read is told as such."""

from __future__ import annotations

import json

import pytest

from twingraph.core.records import ErrorRecord
from twingraph.dispatch.base import Begun, CodeRef, ItemsOut, Lane, LogLines, NodeRun, Outcome, Returned, RunSettings
from twingraph.dispatch.celery.messages import (
    Beat,
    Claim,
    Left,
    Misdirected,
    Requeued,
    Taken,
    UnreadableError,
    Wish,
    Word,
    lane_text,
    offer_of,
    reports_of,
    reports_text,
    wishes_of,
    wishes_text,
    word,
)

ERROR = ErrorRecord(code="user_error", error_type="ValueError", message="näh", types=("ValueError", "Exception"))
WORDS: list[Word] = [
    Outcome(
        "e", "n", 2, "completed", 1.5, 2.5, 0.1, 10, "w", "plain", [("output", "hash", 3)], ['"\ud800"'], None, True
    ),
    Outcome("e", "n", 2, "failed", None, 2.5, outputs=[], texts=[], error=ERROR, begun=False),
    Begun("e", "n", 1, 3.5, "w"),
    Returned("e", [("n", 1), ("m", 2)]),
    LogLines("e", "n", 1, [(1.0, "info", "stdout", "zeile\n☺")]),
    ItemsOut("e", "n", 1, 4, ["1", "2"]),
    Taken("lane"),
    Misdirected("lane"),
    Requeued("lane"),
    Claim("lane"),
    Left("e"),
    Beat({"lane": ["n"], "other": []}),
]


@pytest.mark.parametrize("said", WORDS, ids=lambda said: type(said).__name__)
def test_what_a_worker_says_comes_as_it_was_said(said: Word) -> None:
    assert reports_of(reports_text("w", 7, [word(said)])) == ("w", 7, [said])


def lane(settings: RunSettings) -> Lane:
    code = CodeRef(version="v", bundle_path="/b", interpreter="/p", working_dir="/w", description='{"bundle": "b"}')
    return Lane(1, "e", code, settings, [NodeRun("n", 3, [("x", '{"a": 1}')])])


def test_a_lane_comes_as_it_was_sent() -> None:
    settings = RunSettings(
        component="c", entry="c", timeout=None, environment={"A": "b"}, resources={"cpu": 2}, labels={"queue": "gpu"}
    )
    offer = offer_of(lane_text("1", "desk", "place", "key", lane(settings)))
    assert (offer.id, offer.desk, offer.place, offer.key, offer.version) == ("1", "desk", "place", "key", "v")
    assert offer.settings == settings
    assert offer.runs == [NodeRun("n", 3, [("x", '{"a": 1}')])]


def test_what_is_as_usual_takes_no_room() -> None:
    text = lane_text("1", "desk", "place", "key", lane(RunSettings(component="c", entry="c")))
    assert json.loads(text)["settings"] == {"component": "c", "entry": "c"}


def test_a_wish_comes_as_it_was_made() -> None:
    wishes = [Wish("cancel", "lane", ["n"]), Wish("grant", "lane", None, "w")]
    assert wishes_of(wishes_text(wishes)) == wishes


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"v": 99, "wishes": []}', '{"v": 1}', '{"v": 1, "wishes": [[1,2,3,4,5]]}', "[" * 100_000],
    ids=["nothing", "list", "empty", "newer", "without", "longer", "deep"],
)
def test_what_cannot_be_read_is_told_as_such(text: str) -> None:
    with pytest.raises(UnreadableError):
        wishes_of(text)
