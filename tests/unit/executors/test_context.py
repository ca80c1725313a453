from __future__ import annotations

import itertools
from contextvars import copy_context
from typing import Any

import pytest

from twingraph import current
from twingraph.errors import TwinGraphError
from twingraph.executors.context import Current, progress_line, running


class Channel:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def progress(self, done: float, total: float | None) -> None:
        self.heard.append((done, total))

    def artifact(self, name: str, data: bytes) -> str:
        self.heard.append((name, data))
        return "hash"


def test_outside_of_a_run_it_says_so() -> None:
    with pytest.raises(TwinGraphError, match="only inside a running component"):
        current()


def test_inside_it_names_the_run_and_reaches_the_channel() -> None:
    channel = Channel()

    def inside() -> Current:
        running.set(Current("e", "n", 2, channel))
        current().progress(1, 4)
        assert current().artifact("a.txt", "ä") == "hash"
        return current()

    found = copy_context().run(inside)
    assert (found.execution_id, found.node_id, found.attempt, found.idempotency_key) == ("e", "n", 2, "e:n")
    assert found.logger.name == "n"
    assert channel.heard == [(1, 4), ("a.txt", "ä".encode())]


@pytest.mark.parametrize(
    ("done", "total"), [("a", "b"), (1, 10**400), (1 << 20_000, None), (None, 1), ([], 1)], ids=itertools.count()
)
def test_progress_that_is_no_number_is_told_to_who_says_it(done: Any, total: Any) -> None:
    channel = Channel()
    with pytest.raises(ValueError, match=r"^current\(\)\.progress\("):
        Current("e", "n", 1, channel).progress(done, total)
    assert channel.heard == []


@pytest.mark.parametrize(
    ("done", "total", "line"),
    [(3, 10, "3 of 10"), (3, None, "3"), (0.5, 1.0, "0.5 of 1"), (1_234_567, 10**7, "1234567 of 10000000")],
)
def test_a_line_of_progress(done: float, total: float | None, line: str) -> None:
    assert progress_line(done, total) == line
