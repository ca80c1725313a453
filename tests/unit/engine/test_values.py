"""Where an argument, a result and an output come from, and that little is held in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.conducting import EACH, Rig, args, each, hole, over, plan, task, value
from twingraph.core import codec
from twingraph.core.plan import Edge, NodeKind, PlanNode, Template
from twingraph.core.statuses import NodeStatus
from twingraph.dispatch.base import Lane, NodeRun, Outcome
from twingraph.engine.kernel import State
from twingraph.engine.values import Values
from twingraph.store.blobs.memory import MemoryBlobs
from twingraph.testing.dispatch import MemoryDispatch

ITEMS = PlanNode(id="items", kind=NodeKind.INPUT)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "home") as made:
        yield made


def shaped(rig: Rig, shape: str, **outputs: object) -> None:
    """From now on every run gives these named outputs in this shape."""
    texts = [json.dumps(part) for part in outputs.values()]
    meta = [(name, "0" * 64, len(text)) for name, text in zip(outputs, texts, strict=True)]

    class Shaped(MemoryDispatch):
        def _carry_out(self, lane: Lane, run: NodeRun) -> Outcome:
            given = Outcome(lane.execution, run.node, run.attempt, "completed", 1.0, 2.0)
            given.shape, given.outputs, given.texts = shape, meta, texts
            return given

    rig.dispatch.__class__ = Shaped


def test_named_outputs_of_the_last_node_are_the_executions_outputs(rig: Rig) -> None:
    shaped(rig, "dict", rows=3, name="x")
    handle = rig.run(plan(task("a")))
    assert value(handle) == {"rows": 3, "name": "x"}
    assert handle.outputs == {"rows": "3", "name": '"x"'}
    assert rig.view(handle.id).outputs == handle.outputs


@pytest.mark.parametrize("shape", ["namedtuple:m.Point", "dataclass:m.Point"])
def test_a_class_is_named_beside_its_fields(rig: Rig, shape: str) -> None:
    shaped(rig, shape, x=1, y=2)
    handle = rig.run(plan(task("a")))
    kind, _, name = shape.partition(":")
    assert value(handle) == {"$": kind, "class": name, "v": {"x": 1, "y": 2}}


def test_a_plain_value_is_called_output(rig: Rig) -> None:
    assert rig.run(plan(task("a"))).outputs == {"output": '"a"'}


def test_several_last_nodes_are_told_by_id(rig: Rig) -> None:
    handle = rig.run(plan(task("a"), task("b"), last=("a", "b")))
    assert handle.outputs == {"a": '"a"', "b": '"b"'}
    assert value(handle) == {"a": "a", "b": "b"}


def test_a_result_may_be_composed_of_parts(rig: Rig) -> None:
    parts = ("[", *hole("a"), ",", *hole("b"), "]")
    assert value(rig.run(plan(task("a"), task("b"), result=parts))) == ["a", "b"]


def test_one_output_and_one_element_are_handed_on_alone(tmp_path: Path) -> None:
    seen: dict[str, object] = {}

    def act(lane: Lane, run: NodeRun) -> object:
        seen.update(args(run))
        return [10, 20, 30] if run.node == "a" else None

    whole, element = hole("a", output="output"), hole("a", index=1)
    taker = PlanNode(id="b", spec=0, edges=(Edge(source="a"),), args={"whole": whole, "element": element})
    with Rig(tmp_path, act) as rig:
        rig.run(plan(task("a"), taker))
    assert seen == {"whole": [10, 20, 30], "element": 20}


def test_an_output_that_was_not_given_fails_its_taker(rig: Rig) -> None:
    taker = PlanNode(id="b", spec=0, edges=(Edge(source="a"),), args={"x": hole("a", output="rows")})
    handle = rig.run(plan(task("a"), taker))
    assert handle.error is not None
    assert (handle.error.node_id, handle.error.code) == ("b", "invalid_input")
    assert "a gave no output 'rows'; it gave output" in handle.error.message


def test_a_scope_gets_what_its_opener_was_given(rig: Rig) -> None:
    inner = Template(nodes=(PlanNode(id="in", spec=0, args={"x": hole(input="who")}),), last_nodes=("in",))
    opener = PlanNode(
        id="sub",
        kind=NodeKind.SCOPE,
        template="inner",
        edges=(Edge(source="a", param="who"),),
        scope_args={"who": hole("a")},
    )
    handle = rig.run(plan(task("a"), opener, templates={"inner": inner}))
    assert value(handle) == "a"
    assert handle.outputs == {"output": '"a"'}


def test_an_item_meets_what_all_items_share(tmp_path: Path) -> None:
    seen = []

    def act(lane: Lane, run: NodeRun) -> object:
        seen.append(args(run))
        return None

    inner = Template(
        nodes=(PlanNode(id="in", spec=0, args={"item": hole(item=True), "shared": hole(input="shared")}),),
        last_nodes=("in",),
    )
    both = each("all", "items", template="inner", scope_args={"shared": hole("shared")})
    shared = PlanNode(id="shared", kind=NodeKind.INPUT)
    with Rig(tmp_path, lambda lane, run: [1, 2] if run.node == "all" else act(lane, run)) as rig:
        rig.run(plan(ITEMS, shared, both, templates={"inner": inner}), {"items": [1, 2], "shared": "s"})
    assert seen == [{"item": 1, "shared": "s"}, {"item": 2, "shared": "s"}]


def test_a_map_of_maps_of_maps_is_a_list_of_lists_of_lists(rig: Rig) -> None:
    middle = Template(
        nodes=(PlanNode(id="m", spec=0, args={"x": hole(item=True)}), each("in", "m")), last_nodes=("in",)
    )
    outer = Template(
        nodes=(PlanNode(id="o", spec=0, args={"x": hole(item=True)}), each("in", "o", template="middle")),
        last_nodes=("in",),
    )
    flow = plan(
        ITEMS, each("all", "items", template="outer"), templates={"outer": outer, "middle": middle, "each": EACH}
    )
    deep = [[[1], [2, 3]], [[]], []]
    assert value(rig.run(flow, {"items": deep})) == deep


def test_a_large_result_is_a_reference(rig: Rig) -> None:
    items = ["x" * 1_000] * 100
    handle = rig.run(plan(ITEMS, each("all", "items")), {"items": items})
    assert handle.result is not None
    assert len(handle.result) < 1_000
    assert codec.decode(handle.result, blobs=rig.blobs) == items


def test_little_is_held_and_the_rest_is_read_again() -> None:
    read: list[int] = []

    def journal(seq: int) -> str:
        read.append(seq)
        return "1\n2"

    made = Values(State("e"), journal, MemoryBlobs(), most=1_000)
    for seq in range(10):
        made.keep(seq, ["x" * 200])
        made.keep(seq, ["x" * 200])
    assert made.lines(9) == ["x" * 200]
    assert made.lines(0) == ["1", "2"]
    assert read == [0]


def test_what_was_skipped_gives_nothing(rig: Rig) -> None:
    asked = PlanNode(id="asked", kind=NodeKind.BRANCH, spec=2, edges=(Edge(source="items"),), args={"x": hole("items")})
    no = PlanNode(id="no", spec=0, edges=(Edge(source="asked", handle="false"),))
    handle = rig.run(plan(ITEMS, asked, no), {"items": True})
    assert (value(handle), handle.outputs) == (None, {})
    assert rig.statuses(handle.id)["no"] is NodeStatus.SKIPPED


def test_a_list_is_read_once_for_all_its_elements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that calls something for each element of a long list asks for them one by one."""
    opened: list[str] = []
    plain = codec.Elements.__init__

    def counted(self: codec.Elements, text: str, blobs: object = None) -> None:
        opened.append(text)
        plain(self, text, blobs)

    monkeypatch.setattr(codec.Elements, "__init__", counted)
    nodes = [
        PlanNode(id=f"n{i}", spec=0, edges=(Edge(source="a", param="x"),), args={"x": hole("a", index=i)})
        for i in range(50)
    ]
    with Rig(tmp_path / "home", lambda lane, run: list(range(50)) if run.node == "a" else args(run)["x"]) as rig:
        handle = over(rig.submit(plan(PlanNode(id="a", spec=0), *nodes, last=("n49",))))
        assert value(handle) == 49
    assert len(opened) == 1
