"""`plan` of pipelines: what the body would call, and what became of it in an execution."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.cli.double import MemoryBackend, MemoryReader, make_console, make_node, make_view, written
from twingraph.cli.entry import main
from twingraph.core.execution import CacheStory
from twingraph.core.static_plan import Condition, StaticEdge, StaticNode, StaticPlan
from twingraph.core.statuses import ExecutionStatus, NodeStatus

PLAN = StaticPlan(
    name="nightly",
    nodes=(
        StaticNode(id="load", component="load", place="p.py:3"),
        StaticNode(id="~4", component="for each of load", kind="dynamic", platform="-", place="p.py:4"),
        StaticNode(id="work", component="work", region="~4"),
        StaticNode(id="mend", component="mend", conditional=Condition(reason="if load.bad", place="p.py:6")),
        StaticNode(id="total", component="total"),
    ),
    edges=(StaticEdge(source="load", target="work", param="data"),),
    warnings=("the whole body sits in one try (line 2): its calls run one after another",),
)
FLOW = """
from twingraph import component, pipeline

@component
def load(day):
    return [1, 2, 3]

@component
def work(item):
    return item

@pipeline
def nightly(day: str):
    found = load(day)
    if found.bad:
        work(0)
    return [work(item) for item in found]
"""


def go(*words: str, planned: StaticPlan | None = PLAN, items: int = 2) -> tuple[int, str, str]:
    names = ["load", "work", *(f"work-{number}" for number in range(2, items + 1)), "total", "other"]
    nodes = [
        make_node(
            name, NodeStatus.FAILED if name == "work-2" else NodeStatus.COMPLETED, component=name.partition("-")[0]
        )
        for name in names
    ]
    reader = MemoryReader(views=[make_view(nodes, ExecutionStatus.COMPLETED)], planned=planned)
    console = make_console()
    code = main(("plan", *words), backend=MemoryBackend(reader=reader), console=console)
    return code, written(console.out), written(console.err)


def test_planned_is_laid_over_what_ran() -> None:
    code, out, _ = go("last")
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines() if line.strip()]
    assert lines[0].startswith("nightly 3 of 4 planned calls ran exec-")
    assert lines[2:] == [
        "✓ load load completed",
        "~ for each of load known when it runs (p.py:4)",
        "✓ work work completed",
        "✗ work-2 work failed",
        "○ mend mend did not run if load.bad (p.py:6)",
        "✓ total total completed",
        "✓ other other completed, not in the plan",
        "note: the whole body sits in one try (line 2): its calls run one after another",
    ]


def test_of_many_items_the_first_are_shown() -> None:
    _, out, _ = go("last", items=40)
    assert "work-6" in out
    assert "work-7" not in out
    assert "… 34 more" in out
    assert "34 completed" in out


def test_as_a_document() -> None:
    code, out, _ = go("last", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["plan"] == PLAN.to_dict()
    assert [row["what"] for row in document["rows"]] == [
        "ran", "dynamic", "ran", "dynamic", "not_run", "ran", "unplanned",
    ]  # fmt: skip


def test_what_is_no_pipeline_has_no_such_plan() -> None:
    code, _, err = go("last", planned=None)
    assert code == 2
    assert "twingraph show exec-" in err


def test_an_unknown_id_is_wrong_use() -> None:
    code, _, err = go("exec-000000000000000a")
    assert code == 2
    assert "no execution" in err


@pytest.mark.parametrize("document", [False, True])
def test_the_plan_of_a_file(tmp_path: Path, document: bool) -> None:
    path = tmp_path / "planned_flow.py"
    path.write_text(FLOW)
    code, out, _ = go(str(path), *(["--json"] if document else []))
    assert code == 0
    if document:
        plan = StaticPlan.from_dict(json.loads(out))
        assert [node.id for node in plan.nodes] == ["load", "work", "~17", "work-2"]
        return
    lines = [" ".join(line.split()) for line in out.splitlines() if line.strip()]
    assert lines[0] == "nightly 3 calls in its body"
    assert any(line.startswith("~ for each of load - load known when it runs") for line in lines)
    assert any(line.startswith("work work local load if load.bad") for line in lines)


def test_a_plan_without_conditions_needs_no_words() -> None:
    code, out, _ = go("last", planned=replace(PLAN, nodes=PLAN.nodes[:1], warnings=()))
    assert code == 0
    assert out.count("not in the plan") == 4


CACHED = """
from twingraph import component, pipeline

@component(cache=True)
def load(day, deep=False):
    return [day]

@component(cache={"ttl": "1h"})
def total(rows):
    return len(rows)

@component
def plain(k):
    return k

@pipeline
def inner(day):
    return total(load(day, deep=True))

@pipeline
def nightly(day: str, n: int = 2):
    found = load(day)
    if found.bad:
        load(day) if n > 1 else load("other")
    return [total(found), plain(1), inner(day), load([n, {"day": day}])]
"""


def foreseen(tmp_path: Path, *words: str) -> tuple[int, str, str, MemoryBackend]:
    path = tmp_path / "cached_flow.py"
    path.write_text(CACHED)
    backend = MemoryBackend(reader=MemoryReader(views=[]))
    backend.engine.foreseen = {"load": CacheStory(verdict="hit", execution="exec-1", node="load")}
    console = make_console()
    code = main(("plan", f"{path}:nightly", *words), backend=backend, console=console)
    return code, written(console.out), written(console.err), backend


def test_the_cache_is_asked_about_calls_whose_arguments_are_known(tmp_path: Path) -> None:
    code, out, _, backend = foreseen(tmp_path, "-i", "day=mo")
    assert code == 0
    assert backend.engine.foretold == {
        "load": {"day": "mo"},
        "load-2": {"day": "mo"},
        "inner/load": {"day": "mo", "deep": True},
        "load-3": {"day": [2, {"day": "mo"}]},
    }
    assert backend.engine.closed
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "load hit of exec-1 load" in lines
    assert "total unknown: what it would be called with is not known yet" in lines
    assert "inner/total unknown: what it would be called with is not known yet" in lines
    assert "more of what is cached" not in out


def test_without_its_inputs_it_says_which_would_tell_more(tmp_path: Path) -> None:
    _, out, _, backend = foreseen(tmp_path)
    assert backend.engine.foretold == {}
    assert "more of what is cached is known with the inputs day: give them with -i name=value" in out


def test_what_is_cached_stands_in_the_document(tmp_path: Path) -> None:
    _, out, _, _ = foreseen(tmp_path, "-i", "day=mo", "--json")
    document = json.loads(out)
    assert StaticPlan.from_dict(document).name == "nightly"
    assert {name: story["verdict"] for name, story in document["cache"].items()}["load"] == "hit"
    assert document["cache"]["total"]["verdict"] == "unknown"


def test_an_input_that_it_does_not_take_is_wrong_use(tmp_path: Path) -> None:
    code, _, err, _ = foreseen(tmp_path, "-i", "dy=mo")
    assert (code, "did you mean 'day'?" in err) == (2, True)


def test_what_caches_nothing_asks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "planned_flow.py"
    path.write_text(FLOW)
    backend = MemoryBackend(reader=MemoryReader(views=[]))
    assert main(("plan", str(path), "-i", "day=mo"), backend=backend, console=make_console()) == 0
    assert not backend.engine.closed  # nor was it opened
