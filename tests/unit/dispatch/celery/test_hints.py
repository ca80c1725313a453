"""What a conductor says of queues from which nothing is taken: only as much as it knows, and once."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from twingraph.dispatch.celery.hints import AGAIN_SECONDS, ALONE_SECONDS, QUIET_SECONDS, Hints

QUEUE = "twingraph.gpu"


def worker(*, draining: bool = False, same_key: bool | None = True) -> dict[str, Any]:
    return {"worker": "w", "queues": ["gpu"], "draining": draining, "same_key": same_key}


class Scene:
    def __init__(self, log: pytest.LogCaptureFixture) -> None:
        self.log = log
        self.workers: list[dict[str, Any]] = []
        self.asked = 0
        self.hints = Hints(self.ask, lambda act: act())

    def ask(self) -> list[dict[str, Any]]:
        self.asked += 1
        return self.workers

    @property
    def said(self) -> list[str]:
        return [record.getMessage() for record in self.log.records if record.levelno == logging.WARNING]


@pytest.fixture
def scene(caplog: pytest.LogCaptureFixture) -> Scene:
    return Scene(caplog)


def test_a_queue_that_nobody_serves_is_named_once_with_the_remedy(scene: Scene) -> None:
    scene.hints.tick(0, {QUEUE: 0})
    scene.hints.tick(QUIET_SECONDS - 0.5, {QUEUE: 0})
    assert scene.asked == 0
    for times in range(3):
        scene.hints.tick(QUIET_SECONDS + times * AGAIN_SECONDS, {QUEUE: 0})
    assert scene.asked == 3
    (said,) = scene.said
    assert said.endswith("no worker serves the queue gpu; start one: twingraph worker --queues gpu")


def test_where_nobody_answered_before_it_is_said_sooner(scene: Scene) -> None:
    scene.hints.tick(0, {QUEUE: 0}, alone=True)
    scene.hints.tick(ALONE_SECONDS, {QUEUE: 0}, alone=True)
    assert len(scene.said) == 1


@pytest.mark.parametrize(
    ("who", "why"),
    [
        (worker(same_key=False), "has another key and refuses what is sent"),
        (worker(draining=True), "but one that is about to end"),
    ],
)
def test_a_worker_that_takes_nothing_of_ours_is_told_as_that(scene: Scene, who: dict[str, Any], why: str) -> None:
    scene.workers = [who]
    scene.hints.tick(0, {QUEUE: 0})
    scene.hints.tick(QUIET_SECONDS, {QUEUE: 0})
    (said,) = scene.said
    assert why in said


@pytest.mark.parametrize("same_key", [True, None])
def test_of_workers_that_are_busy_nothing_is_said(scene: Scene, same_key: bool | None) -> None:
    scene.workers = [worker(same_key=same_key)]
    scene.hints.tick(0, {QUEUE: 0})
    scene.hints.tick(QUIET_SECONDS, {QUEUE: 0})
    assert (scene.asked, scene.said) == (1, [])


def test_a_queue_from_which_something_is_taken_is_not_quiet(scene: Scene) -> None:
    for number in range(5):
        scene.hints.tick(number * QUIET_SECONDS / 2, {QUEUE: number})
    scene.hints.tick(3 * QUIET_SECONDS, {})
    scene.hints.tick(4 * QUIET_SECONDS, {QUEUE: 5})
    assert scene.asked == 0


def test_what_is_lost_beside_a_worker_that_serves_may_be_with_one_of_another_key(scene: Scene) -> None:
    scene.workers = [worker(), {**worker(same_key=False), "worker": "v"}]
    scene.hints.lost([QUEUE])
    scene.hints.tick(0, {})
    (said,) = scene.said
    assert "a worker that serves the queue gpu has another key and throws away what it gets" in said


def test_answers_of_any_shape_harm_nobody(scene: Scene) -> None:
    scene.workers = [{"queues": 5}]
    scene.hints.lost([QUEUE])
    scene.hints.tick(0, {})
    scene.hints.tick(AGAIN_SECONDS, {})
    scene.hints.lost([QUEUE])
    scene.hints.tick(2 * AGAIN_SECONDS, {})
    assert (scene.asked, scene.said) == (2, [])
