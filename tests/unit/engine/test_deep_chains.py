"""Ten thousand nodes, each after the one before: nothing goes down a chain by recursion."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.conducting import TASK, Rig, chain, hole, over, plan, value, wait_until
from twingraph.core.plan import Edge, Plan, PlanNode
from twingraph.core.statuses import NodeStatus
from twingraph.dispatch.base import Lane, NodeRun

DEEP = 10_000
TIME = 200.0  # seconds, which a slow machine may need
pytestmark = pytest.mark.timeout(240)
assert sys.getrecursionlimit() < DEEP


def fails_at_once(lane: Lane, run: NodeRun) -> object:
    raise ValueError("no")


def upside_down(length: int) -> Plan:
    """Each stands before its source."""
    nodes = [
        PlanNode(id=f"n{i}", spec=0, edges=(Edge(source=f"n{i - 1}", param="x"),), args={"x": hole(f"n{i - 1}")})
        for i in range(length - 1, 0, -1)
    ]
    return plan(*nodes, PlanNode(id="n0", spec=0), last=(f"n{length - 1}",), specs=(TASK,))


def test_a_deep_chain_comes_to_its_end_and_is_shown(tmp_path: Path) -> None:
    with Rig(tmp_path / "home") as rig:
        handle = rig.submit(upside_down(DEEP))
        assert handle.wait(TIME)
        assert value(handle) == "n0"
        view = rig.view(handle.id)
        assert len(view.nodes) == DEEP
        assert {node.status for node in view.nodes} == {NodeStatus.COMPLETED}


def test_what_stands_behind_a_failure_is_given_up_to_the_last(tmp_path: Path) -> None:
    with Rig(tmp_path / "home", fails_at_once) as rig:
        handle = rig.submit(chain(DEEP))
        assert handle.wait(TIME)
        assert handle.status == "failed"
        statuses = rig.statuses(handle.id)
        assert (statuses.pop("n0"), len(statuses)) == (NodeStatus.FAILED, DEEP - 1)
        assert set(statuses.values()) <= {NodeStatus.CANCELLED, NodeStatus.SKIPPED}


def test_a_deep_chain_is_cancelled_whole(tmp_path: Path) -> None:
    with Rig(tmp_path / "home", hold=True) as rig:
        handle = rig.submit(chain(DEEP))
        rig.dispatch.wait_for(1)
        assert over(rig.conductor.cancel(handle.id)).status == "cancelled"
        assert set(rig.statuses(handle.id).values()) == {NodeStatus.CANCELLED}


def test_a_deep_chain_goes_on_after_a_crash(tmp_path: Path) -> None:
    with Rig(tmp_path / "home", hold=True) as rig:
        handle = rig.submit(chain(DEEP))
        for number in range(3):
            rig.dispatch.let_one_go(f"n{number}")
        wait_until(lambda: rig.statuses(handle.id)["n2"] is NodeStatus.COMPLETED, "n2 is not over")
        rig.restart()
        again = rig.conductor.adopt(handle.id)
        assert again.wait(TIME)
        assert value(again) == "n0"
        assert len(rig.dispatch.begun) == DEEP - 3
