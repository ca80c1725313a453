"""What a policy says to a lack of memory is checked where it is declared."""

from __future__ import annotations

from typing import Any

import pytest

from twingraph.core import policies


def parsed(on_oom: Any) -> tuple[Any, list[Any]]:
    return policies.parse_retry({"on_oom": on_oom})


@pytest.mark.parametrize("on_oom", [{"memory": "x2", "max_memory": "16G"}, {"memory": "x1.5"}, {"max_memory": "512Mi"}])
def test_it_is_kept(on_oom: dict[str, str]) -> None:
    policy, problems = parsed(on_oom)
    assert problems == []
    assert policy.on_oom == on_oom


@pytest.mark.parametrize(
    ("on_oom", "words"),
    [
        ("x2", "must be a mapping"),
        ({}, "must be a mapping"),
        ({"cpu": "x2"}, "must be a mapping"),
        ({"memory": "2"}, "such as"),
        ({"memory": "x1"}, "such as"),
        ({"memory": 2}, "such as"),
        ({"memory": "x2", "max_memory": "lots"}, "lots"),
        ({"max_memory": "0"}, "more than 0"),
    ],
)
def test_what_is_wrong_is_told(on_oom: Any, words: str) -> None:
    _, problems = parsed(on_oom)
    assert [words in str(problem) for problem in problems] == [True]
