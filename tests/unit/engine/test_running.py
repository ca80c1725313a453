"""What a conductor gives for a plan, with every outcome chosen by the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.conducting import EACH, QUICK_RETRY, TASK, Rig, args, chain, each, echo, hole, over, plan, task, value
from twingraph.core.execution import Settings
from twingraph.core.plan import Edge, NodeKind, NodeSpec, PlanNode, Template
from twingraph.dispatch.base import Lane, NodeRun


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "home") as made:
        yield made


def test_a_chain_hands_its_value_down(rig: Rig) -> None:
    assert value(rig.run(chain(5))) == "n0"
    assert len(rig.dispatch.begun) == 5


def test_inputs_reach_the_nodes(rig: Rig) -> None:
    flow = plan(PlanNode(id="a", spec=0, args={"x": hole(input="who")}))
    assert value(rig.run(flow, {"who": "world"})) == "world"


def test_a_map_gives_a_list_in_order(tmp_path: Path) -> None:
    with Rig(tmp_path, lambda lane, run: [3, 1, 2] if run.node == "items" else args(run).get("item")) as rig:
        pass


def test_an_empty_plan_is_over_at_once(rig: Rig) -> None:
    handle = rig.run(plan(PlanNode(id="given", kind=NodeKind.INPUT)), {"given": [1]})
    assert value(handle) == [1]
    assert rig.record(handle.id).status == "completed"
