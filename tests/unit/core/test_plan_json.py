from __future__ import annotations

import json

from hypothesis import given

from tests.unit.core.records import nodes, plans, specs
from twingraph.core.plan import NodeSpec, Plan, PlanNode
from twingraph.core.plan_json import (
    node_from_json,
    node_to_json,
    plan_from_json,
    plan_to_json,
    spec_from_json,
    spec_to_json,
)


@given(plan=plans)
def test_every_plan_comes_back_from_its_json(plan: Plan) -> None:
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


@given(node=nodes)
def test_every_node_comes_back_from_its_json(node: PlanNode) -> None:
    assert node_from_json(json.loads(json.dumps(node_to_json(node)))) == node


@given(spec=specs)
def test_every_spec_comes_back_from_its_json(spec: NodeSpec) -> None:
    assert spec_from_json(json.loads(json.dumps(spec_to_json(spec)))) == spec


def test_a_plain_node_is_written_in_a_few_characters() -> None:
    assert json.dumps(node_to_json(PlanNode(id="a", spec=0))) == '{"id": "a", "spec": 0}'
