"""What goes over the wire comes back as it was; what cannot be read is told as such."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from tests.support.foreign import spoiled
from twingraph.core.records import ErrorRecord
from twingraph.dispatch.base import Begun, CodeRef, ItemsOut, Lane, LogLines, NodeRun, Outcome, Returned, RunSettings
from twingraph.dispatch.celery.messages import (
    OUTPUTS_AT_ONCE,
    Alive,
    Beat,
    BodiesGone,
    Claim,
    HasRoom,
    Left,
    Misdirected,
    Requeued,
    SomeOutputs,
    Spoke,
    Taken,
    UnreadableError,
    Wish,
    Word,
    apart,
    lane_text,
    offer_of,
    reports_of,
    reports_text,
    wishes_of,
    wishes_text,
    word,
)
from twingraph.dispatch.celery.posts import End, Here, More, Open, Post, Say, post_text, posts_of

ERROR = ErrorRecord(code="user_error", error_type="ValueError", message="näh", types=("ValueError", "Exception"))
WORDS: list[Word] = [
    Outcome("e", "n", 2, "completed", 1.5, 2.5, 0.1, 10, "w", "plain", [("output", "hash", 3)], ['"ü☺"'], None, True),
    Outcome("e", "n", 2, "failed", None, 2.5, outputs=[], texts=[], error=ERROR, begun=False),
    Begun("e", "n", 1, 3.5, "w"),
    Begun("e", "n", 3, 3.5, "w", (1, 2)),
    Returned("e", [("n", 1), ("m", 2)]),
    LogLines("e", "n", 1, [(1.0, "info", "stdout", "zeile\n☺")]),
    ItemsOut("e", "n", 1, 4, ["1", "2"]),
    SomeOutputs("e", "n", 1, 4, [("a", "hash", 3)], ['"ü"']),
    Taken("lane"),
    Misdirected("lane"),
    Requeued("lane"),
    Claim("lane"),
    Left("e"),
    Beat({"lane": ["n"], "other": []}),
    HasRoom("session", free=True),
    Spoke("session", 3, ['["feed","e",{"x":"\ud800"}]', "no JSON"]),
    BodiesGone("session", "it ended itself", died=True),
    Alive({"session": 3}),
]
POSTS: list[Post] = [
    Open(session="s", place="place", key="key", version="v", description="{}"),
    Say("s", 2, [["open", "e", None], ["answer", "e", "", 1, {"ü": [1.5, "\ud800"]}]]),
    More("s", 64),
    End("s"),
    Here({"s": (3, 2)}),
]


@pytest.mark.parametrize("count", [0, 1, OUTPUTS_AT_ONCE, OUTPUTS_AT_ONCE + 1, 3 * OUTPUTS_AT_ONCE])
def test_an_outcome_with_very_many_outputs_is_said_in_parts(count: int) -> None:
    outputs, texts = [(str(number), "hash", 1) for number in range(count)], [str(number) for number in range(count)]
    said = list(apart(Outcome("e", "n", 1, "completed", 1.0, 2.0, outputs=outputs, texts=texts)))
    assert [type(one) for one in said] == [*[SomeOutputs] * (max(0, count - 1) // OUTPUTS_AT_ONCE), Outcome]
    given = [one for one in said if isinstance(one, SomeOutputs | Outcome)]
    assert [output for one in given for output in one.outputs] == outputs
    assert [text for one in given for text in one.texts] == texts
    assert all(len(one.outputs) <= OUTPUTS_AT_ONCE for one in given)


@pytest.mark.parametrize("said", WORDS, ids=lambda said: type(said).__name__)
def test_what_a_worker_says_comes_as_it_was_said(said: Word) -> None:
    assert reports_of(reports_text("w", 7, [word(said)])) == ("w", 7, [said])


@given(spoiled([json.dumps(word(said)) for said in WORDS]))
def test_what_a_worker_says_is_refused_or_can_be_journaled(text: str) -> None:
    with suppress(UnreadableError):
        for said in reports_of(f'{{"v": 1, "worker": "w", "number": 7, "words": [{text}]}}')[2]:
            for at in moments_of(said):
                datetime.fromtimestamp(at, UTC)
            if isinstance(said, Outcome | SomeOutputs | Begun | LogLines | ItemsOut | Returned):
                json.dumps(asdict(said), allow_nan=False, ensure_ascii=False).encode()


def moments_of(said: Word) -> list[float]:
    if isinstance(said, LogLines):
        return [line[0] for line in said.lines]
    if isinstance(said, Outcome):
        return [said.ended, *([] if said.started is None else [said.started])]
    return [said.at] if isinstance(said, Begun) else []


@pytest.mark.parametrize(
    "said",
    [
        ["o", "e", "n", 1, "completed", "x", 2.0, 0.1, 1, "w", "plain", [], [], None, True],
        ["o", "e", "n", 1, "completed", -1e11, 2.0, 0.1, 1, "w", "plain", [], [], None, True],
        ["o", "e", "n", 1, "completed", 1.0, 1e300, 0.1, 1, "w", "plain", [], [], None, True],
        ["o", "e", "n", 1, "completed", 1.0, float("nan"), 0.1, 1, "w", "plain", [], [], None, True],
        ["o", "e", "n", 1, "completed", 1.0, 2.0, 0.1, 1, "w", "plain", [["output", "h", 1]], ["1\n2"], None, True],
        ["o", "e", "n", 1, "completed", 1.0, 2.0, 0.1, 1, "w", "plain", [["output", "h", 1]], [], None, True],
        ["o", "e", "n", 1, "over", 1.0, 2.0, 0.1, 1, "w", "plain", [], [], None, True],
        ["g", "e", "n", 1, 1e12, "w"],
        ["l", "e", "n", 1, [["x", "info", "stdout", "said"]]],
        ["i", "e", "n", 1, -1, ["1"]],
        ["v", "e", "n", 1, -1, [["output", "h", 1]], ["1"]],
        ["v", "e", "n", 1, 0, [["output", "h", 1]], []],
        ["v", "e", "n", 1, 0, [["output", "h"]], ["1"]],
    ],
)
def test_a_report_that_cannot_be_is_told_as_such(said: list[Any]) -> None:
    with pytest.raises(UnreadableError):
        reports_of(reports_text("w", 7, [said]))


@pytest.mark.parametrize("post", POSTS, ids=lambda post: type(post).__name__)
def test_what_is_said_to_a_worker_comes_as_it_was_said(post: Post) -> None:
    assert posts_of(post_text("desk", [post, post])) == ("desk", [post, post])


@pytest.mark.parametrize(
    "posts", ['[["shout", 1]]', '[["say", "s"]]', '[["here", 1]]', '[["more", "s", "x"]]', "[[]]", "1", '[["open"]]']
)
def test_a_post_that_cannot_be_read_is_told_as_such(posts: str) -> None:
    with pytest.raises(UnreadableError):
        posts_of(f'{{"v": 1, "desk": "d", "posts": {posts}}}')


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
