"""`plan`: the order of nodes, what stands inside containers, what only the data will decide."""

from __future__ import annotations

from twingraph.cli.commands.plan import _cache_lines, _document, _lines
from twingraph.cli.planning import planned, unknowns, waves_of
from twingraph.cli.static_planning import static_lines
from twingraph.core.execution import CacheStory
from twingraph.core.plan import Edge, NodeKind, NodeSpec, Plan, PlanNode, Template
from twingraph.core.policies import RetryPolicy
from twingraph.core.static_plan import DYNAMIC, Condition, StaticEdge, StaticNode, StaticPlan

PLAN = Plan(
    name="hello",
    root=Template(
        nodes=(
            PlanNode(id="add", spec=0, edges=(Edge(source="squares"),)),
            PlanNode(id="numbers", spec=0),
            PlanNode(id="squares", kind=NodeKind.MAP, template="item", edges=(Edge(source="numbers"),)),
        )
    ),
    templates={"item": Template(nodes=(PlanNode(id="square", spec=1),))},
    specs=(
        NodeSpec(component="numbers"),
        NodeSpec(component="square", platform="docker", retry=RetryPolicy(max_attempts=3)),
    ),
    inputs={"upto": {"required": True, "schema": {"type": "integer"}}},
)


def test_nodes_stand_in_waves_with_what_a_container_opens_below_it() -> None:
    nodes = planned(PLAN)
    assert [(node.id, node.wave) for node in nodes] == [
        ("numbers", 0),
        ("squares", 1),
        ("squares[*]/square", 1),
        ("add", 2),
    ]
    assert nodes[2].part_of == "squares"
    assert (nodes[2].platform, nodes[2].max_attempts) == ("docker", 3)


def test_what_is_known_only_later_is_said() -> None:
    assert unknowns(planned(PLAN)) == ["squares opens one child per item"]


def test_a_workflow_that_holds_itself_is_shown_for_one_turn() -> None:
    again = PlanNode(id="again", kind=NodeKind.SCOPE, template="loop")
    plan = Plan(name="p", root=Template(nodes=(again,)), templates={"loop": Template(nodes=(again,))})
    assert [node.id for node in planned(plan)] == ["again", "again/again"]


def test_waves_pass_over_edges_from_outside() -> None:
    assert waves_of((PlanNode(id="a", edges=(Edge(source="elsewhere"),)),)) == {"a": 0}


def test_the_plan_as_lines_and_as_a_document() -> None:
    nodes = planned(PLAN)
    text = "\n".join("".join(part for part, _ in line) for line in _lines(PLAN, nodes, 100, {}))
    assert "4 nodes in 3 waves" in text
    assert "upto: integer, required" in text
    assert "up to 3 attempts" in text
    document = _document(PLAN, nodes, {})
    assert document["nodes"][2]["part_of"] == "squares"
    assert document["unknown"] == ["squares opens one child per item"]


STATIC = StaticPlan(
    name="nightly",
    nodes=(
        StaticNode(id="load", component="load"),
        StaticNode(id="~3", component="for each of load", kind=DYNAMIC, platform="-", place="/src/flow.py:3"),
        StaticNode(id="part", component="part", kind="scope", region="~3"),
        StaticNode(id="part/clean", component="clean", platform="docker", scope="part"),
        StaticNode(
            id="mend", component="mend", conditional=Condition(reason="when line 5 fails", place="/src/flow.py:7")
        ),
    ),
    edges=(StaticEdge(source="load", target="~3"), StaticEdge(source="load", target="mend", label="control_flow")),
    warnings=("the whole body stands in one try",),
)


def test_the_plan_of_a_pipeline_says_what_data_decides() -> None:
    lines = ["".join(part for part, _ in line).rstrip() for line in static_lines(STATIC, 120, ["n: an int, required"])]
    assert lines[0] == "nightly  4 calls in its body"
    assert "  n: an int, required" in lines
    rows = [line.split(None, 1) for line in lines[6:11]]
    assert [row[0] for row in rows] == ["load", "~", "part", "part/clean", "mend"]
    assert rows[1][1].endswith("load   known when it runs (flow.py:3)")
    assert rows[2][1].startswith("part (pipeline)")
    assert "docker" in rows[3][1]
    assert rows[4][1].endswith("when line 5 fails (flow.py:7)")
    assert lines[-1] == "note: the whole body stands in one try"


def test_what_is_cached_stands_below_and_in_the_document() -> None:
    hit = CacheStory(verdict="hit", execution="exec-1", node="a")
    lines = _cache_lines({"numbers": hit}, None, 100)
    assert "hit of exec-1 a" in "".join(part for line in lines for part, _ in line)
    entry = next(node for node in _document(PLAN, planned(PLAN), {"numbers": hit})["nodes"] if node["id"] == "numbers")
    assert (entry["cache"]["verdict"], entry["cache"]["execution_id"]) == ("hit", "exec-1")
    assert _cache_lines({}, "give x", 100)[-1][0][0] == "give x"
    assert _cache_lines({}, None, 100) == []
