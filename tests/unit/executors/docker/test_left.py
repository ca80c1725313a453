"""Which of the containers that are there already an attempt goes on with, and which it removes."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from twingraph.executors.base import Task
from twingraph.executors.docker.client import Container, Engine, EngineError
from twingraph.executors.docker.left import (
    SupersededError,
    attempt_of,
    is_of_work,
    left_behind,
    taken_over,
    token_of_work,
)
from twingraph.executors.docker.request import labels_of, name_of, token_of

KEY = b"key"
TASK = Task(
    execution="e", node="n-1.2", attempt=3, component="c", entry="c", bundle_path="", code_version="1", image="i"
)


def container(attempt: int, *, state: str = "running", work: Task = TASK, name: str | None = None) -> Container:
    task = replace(work, attempt=attempt)
    return Container(
        id=f"id-{attempt}", name=name or name_of(task, "home"), state=state, labels=labels_of(task, "home", KEY)
    )


class Found:
    """An engine that has some containers."""

    def __init__(self, *containers: Container, refuses: str | None = None) -> None:
        self.containers = containers
        self.refuses = refuses
        self.removed: list[str] = []

    def find(self, labels: object) -> list[Container]:
        return list(self.containers)

    def remove(self, name: str) -> None:
        self.removed.append(name)

    def rename(self, container: str, name: str) -> None:
        if self.refuses:
            raise EngineError(self.refuses, "no")


def left(engine: Found, own: tuple[str, ...] = ()) -> Container | None:
    return left_behind(cast(Engine, engine), TASK, "home", KEY, own)


def test_the_latest_of_the_same_work_is_gone_on_with_and_others_are_removed() -> None:
    first, second = container(1), container(2)
    other = container(2, work=replace(TASK, entry="other"), name="twingraph-x-2")
    created = container(2, state="created", name="twingraph-y-2")
    engine = Found(first, second, other, created)
    assert left(engine) is second
    assert sorted(engine.removed) == sorted([first.name, other.name, created.name])


def test_one_of_this_very_process_is_removed_since_it_was_given_up() -> None:
    own = container(2)
    engine = Found(own)
    assert left(engine, (own.name,)) is None
    assert engine.removed == [own.name]


def test_an_attempt_touches_nothing_when_a_later_one_is_there() -> None:
    engine = Found(container(1, name=name_of(replace(TASK, attempt=4), "home")), container(2))
    with pytest.raises(SupersededError):
        left(engine)
    assert engine.removed == []


@pytest.mark.parametrize(("name", "attempt"), [("twingraph-h-o-n-2.5-12", 12), ("twingraph-n-3.a0b1c2", 3), ("x", 0)])
def test_a_name_tells_whose_a_container_is(name: str, attempt: int) -> None:
    assert attempt_of(name) == attempt


@pytest.mark.parametrize("refuses", ["missing", "conflict"])
def test_who_is_not_the_first_to_take_one_over_has_none(refuses: str) -> None:
    assert taken_over(cast(Engine, Found(refuses=refuses)), container(1), "new") is None


def test_an_engine_that_is_away_is_told() -> None:
    with pytest.raises(EngineError):
        taken_over(cast(Engine, Found(refuses="unreachable")), container(1), "new")


def test_even_of_the_same_attempt_the_name_is_another_one() -> None:
    found, own = container(3), name_of(TASK, "home")
    new = taken_over(cast(Engine, Found()), found, own)
    assert new is not None
    assert new != own
    assert attempt_of(new) == 3


def test_its_words_are_known_by_the_name_under_which_it_was_begun() -> None:
    found = container(1, name=name_of(TASK, "home"))
    assert token_of_work(found, TASK, "home") == token_of(name_of(replace(TASK, attempt=1), "home"))


@pytest.mark.parametrize(("state", "is_it"), [("running", True), ("exited", True), ("created", False), ("dead", False)])
def test_only_what_was_begun_can_be_gone_on_with(state: str, is_it: bool) -> None:
    assert is_of_work(container(1, state=state), TASK, KEY) is is_it
