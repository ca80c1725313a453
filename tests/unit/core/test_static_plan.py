"""Static plans: their JSON, and planned laid over actual."""

from __future__ import annotations

import json

from twingraph.core.static_plan import ActualNode, Condition, StaticEdge, StaticNode, StaticPlan, overlay

PLAN = StaticPlan(
    name="p",
    nodes=(
        StaticNode(id="load", component="load", place="p.py:3"),
        StaticNode(id="~4", component="for each of load", kind="dynamic", platform="-"),
        StaticNode(id="work", component="work", region="~4", platform="docker"),
        StaticNode(id="mend", component="mend", conditional=Condition(reason="when line 3 fails", place="p.py:3")),
        StaticNode(id="part", component="part", kind="scope"),
        StaticNode(id="part/~9", component="depends on data", kind="dynamic", scope="part"),
    ),
    edges=(StaticEdge(source="load", target="work", output="x", param="data"),),
    parameters={"n": {"required": True}},
    warnings=("careful",),
)


def test_a_plan_survives_json() -> None:
    assert StaticPlan.from_dict(json.loads(json.dumps(PLAN.to_dict()))) == PLAN
    assert StaticPlan.from_dict({"name": "p"}) == StaticPlan(name="p")


def test_what_is_usual_is_left_out_but_for_what_every_reader_asks() -> None:
    document = PLAN.to_dict()
    assert document["nodes"][0] == {
        "id": "load", "component": "load", "place": "p.py:3", "kind": "task", "platform": "local",
    }  # fmt: skip
    assert document["edges"] == [
        {"source": "load", "target": "work", "output": "x", "param": "data", "label": "data_flow"}
    ]


def test_planned_is_laid_over_actual() -> None:
    actual = [
        ActualNode(id="load", component="load", status="completed"),
        ActualNode(id="work", component="work", status="completed"),
        ActualNode(id="work-2", component="work", status="failed"),
        ActualNode(id="part", component="part", status="completed"),
        ActualNode(id="part/some", component="some", status="completed"),
        ActualNode(id="other", component="other", status="completed"),
    ]
    rows = overlay(PLAN, actual)
    assert [(row.id, row.what, row.status, row.times) for row in rows] == [
        ("load", "ran", "completed", 1),
        ("~4", "dynamic", None, 0),
        ("work", "ran", "completed", 2),
        ("work-2", "dynamic", "failed", 1),
        ("mend", "not_run", None, 0),
        ("part", "ran", "completed", 1),
        ("part/~9", "dynamic", None, 0),
        ("part/some", "dynamic", "completed", 1),
        ("other", "unplanned", "completed", 1),
    ]
    assert [row.region for row in rows if row.id in ("work-2", "part/some", "other")] == ["~4", "part/~9", None]
    assert rows[0].to_dict()["what"] == "ran"


def test_what_a_sub_pipeline_of_a_region_ran_stands_with_it() -> None:
    nodes = (
        StaticNode(id="~1", component="for each of n", kind="dynamic"),
        StaticNode(id="part", component="part", kind="scope", region="~1"),
        StaticNode(id="part/work", component="work", scope="part"),
    )
    ids = {"part": "part", "part/work": "work", "part-2": "part", "part-2/work": "work"}
    actual = [ActualNode(id=name, component=component, status="completed") for name, component in ids.items()]
    rows = overlay(StaticPlan(name="p", nodes=nodes), actual)
    assert [(row.id, row.what, row.times) for row in rows] == [
        ("~1", "dynamic", 0),
        ("part", "ran", 2),
        ("part-2", "dynamic", 1),
        ("part-2/work", "dynamic", 1),
        ("part/work", "ran", 1),
    ]


def test_with_its_line_a_call_is_known_under_another_id() -> None:
    nodes = (
        StaticNode(id="work", component="work", place="p.py:2", conditional=Condition(reason="if flag")),
        StaticNode(id="~4", component="for each of n", kind="dynamic"),
        StaticNode(id="work-2", component="work", place="p.py:4", region="~4"),
        StaticNode(id="part-2", component="part", kind="scope", place="p.py:5"),
        StaticNode(id="part-2/work", component="work", scope="part-2", place="p.py:9"),
    )
    places = {"work": 4, "work-2": 4, "work-3": 4, "part": 5, "part/work": 9}
    actual = [
        ActualNode(
            id=name, component=name.rpartition("/")[2].partition("-")[0], status="completed", place=f"p.py:{line}"
        )
        for name, line in places.items()
    ]
    rows = overlay(StaticPlan(name="p", nodes=nodes), actual)
    assert [(row.id, row.what) for row in rows] == [
        ("work", "not_run"),
        ("~4", "dynamic"),
        ("work", "ran"),
        ("work-2", "dynamic"),
        ("work-3", "dynamic"),
        ("part", "ran"),
        ("part/work", "ran"),
    ]
