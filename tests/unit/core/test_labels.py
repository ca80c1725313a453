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


@pytest.mark.parametrize("name", ["a,b", "", "  ", " gpu", "gpu "])
def test_a_queue_that_no_worker_can_be_told_to_serve_is_refused(name: str) -> None:
    _, (problem,) = check_settings({"labels": {"queue": name}}, node="n")
    assert (problem.node, problem.field) == ("n", "labels.queue")
    assert "without commas" in problem.message


@pytest.mark.parametrize("setting", ["labels", "environment", "limits"])
def test_a_name_that_is_no_text_is_told_as_the_name(setting: str) -> None:
    _, (problem,) = check_settings({setting: {1: 2}})
    assert (problem.field, problem.message) == (f"{setting}.1", "must be named by a text, not 1")


@pytest.mark.parametrize("setting", ["timeout", "start_timeout"])
def test_seconds_that_are_more_than_any_clock_counts_are_refused(setting: str) -> None:
    _, (problem,) = check_settings({setting: 10**400})
    assert "must be a number of seconds" in problem.message
    assert len(problem.message) < 200
