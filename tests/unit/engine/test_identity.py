"""The identity of work: equal wherever equal work is done, different for anything that matters."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.conducting import EACH, TASK, Rig, args, chain, each, hole, over, plan, task
from twingraph.core.codec import hash_text
from twingraph.core.events import Created, Event, GraphExtended, NodeEnded
from twingraph.core.execution import NodeView
from twingraph.core.plan import Argument, Edge, NodeKind, NodeSpec, Plan, PlanNode, Template
from twingraph.core.records import Settings
from twingraph.dispatch.base import Lane, NodeRun
from twingraph.engine.identity import cache_key_of, hash_of, parents_of
from twingraph.engine.kernel import State, apply
from twingraph.engine.values import Values
from twingraph.store.blobs.memory import MemoryBlobs

ONE = NodeSpec(component="one", entry="one", code_hash="1" * 64)

RECORDED = {
    "a": "e63974106fd46fd806113c5feea73f39884d534f8cebf11b06c268c294aad4f7",
    "b": "63bff7b9475437cdcf4aebc8ee2c4a6ba1a5452e478fa9823eca451d8a30f7e9",
}


def echo(lane: Lane, run: NodeRun) -> object:
    """The argument itself, or what all of them are."""
    given = args(run)
    return next(iter(given.values())) if len(given) == 1 else given


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "home", echo) as made:
        yield made


def literal(name: str, value: object, spec: int = 0) -> PlanNode:
    return PlanNode(id=name, spec=spec, args={"x": (json.dumps(value),)})


def nodes(rig: Rig, of: Plan, **inputs: object) -> dict[str, NodeView]:
    handle = rig.run(of, inputs)
    return {node.id: node for node in rig.view(handle.id).nodes}


def taker(name: str, source: str, argument: Argument | None = None) -> PlanNode:
    return PlanNode(id=name, spec=0, edges=(Edge(source=source, param="x"),), args={"x": argument or hole(source)})


def identity(node: NodeView) -> tuple[str, str]:
    assert node.cache_key is not None
    assert node.hash is not None
    return node.cache_key, node.hash


def test_equal_work_in_two_executions_has_equal_hashes_whatever_it_is_called(rig: Rig) -> None:
    first = nodes(rig, plan(literal("a", {"p": 1, "q": 2}), taker("b", "a")))
    second = nodes(rig, plan(literal("other", {"q": 2, "p": 1}), taker("name", "other")))
    assert identity(first["a"]) == identity(second["other"])
    assert identity(first["b"]) == identity(second["name"])
    assert first["a"].hash != first["b"].hash


def test_another_argument_or_input_is_other_work(rig: Rig) -> None:
    assert nodes(rig, plan(literal("a", 1)))["a"].cache_key != nodes(rig, plan(literal("a", 2)))["a"].cache_key
    by_input = plan(PlanNode(id="a", spec=0, args={"x": hole(input="who")}), inputs={"who": {"required": True}})
    one, again, two = (nodes(rig, by_input, who=who)["a"] for who in (1, 1, 2))
    assert identity(one) == identity(again)
    assert one.cache_key != two.cache_key
    assert identity(one) == identity(nodes(rig, plan(literal("a", 1)))["a"])


@pytest.mark.parametrize(
    "change",
    [
        {"code_hash": "2" * 64},
        {"code_hash": None},
        {"platform": "docker"},
        {"docker_image": "python:3.12"},
        {"version": "2"},
        {"environment": {"A": "1"}},
        {"options": '{"a":1}'},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_code_or_surroundings_are_other_work(rig: Rig, change: dict[str, Any]) -> None:
    one = nodes(rig, plan(literal("a", 1), specs=(ONE,)))["a"]
    other = nodes(rig, plan(literal("a", 1), specs=(replace(ONE, **change),)))["a"]
    assert one.cache_key != other.cache_key
    assert one.hash != other.hash


@pytest.mark.parametrize(
    "change",
    [
        {"component": "called otherwise"}, {"timeout": 1.0}, {"labels": {"a": "b"}}, {"priority": 3}, {"cache": "1h"},
        {"resources": {"cpu": 1}}, {"code": "version"}, {"entry": "moved:one"},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_what_does_not_touch_the_work_does_not_touch_its_identity(change: dict[str, Any]) -> None:
    def key(spec: NodeSpec) -> str | None:
        state = State("e")
        apply(state, Created(Settings()), 0.0, 1)
        apply(state, GraphExtended((literal("a", 1),), (spec,)), 0.0, 2)
        return cache_key_of(state, Values(state, lambda _: None, MemoryBlobs()), state.nodes["a"])

    assert key(ONE) == key(replace(ONE, **change)) is not None


def test_the_same_work_with_another_history_has_the_same_key_alone(rig: Rig) -> None:
    found = nodes(
        rig, plan(literal("a", 1, spec=1), literal("b", 1), taker("x", "a"), taker("y", "b"), specs=(TASK, ONE))
    )
    assert found["x"].cache_key == found["y"].cache_key
    assert found["x"].hash != found["y"].hash


def test_an_edge_without_data_is_history_too(rig: Rig) -> None:
    later = PlanNode(id="b", spec=0, args={"x": ("1",)}, edges=(Edge(source="a"),))
    found = nodes(rig, plan(literal("a", 0), later))
    alone = nodes(rig, plan(literal("b", 1)))["b"]
    assert found["b"].cache_key == alone.cache_key
    assert found["b"].hash != alone.hash


def test_what_a_body_only_looked_at_is_no_history(rig: Rig) -> None:
    looked = PlanNode(id="b", spec=0, args={"x": ("1",)}, forced=("a",))
    found = nodes(rig, plan(literal("a", 0), looked, last=("b",)))
    assert identity(found["b"]) == identity(nodes(rig, plan(literal("b", 1)))["b"])


def test_a_change_at_the_head_of_a_chain_reaches_its_end_through_the_hashes_alone(rig: Rig) -> None:
    long = [taker("n1", "n0"), *(taker(f"n{i}", f"n{i - 1}") for i in range(2, 20))]
    one = nodes(rig, plan(literal("n0", 1), *long, specs=(TASK, ONE)))
    other = nodes(rig, plan(literal("n0", 1, spec=1), *long, specs=(TASK, ONE)))
    assert one["n19"].cache_key == other["n19"].cache_key
    assert len({node.hash for node in [*one.values(), *other.values()]}) == 40


def test_a_very_long_chain_has_a_hash_at_its_end() -> None:
    state, length = State("e"), 10_000
    apply(state, Created(Settings()), 0.0, 1)
    apply(state, GraphExtended(chain(length).root.nodes, (TASK,)), 0.0, 2)
    for number in range(length - 1):
        ended = NodeEnded(f"n{number}", 1, "completed", shape="plain", outputs=(("output", "0" * 64, 1),))
        apply(state, ended, 0.0, 3 + number)
    values = Values(state, lambda _: None, MemoryBlobs())
    assert hash_of(state, values, state.nodes[f"n{length - 1}"]) is not None


def test_hashes_are_the_same_in_every_process_and_on_every_python(rig: Rig) -> None:
    """A change here makes every recorded hash another one."""
    found = nodes(rig, plan(literal("a", {"p": [1, 2.5, "é"]}), taker("b", "a"), specs=(ONE,)))
    assert {name: node.hash for name, node in found.items()} == RECORDED


def test_what_is_remembered_goes_with_the_state() -> None:
    state = State("e")
    apply(state, Created(Settings()), 0.0, 1)
    apply(state, GraphExtended((literal("a", 1),), (TASK,)), 0.0, 2)
    assert hash_of(state, Values(state, lambda _: None, MemoryBlobs()), state.nodes["a"]) is not None
    gone = weakref.ref(state)
    del state
    gc.collect()
    assert gone() is None


KEYS = st.text().filter(lambda key: key != "$")  # which opens a tag: what is written here is plain JSON
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUE, VALUE)
def test_composed_arguments_are_the_plain_ones(rig: Rig, left: object, right: object) -> None:
    parts = ("[", *hole("a"), ",", *hole("b"), "]")
    edges = (Edge(source="a", param="x"), Edge(source="b", param="x"))
    composed = PlanNode(id="c", spec=0, edges=edges, args={"x": parts})
    found = nodes(rig, plan(literal("a", left), literal("b", right), composed, last=("c",)))
    assert found["c"].cache_key == nodes(rig, plan(literal("c", [left, right])))["c"].cache_key


def test_one_output_and_one_element_are_known_by_their_content(rig: Rig) -> None:
    whole, part = taker("whole", "a", hole("a", output="output")), taker("part", "a", hole("a", index=1))
    found = nodes(rig, plan(literal("a", [10, 20]), whole, part, last=("whole", "part")))
    assert found["whole"].cache_key == nodes(rig, plan(literal("x", [10, 20])))["x"].cache_key
    assert found["part"].cache_key == nodes(rig, plan(literal("x", 20)))["x"].cache_key


def test_an_item_stands_in_the_line_of_the_maps_source_and_its_place_does_not_count(rig: Rig) -> None:
    one = nodes(rig, plan(literal("a", [5, 6, 5]), each("m", "a")))
    assert one["m[0]"].cache_key == one["m[2]"].cache_key != one["m[1]"].cache_key
    alone = PlanNode(id="b", spec=0, edges=(Edge(source="a"),), args={"item": ("5",)})
    assert identity(one["m[0]"]) == identity(nodes(rig, plan(literal("a", [5, 6, 5]), alone))["b"])
    longer = nodes(rig, plan(literal("a", [5]), each("m", "a")))
    assert longer["m[0]"].cache_key == one["m[0]"].cache_key
    assert longer["m[0]"].hash != one["m[0]"].hash


def test_a_map_is_known_by_its_list_and_by_what_it_does_with_each(rig: Rig) -> None:
    key = PlanNode(
        id="m", kind=NodeKind.MAP, spec=1, edges=(Edge(source="a", param="items"),), template="each",
        args={"items": hole("a"), "key": ('"index"',)}, key="index",
    )  # fmt: skip
    other = {"each": replace(EACH, nodes=(EACH.nodes[0]._replace(spec=3),))}
    specs = (TASK, NodeSpec(component="map", entry="builtin:expand"), TASK, ONE)
    one = nodes(rig, plan(literal("a", [5]), each("m", "a"), specs=specs))["m"]
    assert identity(one) == identity(nodes(rig, plan(literal("a", [5]), key, specs=specs))["m"])
    changed = nodes(rig, plan(literal("a", [5]), each("m", "a"), specs=specs, templates=other))["m"]
    assert one.cache_key != changed.cache_key
    kept = nodes(rig, plan(literal("a", [5]), each("m", "a", keep_item_errors=True), specs=specs))["m"]
    assert one.cache_key != kept.cache_key


def sub(argument: Argument, constant: object = 1, names: tuple[str, str] = ("in", "out")) -> Plan:
    """A sub-workflow of two nodes: one takes its input, the other only a constant."""
    first, second = names
    inner = Template(
        nodes=(PlanNode(id=first, spec=0, args={"x": hole(input="who")}), literal(second, constant)),
        last_nodes=(first,),
    )
    opener = PlanNode(
        id="sub", kind=NodeKind.SCOPE, template="inner", edges=(Edge(source="a", param="who"),),
        scope_args={"who": argument},
    )  # fmt: skip
    return plan(literal("a", 3), opener, templates={"inner": inner})


def test_what_takes_an_input_of_a_scope_stands_in_the_line_of_its_opener(rig: Rig) -> None:
    found = nodes(rig, sub(hole("a")))
    assert identity(found["sub/in"]) == identity(nodes(rig, plan(literal("a", 3), taker("b", "a")))["b"])
    assert identity(found["sub/out"]) == identity(nodes(rig, plan(literal("b", 1)))["b"])


def test_a_sub_workflow_is_known_by_what_it_does_and_not_by_its_names(rig: Rig) -> None:
    one = nodes(rig, sub(hole("a")))["sub"]
    assert identity(one) == identity(nodes(rig, sub(hole("a"), names=("p", "q")))["sub"])
    assert one.cache_key != nodes(rig, sub(hole("a"), constant=2))["sub"].cache_key
    assert one.cache_key != nodes(rig, sub(("4",)))["sub"].cache_key


def test_calls_of_a_body_that_take_nothing_of_its_own_stand_in_the_line_of_the_call() -> None:
    def ended(node: str, text: str) -> NodeEnded:
        return NodeEnded(node, 1, "completed", shape="plain", outputs=(("output", hash_text(text), len(text)),))

    state = State("e")
    call = PlanNode(
        id="sub", kind=NodeKind.SCOPE, spec=1, edges=(Edge(source="a", param="x"),), scope_args={"x": hole("a")}
    )
    events: list[Event] = [
        Created(Settings()),
        GraphExtended((literal("a", 3), call), (TASK, ONE), driven=True),
        ended("a", "3"),
        GraphExtended((literal("f", 4), taker("g", "f")), scope="sub", driven=True),
        ended("sub/f", "4"),
        GraphExtended((PlanNode(id="like_f", spec=0, edges=(Edge(source="a"),), args={"x": ("4",)}),), driven=True),
    ]
    for number, event in enumerate(events):
        apply(state, event, 0.0, number + 1)
    values = Values(state, lambda _: None, MemoryBlobs())
    found = {name: hash_of(state, values, state.nodes[name]) for name in ("sub/f", "sub/g", "like_f")}
    assert None not in found.values()
    assert found["sub/f"] == found["like_f"]
    assert [node.id for node in parents_of(state.nodes["sub/g"]) or ()] == ["sub/f"]


def test_waits_are_known_by_what_they_wait_for(rig: Rig) -> None:
    def key(**more: Any) -> str | None:
        return nodes(rig, plan(PlanNode(id="w", **more)))["w"].cache_key

    assert key(kind=NodeKind.SLEEP, wait=0.0) == key(kind=NodeKind.SLEEP, wait=0) is not None
    assert key(kind=NodeKind.SLEEP, wait=0.0) != key(kind=NodeKind.SLEEP, wait=0.001)


def test_an_input_is_known_by_its_value(rig: Rig) -> None:
    def one(name: str, value: object) -> NodeView:
        node = PlanNode(id=name, kind=NodeKind.INPUT)
        return nodes(rig, plan(node, inputs={name: {"required": True}}), **{name: value})[name]

    assert identity(one("a", 1)) == identity(one("b", 1))
    assert one("a", 1).hash != one("a", 2).hash


def test_nobody_knows_what_a_skipped_node_would_have_been_called_with(rig: Rig) -> None:
    def act(lane: Lane, run: NodeRun) -> object:
        raise ValueError("no")

    rig.restart(act)
    found = nodes(rig, plan(task("a"), task("b", "a")))
    assert found["a"].hash is not None
    assert (found["b"].cache_key, found["b"].hash) == (None, None)


def test_a_node_whose_sources_still_run_has_no_hash_yet(rig: Rig) -> None:
    rig.restart(echo, hold=True)
    handle = rig.submit(plan(literal("a", 1), taker("b", "a")))
    rig.dispatch.wait_for(1)
    found = {node.id: node for node in rig.view(handle.id).nodes}
    assert found["a"].hash is not None
    assert (found["b"].cache_key, found["b"].hash) == (None, None)
    rig.dispatch.let_go()
    over(handle)
    assert {node.id: node for node in rig.view(handle.id).nodes}["b"].hash is not None
