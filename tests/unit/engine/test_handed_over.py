"""What a generator has handed over stands, however often it runs: its list is the same for whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.conducting import (
    BRANCH,
    EXPAND,
    QUICK_RETRY,
    TASK,
    Rig,
    args,
    each,
    hole,
    over,
    plan,
    task,
    value,
    wait_until,
)
from twingraph.core import codec
from twingraph.core.plan import Edge, PlanNode
from twingraph.dispatch.base import ItemsOut, Lane, NodeRun, Outcome
from twingraph.engine.ahead import ValuesAhead
from twingraph.engine.sizes import USUAL

GENERATOR = replace(TASK, component="numbers", entry="numbers", generator=True, retry=QUICK_RETRY)
SPECS = (TASK, EXPAND, BRANCH, GENERATOR)
G = PlanNode(id="g", spec=3)
LARGE = [f"item {number} {'.' * 1000}" for number in range(100)]

# What the first run hands over before it fails, what the second gives in all, and what the generator gave.
LISTS = [
    pytest.param(["a"], ["A", "B", "C"], ["a", "B", "C"], id="more"),
    pytest.param(["a", "b"], ["A", "B"], ["a", "b"], id="as many"),
    pytest.param(["a", "b", "c"], ["A"], ["a", "b", "c"], id="fewer"),
    pytest.param(["a"], [], ["a"], id="none"),
    pytest.param([], ["A"], ["A"], id="nothing before"),
]


class Runs:
    """Each run of the generator gives another list; all but the last fail then."""

    def __init__(self, *lists: Sequence[Any]) -> None:
        self._lists = list(lists)

    def __call__(self, lane: Lane, run: NodeRun) -> object:
        return self._generate() if lane.settings.generator else next(iter(args(run).values()), run.node)

    def _generate(self) -> Any:
        yield from self._lists.pop(0)
        if self._lists:
            raise ValueError("once more")


def gave(rig: Rig, lists: tuple[Sequence[Any], ...]) -> Any:
    """What a generator alone gives, decoded, with the hash that is told of it."""
    rig.dispatch._act = Runs(*lists)
    handle = rig.run(plan(G, specs=SPECS))
    value(handle)
    (ended,) = (node.outputs for node in rig.view(handle.id).nodes)
    return codec.decode(handle.result or "", blobs=rig.blobs), ended[0].hash


@pytest.mark.parametrize("long_parts", [USUAL.long_parts, 1])
@pytest.mark.parametrize(("first", "second", "all_of_it"), LISTS)
def test_everyone_is_given_the_same_list(
    tmp_path: Path, first: list[str], second: list[str], all_of_it: list[str], long_parts: int
) -> None:
    one = PlanNode(id="one", spec=0, edges=(Edge(source="g", param="x"),), args={"x": hole("g", index=0)})
    of = plan(G, task("all", "g"), one, each("m", "g"), specs=SPECS, last=("all", "one", "m"))
    with Rig(tmp_path, Runs(first, second), sizes=USUAL._replace(long_parts=long_parts)) as rig:
        handle = rig.run(of)
        assert value(handle) == {"all": all_of_it, "one": all_of_it[0], "m": all_of_it}
        assert [len(node.attempts) for node in rig.view(handle.id).nodes if node.id == "g"] == [2]


def test_it_is_the_list_that_one_run_would_have_given(tmp_path: Path) -> None:
    row = {"b": 2, "a": 3}
    runs: list[tuple[list[Any], ...]] = [([1, row],), ([1], ["one", row]), ([1, row], [])]
    with Rig(tmp_path) as rig:
        for lists in runs:
            assert gave(rig, lists) == ([1, row], codec.encode([1, row]).hash)


@pytest.mark.parametrize(
    "lists", [(LARGE, ["other"]), (LARGE[:1], [0, *LARGE[1:]]), (LARGE[:99], [0] * 99 + LARGE[99:])]
)
def test_large_lists_go_to_the_store(tmp_path: Path, lists: tuple[Sequence[Any], ...]) -> None:
    with Rig(tmp_path) as rig:
        assert gave(rig, lists) == (LARGE, codec.encode(LARGE).hash)


def test_what_the_second_of_three_runs_handed_over_first_stands_too(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        assert gave(rig, ([1], [10, 20, 30], [100] * 4))[0] == [1, 20, 30, 100]


def test_items_that_are_not_written_yet_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long list, memory does not hold all."""
    keep = ValuesAhead.keep

    def keep_one(values: ValuesAhead, seq: Any, lines: Sequence[str]) -> None:
        for known in list(values._lines):
            values._forget(known)
        keep(values, seq, lines)

    monkeypatch.setattr(ValuesAhead, "keep", keep_one)
    with Rig(tmp_path) as rig:
        assert gave(rig, ([1, 2, 3], [10, 20, 30, 40]))[0] == [1, 2, 3, 40]


@pytest.mark.parametrize("lost", [False, True])
def test_it_stands_when_another_conductor_goes_on(tmp_path: Path, lost: bool) -> None:
    with Rig(tmp_path, hold=True) as rig:
        handle = rig.submit(plan(G, specs=SPECS))
        rig.dispatch.wait_for(1)
        rig.dispatch.tell(ItemsOut(handle.id, "g", 1, 0, ["1", "2"]))
        wait_until(lambda: rig.records.rows(handle.id)[-1].kind == "items_given", "it handed nothing over")
        if lost:
            rig.dispatch.tell(Outcome(handle.id, "g", 1, "lost", 1.0, 2.0))
            rig.dispatch.wait_for(2)
        rig.restart(Runs([10, 20, 30]))
        assert value(over(rig.conductor.adopt(handle.id))) == [1, 2, 30]
