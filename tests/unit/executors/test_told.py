"""Whoever writes to a container's streams may use the runner's own words: they are heard, or they are a line as any."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from tests.support.foreign import spoiled
from twingraph.executors.base import Line
from twingraph.executors.frames import MARK
from twingraph.executors.told import Told

WORDS = [
    ["b", 1.5, "/folder"],
    ["k", "AAAA"],
    ["l", [[1.5, "info", "stdout", "said"]]],
    ["w", [[0, [1.5, "info", "stdout", "said"]], [-1, [1.5, "info", "stdout", "open"]]]],
    ["i", 0, ["1", "2"]],
    ["a", "{}"],
    [
        "e",
        {"exit": 0, "signal": None, "begun": True, "doom": None, "cpu": 0.1, "memory": 9, "oom": 0},
        False,
        "/folder",
    ],
]


class Hearing:
    """All that it is told can be journaled and shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def began(self, at: float) -> None:
        datetime.fromtimestamp(at, UTC)

    def said(self, lines: Sequence[Line]) -> None:
        for at, *words in lines:
            datetime.fromtimestamp(at, UTC)
            json.dumps(words, ensure_ascii=False).encode()
        self.lines += [line[3] for line in lines]

    def gave(self, start: int, texts: Sequence[str]) -> None:
        assert type(start) is int
        "".join(texts).encode()


def heard(*words: str) -> tuple[Told, Hearing]:
    hearing = Hearing()
    told = Told("token", [], hearing, lambda: 0.0)
    for word in words:
        told.feed(MARK + b"tokenw" + word.encode("utf-8", "replace").replace(b"\n", b" ") + b"\n", None)
    told.finish()
    return told, hearing


@given(spoiled([json.dumps(word) for word in WORDS]))
def test_whatever_is_said_is_heard_or_a_line(text: str) -> None:
    heard(text)


@pytest.mark.parametrize(
    "word",
    [
        ["b", "x", "/folder"],
        ["b", 1e300, "/folder"],
        ["l", [["x", "info", "stdout", "said"]]],
        ["l", [[float("nan"), "info", "stdout", "said"]]],
        ["i", 1.5, ["1"]],
        ["i", 0, ["1\n2"]],
        ["e", {"exit": "x"}, False, "/folder"],
        ["e", {"exit": 0, "cpu": "x"}, False, "/folder"],
        ["e"],
        [],
    ],
)
def test_what_the_runner_would_not_say_is_a_line_of_somebody_else(word: list[Any]) -> None:
    told, hearing = heard(json.dumps(word))
    assert hearing.lines == [json.dumps(word)]
    assert (told.began, told.ending) == (None, None)


def test_the_last_lines_are_the_authors_own_and_not_those_of_a_fault() -> None:
    told, _ = heard(json.dumps(["l", [[1.5, "info", "stdout", "soon"]]]))
    fault = [
        "Fatal Python error: Segmentation fault",
        "",
        "Current thread 0x1 (most recent call first):",
        '  File "flow.py", line 5 in crash',
        '  File "<runner>/twingraph/executors/runner.py", line 156 in _called',
        '  File "<runner>/opening.py", line 130 in begin',
        '  File "<string>", line 13 in <module>',
    ]
    told.feed(None, "\n".join(["careful", *fault, ""]).encode())
    assert told.last == ["soon", "careful"]
    assert told.fault == "\n".join(fault[:4])
