"""What a conductor gives for a plan, with every outcome chosen by the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.conducting import (
    EACH,
    QUICK_RETRY,
    SOON,
    TASK,
    Act,
    Rig,
    args,
    chain,
    each,
    echo,
    hole,
    plan,
    task,
    value,
)
from twingraph.core.plan import Edge, Hole, NodeKind, NodeSpec, PlanNode, Source, Template
from twingraph.core.records import Settings
from twingraph.core.statuses import NodeStatus
from twingraph.dispatch.base import Lane, NodeRun


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "home") as made:
        yield made


def fails(*names: str, times: int = 1_000) -> Act:
    """Fail these nodes so many times, echo otherwise."""
    left = dict.fromkeys(names, times)

    def act(lane: Lane, run: NodeRun) -> object:
        if left.get(run.node, 0) > 0:
            left[run.node] -= 1
            raise ValueError(f"{run.node} is broken")
        return echo(lane, run)

    return act


def given(name: str) -> PlanNode:
    return PlanNode(id=name, kind=NodeKind.INPUT)


def test_a_chain_hands_its_value_down(rig: Rig) -> None:
    assert value(rig.run(chain(5))) == "n0"
    assert len(rig.dispatch.begun) == 5


def test_inputs_reach_the_nodes(rig: Rig) -> None:
    flow = plan(PlanNode(id="a", spec=0, args={"x": hole(input="who")}))
    assert value(rig.run(flow, {"who": "world"})) == "world"


def test_a_map_gives_a_list_in_order(rig: Rig) -> None:
    assert value(rig.run(plan(given("items"), each("doubled", "items")), {"items": [3, 1, 2]})) == [3, 1, 2]


def test_an_empty_map_gives_an_empty_list(rig: Rig) -> None:
    assert value(rig.run(plan(given("items"), each("doubled", "items")), {"items": []})) == []


def test_a_map_of_many_pages_keeps_every_item_in_its_place(rig: Rig) -> None:
    items = list(range(2_500))
    handle = rig.run(plan(given("items"), each("all", "items")), {"items": items})
    assert value(handle) == items
    pages = [row.seq for row in rig.records.rows(handle.id) if row.kind == "map_expanded"]
    assert pages == list(range(pages[0], pages[0] + 3))


def test_a_map_over_a_workflow_gives_what_each_scope_gives(rig: Rig) -> None:
    inner = Template(
        nodes=(PlanNode(id="a", spec=0, args={"x": hole(item=True)}), task("b", "a")),
        last_nodes=("b",),
    )
    flow = plan(given("items"), each("all", "items", template="inner"), templates={"inner": inner})
    handle = rig.run(flow, {"items": ["x", "y"]})
    assert value(handle) == ["x", "y"]
    assert rig.statuses(handle.id)["all[1]/b"] is NodeStatus.COMPLETED


def test_a_map_in_a_map_sees_the_nearest_item(rig: Rig) -> None:
    inner = Template(
        nodes=(
            PlanNode(id="row", spec=0, args={"x": hole(item=True)}),
            each("cells", "row", template="each"),
        ),
        last_nodes=("cells",),
    )
    flow = plan(given("items"), each("all", "items", template="inner"), templates={"inner": inner, "each": EACH})
    assert value(rig.run(flow, {"items": [[1, 2], [], [3]]})) == [[1, 2], [], [3]]


def test_a_branch_skips_the_other_side(rig: Rig) -> None:
    asked = PlanNode(
        id="asked", kind=NodeKind.BRANCH, spec=2, edges=(Edge(source="flag", param="x"),), args={"x": hole("flag")}
    )
    yes = PlanNode(id="yes", spec=0, edges=(Edge(source="asked", handle="true"),))
    no = PlanNode(id="no", spec=0, edges=(Edge(source="asked", handle="false"),))
    handle = rig.run(plan(given("flag"), asked, yes, no, last=("yes", "no")), {"flag": False})
    assert value(handle) == {"no": "no"}
    assert rig.statuses(handle.id)["yes"] is NodeStatus.SKIPPED


def test_two_sides_of_a_branch_meet_in_one_parameter(rig: Rig) -> None:
    asked = PlanNode(
        id="asked", kind=NodeKind.BRANCH, spec=2, edges=(Edge(source="flag", param="x"),), args={"x": hole("flag")}
    )
    sides = [PlanNode(id=name, spec=0, edges=(Edge(source="asked", handle=name),)) for name in ("true", "false")]
    edges = (Edge(source="true", param="x"), Edge(source="false", param="x"))
    either = Hole(sources=(Source(node="true"), Source(node="false")))
    both = PlanNode(id="both", spec=0, edges=edges, args={"x": (either,)})
    assert value(rig.run(plan(given("flag"), asked, *sides, both), {"flag": True})) == "true"


def test_what_a_branch_hands_on_counts_only_when_it_went_that_way(rig: Rig) -> None:
    asked = PlanNode(
        id="asked", kind=NodeKind.BRANCH, spec=2, edges=(Edge(source="flag", param="x"),), args={"x": hole("flag")}
    )
    no = PlanNode(id="no", spec=0, edges=(Edge(source="asked", handle="false"),))
    handed = Source(node="flag", branches=(("asked", "true"),))
    edges = (Edge(source="asked", param="x", handle="true"), Edge(source="no", param="x"))
    end = PlanNode(id="end", spec=0, edges=edges, args={"x": (Hole(sources=(handed, Source(node="no"))),)})
    assert value(rig.run(plan(given("flag"), asked, no, end), {"flag": False})) == "no"


def test_a_failed_attempt_is_followed_by_another(tmp_path: Path) -> None:
    retried = NodeSpec(component="task", entry="task", retry=QUICK_RETRY)
    with Rig(tmp_path, fails("n1", times=2)) as rig:
        flow = chain(3)
        handle = rig.run(plan(*flow.root.nodes, specs=(retried,)))
        assert value(handle) == "n0"
        assert rig.dispatch.begun == [("n0", 1), ("n1", 1), ("n1", 2), ("n1", 3), ("n2", 1)]


def test_a_failure_names_its_node(tmp_path: Path) -> None:
    with Rig(tmp_path, fails("n1")) as rig:
        handle = rig.run(chain(3))
        assert handle.status == "failed"
        assert handle.error is not None
        assert (handle.error.node_id, handle.error.message) == ("n1", "n1 is broken")
        record = rig.record(handle.id)
        assert (record.status, record.owner, record.progress.failed_nodes) == ("failed", "none", 1)


def test_the_rest_goes_on_under_continue(tmp_path: Path) -> None:
    with Rig(tmp_path, fails("bad")) as rig:
        flow = plan(task("bad"), task("after", "bad"), task("good"), last=("good",))
        handle = rig.run(flow, settings=Settings(error_handler="continue"))
        assert value(handle) == "good"
        assert rig.statuses(handle.id)["after"] is NodeStatus.SKIPPED


def test_an_item_that_failed_is_kept_in_its_place(tmp_path: Path) -> None:
    with Rig(tmp_path, fails("all[1]")) as rig:
        flow = plan(given("items"), each("all", "items", keep_item_errors=True))
        first, second, third = value(rig.run(flow, {"items": [1, 2, 3]}))
        assert (first, third) == (1, 3)
        assert second["error_type"] == "ValueError"


def test_a_handler_gets_the_parts_that_it_declares(tmp_path: Path) -> None:
    told: list[dict[str, object]] = []

    def act(lane: Lane, run: NodeRun) -> object:
        if lane.settings.component == "handler":
            told.append(args(run))
            return None
        raise ValueError("no")

    handler = NodeSpec(component="handler", entry="handler")
    settings = Settings(
        error_handler="custom", handler_component=1, handler_args=("node_id", "error_type", "attempt", "component")
    )
    with Rig(tmp_path, act) as rig:
        handle = rig.run(plan(task("a"), specs=(TASK, handler)), settings=settings)
        assert handle.status == "failed"
        assert told == [{"node_id": "a", "component": "task", "error_type": "ValueError", "attempt": 1}]


HANDLED = Settings(error_handler="custom", handler_component=1, handler_args=())


def test_a_handler_that_fails_is_only_logged(tmp_path: Path) -> None:
    handler = NodeSpec(component="handler", entry="handler")
    with Rig(tmp_path, fails("a", "a!handler")) as rig:
        handle = rig.run(plan(task("a"), specs=(TASK, handler)), settings=HANDLED)
        assert handle.error is not None
        assert handle.error.node_id == "a"
        (line,) = rig.records.logs(handle.id)
        assert (line.level, line.node_id, line.component) == ("error", "a!handler", "handler")
        assert line.message == "this error handler failed: ValueError: a!handler is broken"


def test_a_handler_that_cannot_run_anywhere_is_logged_too(tmp_path: Path) -> None:
    handler = NodeSpec(component="handler", entry="handler", platform="elsewhere")
    with Rig(tmp_path, fails("a"), platforms=("local",)) as rig:
        handle = rig.run(plan(task("a"), specs=(TASK, handler)), settings=HANDLED)
        (line,) = rig.records.logs(handle.id)
        assert "this error handler failed: TwinGraphError: platform 'elsewhere' cannot be used" in line.message


def test_a_limit_holds_over_executions(tmp_path: Path) -> None:
    limited = NodeSpec(component="task", entry="task", limits={"db": 1})
    with Rig(tmp_path, hold=True) as rig:
        handles = [rig.submit(plan(task("a"), task("b"), last=("a", "b"), specs=(limited,))) for _ in range(2)]
        for handle in handles:
            handle.wait_recorded()
        assert len(rig.dispatch.wait_for(1)) == 1
        rig.dispatch.let_go()
        assert all(handle.wait(SOON) and handle.status == "completed" for handle in handles)


def test_a_message_that_has_no_utf_8_fails_only_its_node(tmp_path: Path) -> None:
    def act(lane: Lane, run: NodeRun) -> object:
        raise ValueError("half \udc80 a pair")

    with Rig(tmp_path, act) as rig:
        handle = rig.run(plan(task("a")))
        assert handle.status == "failed"
        error = rig.view(handle.id).nodes[0].error
        assert error is not None
        assert error.message == "half \udc80 a pair"
