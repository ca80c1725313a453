"""Priority through the conductor: what has not begun makes room, and nothing runs twice for it."""

from __future__ import annotations

from pathlib import Path

from tests.support.conducting import Rig, over, plan, task, value
from twingraph.core.plan import NodeSpec
from twingraph.core.records import Settings
from twingraph.core.statuses import NodeStatus

LOW = NodeSpec(component="low", entry="low")
HIGH = NodeSpec(component="high", entry="high", priority=5)


def test_an_important_node_does_not_wait_for_what_has_not_begun(tmp_path: Path) -> None:
    names = [f"low{number}" for number in range(8)]
    nodes = [task("first"), *(task(name) for name in names), task("urgent", "first", spec=1)]
    with Rig(tmp_path, hold=True) as rig:
        handle = rig.submit(plan(*nodes, last=("urgent",), specs=(LOW, HIGH)), settings=Settings(max_parallel=3))
        rig.dispatch.wait_for(9)
        rig.dispatch.let_one_go("first")
        rig.dispatch.let_one_go("urgent")  # while the rest still waits
        rig.dispatch.let_go()
        assert value(over(handle)) == "first"
        ended = {node.id: node for node in rig.view(handle.id).nodes}
        assert {node.status for node in ended.values()} == {NodeStatus.COMPLETED}
        assert {len(node.attempts) for node in ended.values()} == {1}
