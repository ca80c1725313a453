"""`compile()`: what is planned of many kinds of bodies; that it has limits, and says the same each time."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.sdk.body import traced_bodies
from tests.unit.sdk.body.planning import drawn, planned, planned_in_time
from tests.unit.sdk.body.traced_bodies import (
    BODIES,
    OURS,
    branch,
    check,
    down,
    fallback,
    load,
    reference,
    work,
)
from twingraph import pipeline
from twingraph.core.static_plan import StaticPlan
from twingraph.sdk.body.tracing import compile_pipeline
from twingraph.sdk.body.ways import Limits

ASLEEP = threading.Event()


@pytest.mark.parametrize("body", BODIES)
def test_the_plan_of(body: Callable[..., Any]) -> None:
    assert drawn(planned(body)).split() == (body.__doc__ or "").split()


def test_the_plan_of_the_reference_in_full() -> None:
    plan = planned(reference)
    load_node, region, chunk, last = plan.nodes
    assert (region.kind, region.component, chunk.region, chunk.kind) == (
        "dynamic", "for each of load.chunks", region.id, "task",
    )  # fmt: skip
    assert (load_node.component, last.component, last.region) == ("load", "total", None)
    edges = [(edge.source, edge.target, edge.output, edge.param, edge.label) for edge in plan.edges]
    assert edges == [
        ("load", region.id, None, None, "control_flow"),
        ("load", "work", "chunks", "data", "data_flow"),
        ("work", "total", "data", "results", "data_flow"),
    ]
    lines = [int(str(node.place).rpartition(":")[2]) for node in plan.nodes]
    assert [line - lines[0] for line in lines] == [0, 2, 3, 5]


def test_a_condition_says_which_line_decides() -> None:
    plan = planned(branch)
    first = branch.__code__.co_firstlineno
    told = {node.id: node.conditional for node in plan.nodes}
    assert told["total"] is None
    line = first + 4  # below the docstring
    for node, reason in (("work", "if flag"), ("check", "if not flag")):
        condition = told[node]
        assert condition is not None
        assert (condition.reason, condition.place) == (reason, f"{traced_bodies.__file__}:{line}")
    mended = next(node.conditional for node in planned(fallback).nodes if node.id == "mend")
    assert mended is not None
    assert mended.reason == f"when line {fallback.__code__.co_firstlineno + 5} fails"


def test_one_id_at_two_lines_is_two_nodes() -> None:
    def body(flag: Any) -> Any:
        if flag:
            work(1)
        found = load()
        work(2) if found.number else check(3)
        return [work(item) for item in found]

    plan = planned(body)
    first = body.__code__.co_firstlineno
    told = {node.id: (int(str(node.place).rpartition(":")[2]) - first, node.conditional is None) for node in plan.nodes}
    assert told == {
        "work": (2, False), "load": (3, True), "work-2": (4, False), "check": (4, False), f"~{first + 5}": (5, True),
        "work-3": (5, True),
    }  # fmt: skip

    def other(flag: Any) -> Any:
        if flag:
            return work(1)
        return work(2)

    line = other.__code__.co_firstlineno + 3
    assert [node.id for node in planned(other).nodes] == ["work", f"work:{line}"]


def test_parameters_are_listed_and_may_be_given() -> None:
    def body(flag: bool, count: int = 3) -> Any:
        return work(count) if flag else check()

    plan = planned(body)
    assert plan.parameters == {
        "flag": {"required": True, "type": "bool"},
        "count": {"required": False, "type": "int", "default": "3"},
    }
    assert [node.id for node in planned(body, given={"flag": False}).nodes] == ["check"]


@pytest.mark.parametrize("body", BODIES)
def test_a_plan_is_the_same_each_time_and_survives_json(body: Callable[..., Any]) -> None:
    plan = planned(body)
    assert planned(body) == plan
    assert StaticPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_a_setting_that_only_a_run_knows_is_waited_for() -> None:
    def body(most: int) -> Any:
        return work.options(priority=load(1), retry_policy={"max_attempts": most})()

    plan = planned(body)
    assert [node.component for node in plan.nodes] == ["load", "work"]
    assert [(edge.source, edge.target, edge.label) for edge in plan.edges] == [("load", "work", "control_flow")]


# -- limits --------------------------------------------------------------------------------------------


def test_ways_are_limited_and_every_first_turn_is_taken() -> None:
    def body() -> Any:
        for number in range(20):
            if load(number).number:
                work.options(id=f"work-{number}")()

    plan = planned(body)
    assert any("more than 64 ways" in warning for warning in plan.warnings)
    assert sum(node.component == "work" for node in plan.nodes) == 20
    assert all(node.conditional for node in plan.nodes if node.component == "work")


def test_calls_are_limited() -> None:
    def body() -> Any:
        while True:
            work()

    plan = planned(body, limits=Limits(calls=50))
    assert [node.component for node in plan.nodes] == ["work"] * 50 + ["more than 50 calls"]
    assert plan.warnings == ("more than 50 calls on one way; the plan ends there",)


def spinning() -> Any:
    work()
    while True:
        pass


def asleep() -> Any:
    work()
    ASLEEP.wait(60)  # until its plan has been made


# What interrupts another thread may meet it inside of what measures coverage, whose locks it would leave locked.
@pytest.mark.no_cover
@pytest.mark.parametrize("body", [spinning, asleep])
def test_a_body_that_does_not_return_has_a_plan_in_time(body: Callable[..., Any]) -> None:
    ASLEEP.clear()
    plan = planned_in_time(body, 1.0)  # it is to come to its call in that time on any machine
    ASLEEP.set()
    assert plan.nodes[0].id == "work"
    (warning,) = plan.warnings
    assert re.fullmatch(r"not followed to the end: the time limit of [0-9.]+ s was reached", warning)


def test_sleeping_costs_nothing() -> None:
    def body() -> Any:
        time.sleep(1000)
        return work()

    plan = planned(body)
    assert drawn(plan) == "work"  # it was followed beyond its sleep, and no limit of time was reached
    assert plan.warnings == ()


def test_pipelines_in_pipelines_are_followed_to_a_depth() -> None:
    def body() -> Any:
        return down(3)

    def deep(number: int) -> Any:
        return deeper(number + 1)

    deeper = pipeline(registry=OURS)(deep)
    assert [node.id for node in planned(body).nodes][-1].startswith("down/down/")
    nodes = compile_pipeline(deeper, given={"number": 0}, limits=Limits(depth=3)).nodes
    assert [node.component for node in nodes] == ["deep", "deep", "deep", "calls itself again"]


def test_arguments_are_known_where_they_are_the_same_on_all_ways() -> None:
    def body(day: str, n: int) -> Any:
        found = traced_bodies.work(day)
        chosen = 1 if found else 2
        traced_bodies.work([chosen])
        return traced_bodies.work({"n": n, "all": (1, b"x")})

    nodes = compile_pipeline(pipeline(body), given={"n": 3}).nodes
    assert [None if node.call is None else node.call[1] for node in nodes] == [
        None,
        None,
        {"data": {"n": 3, "all": (1, b"x")}},
    ]
