"""Which container a run is given where one serves many."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from twingraph.executors.base import Task
from twingraph.executors.docker.client import EngineError, Piece
from twingraph.executors.docker.request import Request, RequestError, request_of
from twingraph.executors.docker.warm import WARM, WarmPlace, WarmPlaces, idle_seconds, warm_kind, warm_request

TASK = Task(
    execution="e", node="n", attempt=1, component="c", entry="c", bundle_path="", code_version="1", image="python:3.9",
    config={"warm": True},
)  # fmt: skip


@dataclass
class Cores:
    address: str = "here"
    count: int = 2

    def cores(self) -> int:
        if not self.count:
            raise EngineError("unreachable", "away")
        return self.count


class Line:
    def __init__(self) -> None:
        self.is_still = True
        self.is_closed = False

    def __iter__(self) -> Iterator[Piece]:
        return iter(())

    def send(self, data: bytes) -> None:
        return

    def hang_up(self) -> None: ...

    def close(self) -> None:
        self.is_closed = True


class Clock:
    at = 100.0

    def __call__(self) -> float:
        return self.at


def place(number: int = 1, kind: str = "k") -> WarmPlace:
    return WarmPlace(kind, f"name{number}", f"id{number}", Line())


def test_one_that_was_given_back_is_given_again() -> None:
    places, own = WarmPlaces(), place()
    assert places.take("k", Cores()) is True
    places.give(own)
    assert places.take("k", Cores()) is own
    assert own.runs == 1


def test_another_kind_gets_its_own() -> None:
    places = WarmPlaces()
    places.give(place())
    assert places.take("other", Cores()) is True


def test_one_that_has_ended_is_forgotten() -> None:
    places, gone = WarmPlaces(), place()
    assert places.take("k", Cores(count=1)) is True
    line = Line()
    line.is_still, gone.line = False, line
    places.give(gone)
    assert places.take("k", Cores(count=1)) is True
    assert line.is_closed


@pytest.mark.parametrize("how", ["take", "give"])
def test_those_of_other_kinds_that_have_ended_are_not_kept_either(how: str) -> None:
    places, gone, waits = WarmPlaces(), place(1, "k"), place(2, "k")
    ended, still = Line(), Line()
    gone.line, waits.line = ended, still
    assert [places.take("k", Cores(count=2)) for _ in range(2)] == [True, True]
    places.give(waits)
    places.give(gone)
    ended.is_still = False
    if how == "take":
        places.take("other", Cores())
    else:
        places.give(place(3, "other"))
    assert (ended.is_closed, still.is_closed) == (True, False)
    assert places.take("k", Cores(count=2)) is waits
    assert places.take("k", Cores(count=2)) is True  # the one that ended does not count any more


def test_over_the_cores_one_more_is_started_only_when_none_came_free_for_a_while() -> None:
    clock = Clock()
    places = WarmPlaces(patience=0.01, now=clock)
    assert [places.take("k", Cores()) for _ in range(3)] == [True, True, False]
    clock.at += 1
    assert [places.take("k", Cores()) for _ in range(2)] == [True, False]


def test_who_waits_gets_the_one_that_comes_free() -> None:
    places, own = WarmPlaces(patience=30, now=Clock()), place()
    assert places.take("k", Cores(count=1)) is True
    threading.Timer(0.05, places.give, [own]).start()
    assert places.take("k", Cores(count=1)) is own


def test_of_an_engine_that_does_not_say_its_cores_one_is_used() -> None:
    places = WarmPlaces(patience=0.01, now=Clock())
    assert [places.take("k", Cores(count=0)) for _ in range(2)] == [True, False]


def test_when_all_is_over_the_idle_ones_hear_it() -> None:
    places, early, late = WarmPlaces(), place(1), place(2)
    lines: list[Any] = [early.line, late.line]
    places.give(early)
    places.close()
    places.give(late)
    assert [line.is_closed for line in lines] == [True, True]


def asked(**given: Any) -> tuple[Task, Request]:
    task = replace(TASK, **given)
    return task, request_of(task, "home", b"key")


def test_runs_of_one_kind_show_it_whatever_node_they_are_of() -> None:
    kind = warm_kind(*asked())
    same = asked(node="other", execution="another", attempt=2, args=[("x", "1")], secrets=("s3cret",), timeout=3.0)
    assert warm_kind(*same) == kind
    assert warm_kind(*asked(environment={"URL": "s3cret"}, secrets=("s3cret",))) == kind


@pytest.mark.parametrize(
    "other",
    [
        {"component": "d"}, {"entry": "d"}, {"code_version": "2"}, {"image": "python:3.8"}, {"environment": {"A": "b"}},
        {"resources": {"memory": "1G"}}, {"labels": {"team": "blue"}}, {"config": {"warm": True, "user": "nobody"}},
        {"config": {"warm": True, "volumes": {"/a": "/b"}}}, {"config": {"warm": True, "network": "none"}},
        {"config": {"warm": True, "python": "python3.11"}}, {"config": {"warm": 5}},
        {"config": {"warm": True, "host": "tcp://127.0.0.1:9"}},
    ],
    ids=str,
)  # fmt: skip
def test_whatever_the_container_depends_on_makes_another_kind(other: dict[str, Any]) -> None:
    assert warm_kind(*asked(**other)) != warm_kind(*asked())


def test_its_labels_are_those_of_all_its_runs() -> None:
    _, request = asked(labels={"team": "blue"})
    made = warm_request(request, "kind", "home", "c")
    assert made.labels == {"team": "blue", "twingraph.home": "home", "twingraph.component": "c", WARM: "kind"}
    assert made.host["auto_remove"] is True
    assert made.name != warm_request(request, "kind", "home", "c").name


@pytest.mark.parametrize(("given", "seconds"), [(True, 60.0), (5, 5.0), (0.5, 0.5)])
def test_how_long_an_idle_one_waits(given: Any, seconds: float) -> None:
    assert idle_seconds(replace(TASK, config={"warm": given})) == seconds


@pytest.mark.parametrize("given", ["yes", -1, 0, False])
def test_what_is_no_time_is_refused(given: Any) -> None:
    with pytest.raises(RequestError, match=r"config\.warm"):
        idle_seconds(replace(TASK, config={"warm": given}))
