"""A replay brings what it keeps many nodes at a time, and copies none of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.conducting import Rig, args, chain, each, echo, hole, over, plan, task, value
from twingraph.core.events import OutcomesKept, event_from
from twingraph.core.plan import Edge, NodeKind, Plan, PlanNode
from twingraph.core.records import Changes, Settings
from twingraph.dispatch.base import Lane, NodeRun
from twingraph.engine.handle import Handle
from twingraph.engine.held import Kept
from twingraph.engine.recorded import Recorded
from twingraph.engine.replay import keeping, kept
from twingraph.engine.sizes import USUAL
from twingraph.store.base import Row


class Counting:
    """Each run gives how many runs there were."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def __call__(self, lane: Lane, run: NodeRun) -> object:
        self.ran.append(run.node)
        return echo(lane, run) if args(run) else len(self.ran)


@pytest.fixture
def runs() -> Counting:
    return Counting()


@pytest.fixture
def rig(tmp_path: Path, runs: Counting) -> Iterator[Rig]:
    with Rig(tmp_path, runs) as made:
        made.kept_of = lambda execution, *changes: keeping(
            Recorded(made.records, execution, made.blobs, by_and_by=True), *changes
        )
        yield made


def kept_of(rig: Rig, execution: str, changes: Changes | None, given: Sequence[str] = ()) -> Mapping[str, Kept]:
    return kept(Recorded(rig.records, execution, rig.blobs), changes, given)


def again(rig: Rig, first: Handle, of: Plan, *anew: str, **more: Any) -> Handle:
    changes = Changes(anew=anew)
    return rig.run(of, replay_of=first.id, changes=changes, kept=kept_of(rig, first.id, changes), **more)


def rows(rig: Rig, handle: Handle) -> list[Row]:
    return rig.records.rows(handle.id)


def pages(rig: Rig, handle: Handle) -> list[OutcomesKept]:
    found = [event_from(row.kind, row.body) for row in rows(rig, handle)]
    return [event for event in found if isinstance(event, OutcomesKept)]


def test_one_event_brings_all_that_leads_to_what_runs(rig: Rig, runs: Counting) -> None:
    first = rig.run(chain(50))
    runs.ran.clear()
    second = again(rig, first, chain(50), "n49")
    assert runs.ran == ["n49"]
    assert value(second) == value(first)
    (page,) = pages(rig, second)
    assert (page.execution, len(page.nodes)) == (first.id, 49)
    assert [row.kind for row in rows(rig, second)].count("node_ended") == 1


def test_what_is_kept_stays_where_it_is(rig: Rig) -> None:
    first = rig.run(chain(5))
    second = again(rig, first, chain(5), "n4")
    assert [row.data for row in rows(rig, second) if row.kind == "outcomes_kept"] == [None]
    view = rig.view(second.id)
    assert {node.id: [json.loads(out.text or "") for out in node.outputs] for node in view.nodes} == {
        f"n{n}": [1] for n in range(5)
    }
    assert [node.id for node in view.nodes if node.reused_from == first.id] == ["n0", "n1", "n2", "n3"]


def test_a_replay_of_a_replay_refers_to_who_ran_the_node(rig: Rig, runs: Counting) -> None:
    first = rig.run(chain(6))
    second = again(rig, first, chain(6), "n2")
    third = again(rig, second, chain(6), "n5")
    assert [(page.execution, [name for name, *_ in page.nodes]) for page in pages(rig, third)] == [
        (first.id, ["n0", "n1"]),
        (second.id, ["n2", "n3", "n4"]),
    ]
    assert runs.ran[-1] == "n5"
    assert value(third) == value(first)


def test_more_than_a_page_comes_in_several(tmp_path: Path) -> None:
    with Rig(tmp_path, sizes=USUAL._replace(kept_page=7)) as rig:
        first = rig.run(chain(30))
        second = again(rig, first, chain(30), "n29")
        assert [len(page.nodes) for page in pages(rig, second)] == [7, 7, 7, 7, 1]
        assert value(second) == value(first)


def test_items_that_wait_for_a_lane_are_not_waited_for(rig: Rig, runs: Counting) -> None:
    of = plan(
        PlanNode(id="over", spec=0, args={"values": ("[1,2,3,4,5,6,7,8]",)}), each("each", "over"), task("end", "each")
    )
    first = rig.run(of)
    runs.ran.clear()
    second = again(rig, first, of, "end", settings=Settings(max_parallel=1))
    assert runs.ran == ["end"]
    assert value(second) == value(first) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert {len(page.nodes) for page in pages(rig, second)} == {1, 8}


def test_what_lies_behind_a_branch_or_was_skipped_is_as_it_was(rig: Rig, runs: Counting) -> None:
    def behind(name: str, handle: str) -> PlanNode:
        return PlanNode(id=name, spec=0, edges=(Edge(source="if", handle=handle),))

    either = PlanNode(
        id="either",
        spec=0,
        edges=tuple(Edge(source=name, param="x", optional=True) for name in ("yes", "no")),
        args={"x": hole("yes")},
    )
    of = plan(
        PlanNode(id="way", spec=0, args={"x": ("true",)}),
        PlanNode(
            id="if", kind=NodeKind.BRANCH, spec=2, edges=(Edge(source="way", param="x"),), args={"x": hole("way")}
        ),
        behind("yes", "true"),
        behind("no", "false"),
        either,
        task("end", "either"),
    )
    first = rig.run(of)
    runs.ran.clear()
    second = again(rig, first, of, "end")
    assert runs.ran == ["end"]
    assert rig.statuses(second.id) == rig.statuses(first.id)


def test_who_takes_a_replay_over_goes_on_with_the_same(rig: Rig, runs: Counting) -> None:
    first = rig.run(chain(20))
    runs.ran.clear()
    rig.restart(runs, hold=True)
    changes = Changes(anew=("n18",))
    second = rig.submit(chain(20), replay_of=first.id, changes=changes, kept=kept_of(rig, first.id, changes))
    rig.dispatch.wait_for(1)
    rig.restart(runs)
    third = over(rig.conductor.adopt(second.id))
    assert value(third) == value(first)
    assert runs.ran == ["n18", "n19"]
    assert len(pages(rig, third)) == 1
