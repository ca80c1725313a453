"""Keys that a function says: asked for where code runs, again when that was lost, and never in the way of the work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.conducting import BRANCH, EXPAND, SOON, TASK, Rig, args, plan, until_node, value, wait_until
from twingraph.core.execution import NodeView
from twingraph.core.plan import NodeKind, NodeSpec, Plan, PlanNode, ScopeSettings, Template
from twingraph.core.records import ErrorRecord, Settings
from twingraph.core.statuses import NodeStatus
from twingraph.dispatch.base import Lane, LogLines, NodeRun, Outcome, Returned
from twingraph.engine.effects import KEY_SECONDS
from twingraph.engine.keying import LOSSES, RUNS

ENTRY = "key flow:tens"
CACHED = replace(TASK, cache={"key": ENTRY, "hash": "f00d", "takes": ["x"]}, code_hash="c0de")


class Hands:
    """The key is the tens of `x`; a node gives its name."""

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()
        self.asked: list[tuple[str, dict[str, object]]] = []
        self.lanes: list[int] = []
        self.versions: dict[str, str] = {}  # of the code that carried each entry out
        self.fails = False

    def __call__(self, lane: Lane, run: NodeRun) -> object:
        self.versions[str(lane.settings.entry)] = lane.code.version
        if lane.settings.entry == ENTRY:
            self.asked.append((run.node, args(run)))
            self.lanes.append(len(lane.runs))
            if self.fails:
                raise KeyError("amount")
            return args(run).get("x", 0) // 10
        self.ran[run.node] += 1
        return run.node


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def rig(tmp_path: Path, hands: Hands) -> Iterator[Rig]:
    with Rig(tmp_path / "home", hands) as made:
        yield made


def work(name: str, x: int, spec: NodeSpec = CACHED) -> Plan:
    return plan(PlanNode(id=name, spec=0, args={"x": (str(x),), "note": (f'"{name}"',)}), specs=(spec, EXPAND, BRANCH))


def node(rig: Rig, execution: str) -> NodeView:
    (found,) = rig.view(execution).nodes
    return found


def why(rig: Rig, execution: str) -> str:
    story = node(rig, execution).cache(True)
    assert story is not None
    return story.words


def test_equal_keys_are_equal_work(rig: Rig, hands: Hands) -> None:
    first, second, third = rig.run(work("a", 11)), rig.run(work("b", 12)), rig.run(work("c", 21))
    assert [value(one) for one in (first, second, third)] == ["a", "a", "c"]
    assert hands.asked == [("a!key", {"x": 11}), ("b!key", {"x": 12}), ("c!key", {"x": 21})]
    assert why(rig, second.id) == f"hit of {first.id} a"
    assert "x: 11 → 21" in why(rig, third.id)
    assert [attempt.number for attempt in node(rig, first.id).attempts] == [1]  # asking is none


@pytest.mark.parametrize("changed", [{"hash": "beef"}, {"scope": "execution"}])
def test_another_function_or_scope_finds_nothing(rig: Rig, hands: Hands, changed: dict[str, str]) -> None:
    rig.run(work("a", 11))
    assert value(rig.run(work("b", 12, replace(CACHED, cache={**CACHED.cache, **changed})))) == "b"


def test_the_function_is_a_slice_where_the_component_comes_with_its_project(rig: Rig, hands: Hands) -> None:
    """Where whole modules are imported, slices are not found."""
    value(rig.run(work("a", 12, replace(CACHED, ship="bundle"))))
    known = hands.versions[ENTRY]
    assert hands.versions == {ENTRY: known, "task": f"{known} bundle"}


def test_a_change_of_the_function_is_told(rig: Rig) -> None:
    rig.run(work("a", 11))
    other = rig.run(work("a", 11, replace(CACHED, cache={**CACHED.cache, "hash": "beef"})))
    assert "the function that says its key" in why(rig, other.id)


def test_without_a_word_of_it_the_work_is_done_and_nothing_is_kept(rig: Rig, hands: Hands) -> None:
    hands.fails = True
    first, second = rig.run(work("a", 11)), rig.run(work("b", 11))
    assert [value(one) for one in (first, second)] == ["a", "b"]
    told = "the function that says its key failed: KeyError: 'amount'"
    assert why(rig, second.id) == f"miss: {told}"
    assert [(log.level, log.message) for log in rig.records.logs(second.id)] == [("warning", told)]


def test_many_are_asked_in_few_lanes(tmp_path: Path, hands: Hands) -> None:
    """In moments that never end: how many ask within one must not depend on how fast the machine is."""
    nodes = [PlanNode(id=f"n{number}", spec=0, args={"x": (str(number),)}) for number in range(3 * RUNS)]
    with Rig(tmp_path / "home", hands, pace=lambda: 0.0) as rig:
        handle = rig.run(plan(*nodes, specs=(CACHED, EXPAND, BRANCH)))
    assert handle.error is None
    assert len(hands.asked) == 3 * RUNS
    assert set(hands.lanes) == {RUNS}
    assert len(hands.ran) == -(-3 * RUNS // 10)


def test_what_is_handed_back_or_lost_is_asked_again(rig: Rig, hands: Hands) -> None:
    rig.dispatch.hold = True
    handle = rig.submit(work("a", 11))
    for number in range(LOSSES + 1):
        rig.dispatch.wait_for(1)
        ((lane, run),) = rig.dispatch.waiting
        rig.dispatch.waiting.clear()
        if number % 2:
            rig.dispatch.tell(Returned(lane.execution, [(run.node, run.attempt)]))
        else:
            rig.dispatch.tell(Outcome(lane.execution, run.node, run.attempt, "lost", None, 0.0))
    rig.dispatch.wait_for(1)
    rig.dispatch.let_go()
    assert handle.wait(SOON)
    assert value(rig.run(work("b", 12))) == "a"


def test_one_that_is_lost_each_time_is_given_up(rig: Rig) -> None:
    rig.dispatch.hold = True
    handle = rig.submit(work("a", 11))
    for _ in range(LOSSES):
        rig.dispatch.wait_for(1)
        ((lane, run),) = rig.dispatch.waiting
        rig.dispatch.waiting.clear()
        rig.dispatch.tell(Outcome(lane.execution, run.node, run.attempt, "lost", None, 0.0))
    rig.dispatch.wait_for(1)
    rig.dispatch.let_go()
    assert handle.wait(SOON)
    assert why(rig, handle.id) == "miss: the function that says its key failed: lost"


def test_what_is_said_of_its_process_names_its_node(rig: Rig) -> None:
    rig.dispatch.hold = True
    handle = rig.submit(work("a", 11))
    rig.dispatch.wait_for(1)
    ((lane, run),) = rig.dispatch.waiting
    rig.dispatch.waiting.clear()
    error = ErrorRecord(code="crashed", error_type="WorkerCrashed", message="it ended itself while a!key ran")
    rig.dispatch.tell(Outcome(lane.execution, run.node, run.attempt, "crashed", None, 0.0, error=error))
    rig.dispatch.wait_for(1)
    rig.dispatch.let_go()
    assert handle.wait(SOON)
    assert why(rig, handle.id).endswith("WorkerCrashed: it ended itself while the key of a ran")


def test_what_it_prints_is_its_nodes(rig: Rig) -> None:
    rig.dispatch.hold = True
    handle = rig.submit(work("a", 11))
    rig.dispatch.wait_for(1)
    rig.dispatch.tell(LogLines(handle.id, "a!key", 7, [(0.0, "info", "stdout", "hm")]))
    rig.dispatch.let_go()
    assert handle.wait(SOON)
    assert [(log.node_id, log.message) for log in rig.records.logs(handle.id)] == [("a", "hm")]


def test_who_takes_over_asks_again(rig: Rig, hands: Hands) -> None:
    rig.dispatch.hold = True
    handle = rig.submit(work("a", 11))
    rig.dispatch.wait_for(1)
    rig.restart(hands)
    again = rig.conductor.adopt(handle.id)
    assert again.wait(SOON)
    assert value(rig.run(work("b", 12))) == "a"


def test_nothing_of_it_runs_on_when_the_execution_is_over(rig: Rig) -> None:
    rig.dispatch.hold = True
    handle = rig.submit(work("a", 11))
    rig.dispatch.wait_for(1)
    assert rig.conductor.cancel(handle.id).wait(SOON)
    wait_until(lambda: not rig.dispatch.waiting, otherwise="it still waits")


def test_nothing_of_it_runs_on_when_its_node_alone_is_cancelled(tmp_path: Path) -> None:
    """A sub-workflow is given up where one of its nodes fails; what stands beside it goes on."""

    def act(lane: Lane, run: NodeRun) -> object:
        raise ValueError("bad")

    inner = Template(nodes=(PlanNode(id="bad", spec=3), PlanNode(id="a", spec=0, args={"x": ("11",)})))
    scope = PlanNode(id="s", kind=NodeKind.SCOPE, template="inner", bounds=ScopeSettings(error_handler="fail"))
    whole = plan(scope, PlanNode(id="beside", spec=3), specs=(CACHED, EXPAND, BRANCH, TASK), templates={"inner": inner})
    with Rig(tmp_path / "home", act, hold=True) as rig:
        handle = rig.submit(whole, settings=Settings(error_handler="continue"))
        assert sorted(rig.dispatch.wait_for(3)) == ["beside", "s/a!key", "s/bad"]
        rig.dispatch.let_one_go("s/bad")
        wait_until(lambda: len(rig.dispatch.waiting) == 1, otherwise="the function runs on")
        assert rig.dispatch.wait_for(1) == ["beside"]
        until_node(rig, handle.id, "s/a", NodeStatus.CANCELLED)
        rig.dispatch.let_go()
        assert handle.wait(SOON)


def test_what_is_handed_back_together_with_nodes_keeps_none_of_them(rig: Rig) -> None:
    rig.dispatch.hold = True
    both = plan(
        PlanNode(id="a", spec=1, args={"x": ("1",)}), PlanNode(id="b", spec=0, args={"x": ("11",)}),
        specs=(CACHED, TASK, EXPAND, BRANCH),
    )  # fmt: skip
    handle = rig.submit(both)
    rig.dispatch.wait_for(2)
    waiting = list(rig.dispatch.waiting)
    rig.dispatch.waiting.clear()
    assert sorted(run.node for _, run in waiting) == ["a", "b!key"]
    rig.dispatch.tell(Returned(handle.id, [(run.node, run.attempt) for _, run in waiting]))
    assert sorted(rig.dispatch.wait_for(2)) == ["a", "b!key"]
    rig.dispatch.let_go()
    assert handle.wait(SOON)
    assert handle.status == "completed"


def test_to_ask_for_a_key_takes_nothing_that_its_node_needs(rig: Rig) -> None:
    rig.dispatch.hold = True
    handle = rig.submit(work("a", 11, replace(CACHED, resources={"gpu": 1}, endless=True)))
    rig.dispatch.wait_for(1)
    ((lane, _),) = rig.dispatch.waiting
    assert (lane.settings.resources, lane.settings.timeout) == ({}, KEY_SECONDS)
    rig.dispatch.let_go()
    assert handle.wait(SOON)
