"""What is checked of labels at the door."""

from __future__ import annotations

import pytest

from twingraph.core.component_settings import LONGEST_QUEUE, check_settings


@pytest.mark.parametrize("name", ["q" * LONGEST_QUEUE, "ü" * (LONGEST_QUEUE // 2)])
def test_a_queue_may_have_a_long_name(name: str) -> None:
    found, problems = check_settings({"labels": {"queue": name}})
    assert (found["labels"], problems) == ({"queue": name}, [])


@pytest.mark.parametrize("name", ["q" * (LONGEST_QUEUE + 1), "ü" * LONGEST_QUEUE])
def test_a_queue_that_no_broker_can_name_is_refused(name: str) -> None:
    _, (problem,) = check_settings({"labels": {"queue": name}}, node="n")
    assert (problem.node, problem.field) == ("n", "labels.queue")
    assert f"at most {LONGEST_QUEUE} bytes" in problem.message
