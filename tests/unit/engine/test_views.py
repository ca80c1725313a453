"""What readers see of an execution is what happened, whether they followed it or came late."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.conducting import (
    QUICK_RETRY,
    SOON,
    Rig,
    chain,
    each,
    echo,
    over,
    plan,
    task,
    until_node,
    wait_until,
)
from twingraph.core.events import SignalReceived
from twingraph.core.execution import NodeView
from twingraph.core.plan import Edge, NodeKind, NodeSpec, PlanNode
from twingraph.core.records import Settings
from twingraph.core.statuses import NodeStatus
from twingraph.dispatch.base import Lane, NodeRun
from twingraph.engine.sizes import Sizes
from twingraph.engine.views import Watch, record_of

ITEMS = PlanNode(id="items", kind=NodeKind.INPUT)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "home", hold=True) as made:
        yield made


def node(rig: Rig, execution: str, name: str) -> NodeView:
    return next(node for node in rig.view(execution).nodes if node.id == name)


def test_a_view_shows_parents_outputs_and_the_result(rig: Rig) -> None:
    rig.dispatch.hold = False
    handle = rig.run(chain(2), {"unused": 1})
    view = rig.view(handle.id)
    assert (view.result, dict(view.outputs), dict(view.inputs)) == ('"n0"', {"output": '"n0"'}, {"unused": "1"})
    last = view.nodes[-1]
    assert (last.parents, [output.text for output in last.outputs], last.component) == (("n0",), ['"n0"'], "task")


def test_every_attempt_is_shown_with_its_error(rig: Rig) -> None:
    left = [2]

    def act(lane: Lane, run: NodeRun) -> object:
        left[0] -= 1
        return broken() if left[0] >= 0 else 1

    retried = NodeSpec(component="task", entry="task", retry=QUICK_RETRY)
    rig.restart(act)
    handle = rig.run(plan(task("a"), specs=(retried,)))
    attempts = node(rig, handle.id, "a").attempts
    assert [(attempt.number, attempt.status) for attempt in attempts] == [
        (1, "failed"),
        (2, "failed"),
        (3, "completed"),
    ]
    assert attempts[0].error is not None
    assert attempts[0].error.message == "broken"


def test_an_attempt_that_went_with_its_process_is_lost(rig: Rig) -> None:
    handle = rig.submit(chain(1))
    rig.dispatch.wait_for(1)
    rig.dispatch.begin("n0")
    until_node(rig, handle.id, "n0", NodeStatus.RUNNING)
    assert node(rig, handle.id, "n0").attempts[0].started_at is not None
    rig.restart()
    over(rig.conductor.adopt(handle.id))
    attempts = node(rig, handle.id, "n0").attempts
    assert [(attempt.number, attempt.status) for attempt in attempts] == [(1, "lost"), (2, "completed")]


def test_a_map_counts_its_children(rig: Rig) -> None:
    rig.restart(lambda lane, run: broken() if run.node == "all[2]" else echo(lane, run))
    handle = rig.run(plan(ITEMS, each("all", "items")), {"items": [1, 2, 3]}, settings=CONTINUE)
    rows = Watch(rig.records, handle.id).tree().rows
    container = next(row for row in rows if row.id == "all")
    assert container.counts == {NodeStatus.COMPLETED: 2, NodeStatus.FAILED: 1}
    assert [row.id for row in rows if row.depth == 1] == ["all[0]", "all[1]", "all[2]"]


def test_the_children_that_need_a_look_come_first(rig: Rig) -> None:
    rig.restart(lambda lane, run: broken() if run.node == "all[7]" else echo(lane, run))
    handle = rig.run(plan(ITEMS, each("all", "items")), {"items": list(range(9))}, settings=CONTINUE)
    rows = Watch(rig.records, handle.id).tree(children=2).rows
    assert [row.id for row in rows if row.depth == 1] == ["all[7]", "all[0]"]


def test_who_follows_sees_what_a_late_comer_sees(rig: Rig) -> None:
    handle = rig.submit(plan(ITEMS, each("all", "items"), task("end", "all")), {"items": [1, 2, 3]})
    handle.wait_recorded(SOON)
    watch = Watch(rig.records, handle.id)
    for name in ("all", "all[1]", "all[0]", "all[2]", "end"):
        rig.dispatch.let_one_go(name)
        watch.tree()
    over(handle)
    assert watch.tree() == Watch(rig.records, handle.id).tree()


def test_progress_is_right_at_the_end_and_soon_on_the_way(rig: Rig) -> None:
    handle = rig.submit(chain(3))
    for name in ("n0", "n1"):
        rig.dispatch.let_one_go(name)
    shown(rig, handle.id, 2)
    rig.dispatch.let_go()
    over(handle)
    assert rig.record(handle.id).progress.completed_nodes == 3


def test_a_snapshot_starts_recovery_from_there(tmp_path: Path) -> None:
    often = Sizes(snapshot_events=20, snapshot_events_per_node=0)
    with Rig(tmp_path / "home", hold=True, sizes=often) as rig:
        handle = rig.submit(chain(60))
        for number in range(50):
            rig.dispatch.let_one_go(f"n{number}")
        until_node(rig, handle.id, "n49", NodeStatus.COMPLETED)
        rig.restart()
        again = over(rig.conductor.adopt(handle.id))
        assert again.status == "completed"
        assert [name for name, _ in rig.dispatch.begun] == [f"n{number}" for number in range(50, 60)]


def test_the_newest_is_called_last(rig: Rig) -> None:
    first, second = rig.submit(chain(1)), rig.submit(chain(1))
    first.wait_recorded(SOON)
    second.wait_recorded(SOON)
    assert record_of(rig.records, "last").id == second.id
    assert record_of(rig.records, first.id).id == first.id


CONTINUE = Settings(max_parallel=1000, error_handler="continue")


def broken() -> object:
    raise ValueError("broken")


def shown(rig: Rig, execution: str, completed: int) -> None:
    wait_until(lambda: rig.record(execution).progress.completed_nodes == completed, "the list lags behind")


@pytest.mark.parametrize("wait", [math.inf, 1e12])
@pytest.mark.parametrize("kind", [NodeKind.SLEEP, NodeKind.SIGNAL])
def test_what_waits_longer_than_calendars_go_is_shown_without_an_end(rig: Rig, kind: NodeKind, wait: float) -> None:
    handle = rig.submit(plan(PlanNode(id="long", kind=kind, wait=wait, signal="go")))
    handle.wait_recorded(SOON)
    until_node(rig, handle.id, "long", NodeStatus.RUNNING)
    assert node(rig, handle.id, "long").until is None
    (row,) = Watch(rig.records, handle.id).tree().rows
    assert row.until is None


def test_a_signal_that_came_before_it_was_waited_for_took_no_time(rig: Rig) -> None:
    waits = PlanNode(id="asked", kind=NodeKind.SIGNAL, signal="go", edges=(Edge(source="first"),))
    handle = rig.submit(plan(task("first"), waits))
    rig.conductor.feed(handle.id, SignalReceived("go", ("output", "0" * 64, 1)), ["1"])
    rig.dispatch.let_one_go("first")
    over(handle)
    asked = node(rig, handle.id, "asked")
    assert asked.started_at == asked.completed_at is not None
