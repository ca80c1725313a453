"""Why a cached node did or did not have the outcome of earlier work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.conducting import BRANCH, EXPAND, SOON, TASK, Rig, args, plan, task
from twingraph.core.codec import encode
from twingraph.core.execution import CacheStory
from twingraph.core.plan import NodeSpec, Plan, PlanNode
from twingraph.core.records import Settings
from twingraph.engine import differences
from twingraph.engine.foreseeing import foresee
from twingraph.engine.handle import Handle
from twingraph.engine.held import Submission

CACHED = replace(TASK, cache=True, code_hash="c0de")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "home", lambda lane, run: args(run) and 1) as made:
        yield made


def work(name: str = "a", spec: NodeSpec = CACHED, **given: Any) -> Plan:
    texts = {key: (encode(value).text,) for key, value in given.items()}
    return plan(PlanNode(id=name, spec=0, args=texts), specs=(spec, EXPAND, BRANCH))


def story(rig: Rig, handle: Handle, *, deep: bool = True) -> CacheStory:
    (node,) = rig.view(handle.id).nodes
    found = node.cache(deep)
    assert found is not None
    return found


def test_a_hit_names_the_execution_and_the_node(rig: Rig) -> None:
    first, second = rig.run(work(x=1)), rig.run(work("b", x=1))
    assert story(rig, second).words == f"hit of {first.id} a"


def test_the_first_run_of_a_component_says_so(rig: Rig) -> None:
    assert "no earlier outcome" in story(rig, rig.run(work(x=1))).words


def test_what_is_not_cached_has_no_story(rig: Rig) -> None:
    (node,) = rig.view(rig.run(work(spec=TASK, x=1)).id).nodes
    assert node.cache(True) is None


def test_an_input_is_told_by_its_path(rig: Rig) -> None:
    rows = [{"name": "a"}, {"name": "b"}, {"name": "c"}]
    first = rig.run(work(config={"rows": rows}, y=1))
    second = rig.run(work(config={"rows": [*rows[:2], {"name": "C"}]}, y=1))
    found = story(rig, second)
    assert (found.execution, found.node) == (first.id, "a")
    assert found.differences == ("config['rows'][2]['name']: 'c' → 'C'",)
    assert story(rig, second, deep=False).differences == ("input config",)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"version": "2"}, "version: None → 2"),
        ({"docker_image": "p@sha256:2"}, "docker_image: None → p@sha256:2"),
        ({"environment": {"A": "1"}}, "environment A: None → '1'"),
        ({"platform": "docker"}, "platform: local → docker"),
        ({"options": '{"a":1}'}, "its config"),
        ({"code_hash": "other"}, "its code"),
    ],
)
def test_what_else_differs_is_told(rig: Rig, changed: Mapping[str, Any], told: str) -> None:
    rig.run(work(x=1))
    assert story(rig, rig.run(work(spec=replace(CACHED, **changed), x=1))).differences == (told,)


def test_the_nearest_is_compared_with_and_of_those_the_newest(rig: Rig) -> None:
    rig.run(work(x=1, y=1))
    near = [rig.run(work(x=number, y=2)) for number in (2, 3)]
    rig.run(work(x=8, y=9))
    assert story(rig, rig.run(work(x=4, y=2))).execution == near[-1].id


def test_what_came_later_is_not_what_was_compared_with(rig: Rig) -> None:
    first = rig.run(work(x=1))
    rig.run(work(x=2))
    assert "no earlier outcome" in story(rig, first).words


def test_a_refresh_says_that_it_was_asked_for(rig: Rig) -> None:
    rig.run(work(x=1))
    again = rig.submit(work(x=1), refresh=True)
    assert again.wait(SOON)
    assert story(rig, again).words == "miss: done anew, as was asked for"


def test_equal_work_that_is_another_scopes_is_told(rig: Rig) -> None:
    spec = replace(CACHED, cache={"scope": "execution"})
    first = rig.run(work(spec=spec, x=1))
    assert story(rig, rig.run(work(spec=spec, x=1))).words == (
        f"miss: a in {first.id} did equal work, whose outcome was not kept yet, or is not of the same execution, which "
        "alone shares it"
    )


def test_only_the_parameters_that_stand_for_all_are_told(rig: Rig) -> None:
    spec = replace(CACHED, cache={"key": ["x"]})
    rig.run(work(spec=spec, x=1, y=1))
    assert story(rig, rig.run(work(spec=spec, x=2, y=2))).differences == ("x: 1 → 2",)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"x": 1}, {"x": 1, "y": 2}, "y is given, and was not before"),
        ({"x": 1, "y": 2}, {"x": 1}, "y was given before, and is not now"),
    ],
)
def test_an_input_that_is_given_once_alone_is_told(
    rig: Rig, before: dict[str, Any], now: dict[str, Any], told: str
) -> None:
    rig.run(work(**before))
    assert story(rig, rig.run(work(**now))).differences == (told,)


# -- beforehand --------------------------------------------------------------------------------------


def chained(x: int) -> Submission:
    """Two cached nodes, one after the other, and one behind what is not cached."""
    first = PlanNode(id="first", spec=0, args={"x": (str(x),)})
    between = task("between", "first", spec=3)
    made = plan(first, task("second", "first"), between, task("third", "between"), specs=(CACHED, EXPAND, BRANCH, TASK))
    return Submission(id="exec-plan", plan=made, inputs={}, settings=Settings(), workflow_id="flow", origin="plan")


def test_what_is_kept_is_known_beforehand_as_far_as_nothing_would_run(rig: Rig) -> None:
    before = foresee(rig.records, rig.blobs, chained(1))
    assert {name: found.verdict for name, found in before.items()} == {"first": "miss"}
    done = rig.submit(chained(1).plan)  # type: ignore[arg-type]
    assert done.wait(SOON)
    after = foresee(rig.records, rig.blobs, chained(1))
    assert {name: found.words for name, found in after.items()} == {
        "first": f"hit of {done.id} first",
        "second": f"hit of {done.id} second",
    }
    (other,) = foresee(rig.records, rig.blobs, chained(2)).values()
    assert other.differences == ("x: 1 → 2",)


def test_what_is_too_old_is_told_beforehand(rig: Rig) -> None:
    spec = replace(CACHED, cache={"ttl": 1e-6})
    made = plan(PlanNode(id="first", spec=0, args={"x": ("1",)}), specs=(spec, EXPAND, BRANCH))
    rig.run(made)
    asked = Submission(id="exec-plan", plan=made, inputs={}, settings=Settings(), workflow_id="flow", origin="plan")
    (found,) = foresee(rig.records, rig.blobs, asked).values()
    assert "than the ttl of 1e-06s lets it be" in found.words


# -- values and code ---------------------------------------------------------------------------------


def told(before: object, after: object) -> list[str]:
    return list(differences.of_values("x", encode(before).text, encode(after).text, lambda _: None))


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        (1, 1, []),
        (1, 2, ["x: 1 → 2"]),
        ([1, 2], [1, 2, 3], ["x[2] is new: 3"]),
        ([1, 2], [1], ["x[1] is gone: 2"]),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["x['a']['b']: 1 → 2"]),
        ((1, (2, 3)), (1, (2, 4)), ["x[1][1]: 3 → 4"]),
        ({1: "a"}, {1: "b"}, ["x[1]: 'a' → 'b'"]),
        (None, [1], ["x: None → [1]"]),
    ],
)
def test_values_differ_by_path(before: object, after: object, paths: list[str]) -> None:
    assert told(before, after) == paths


def test_a_long_value_is_cut() -> None:
    assert max(map(len, told("a" * 1000, "b"))) < 80


def bundle(**texts: str) -> dict[str, Any]:
    modules = {name: {"file": f"/p/{name}.py", "text": text} for name, text in texts.items()}
    return {"modules": modules, "entries": {"flow:step": {"module": "flow", "name": "step"}}}


FLOW = "from helpers import scale\n\nRATE = 2\n\n\ndef step(x):\n    return scale(x) * RATE\n"
HELPERS = "import math\n\n\ndef scale(x):\n    return math.floor(x)\n\n\ndef other(x):\n    return 1\n"


@pytest.mark.parametrize(
    ("flow", "helpers", "told"),
    [
        (FLOW, HELPERS, []),
        (FLOW.replace("scale(x) *", "scale(x) +"), HELPERS, ["step in /p/flow.py:6 changed"]),
        (FLOW.replace("RATE = 2", "RATE = 3"), HELPERS, ["RATE in /p/flow.py:3: 2 → 3"]),
        (FLOW, HELPERS.replace("floor", "ceil"), ["scale in /p/helpers.py:4 changed"]),
        (FLOW, HELPERS.replace("return 1", "return 2"), []),
        (FLOW.replace("    return", '    """Words."""\n    # more\n    return'), HELPERS, []),
    ],
)
def test_code_differs_by_definition(flow: str, helpers: str, told: list[str]) -> None:
    before, after = bundle(flow=FLOW, helpers=HELPERS), bundle(flow=flow, helpers=helpers)
    assert list(differences.of_code(before, after, "flow:step", "flow:step")) == told
