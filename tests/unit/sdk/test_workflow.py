"""Drawing, compiling and binding: what comes out, and every error at the door."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twingraph.core.codec import encode
from twingraph.core.errors import ValidationError
from twingraph.core.inputs import bind_inputs
from twingraph.core.plan import Edge, Hole, NodeKind, PlanNode, Source
from twingraph.core.plan_json import plan_from_json, plan_to_json
from twingraph.sdk.component import component
from twingraph.sdk.registry import Registry
from twingraph.sdk.workflow_builder import CompiledWorkflow, Workflow

registry = Registry()


def bound(compiled: CompiledWorkflow, given: dict[str, object]) -> dict[str, str]:
    return bind_inputs(compiled.plan, given, lambda value: encode(value).text, compiled.checks)


class Parts(NamedTuple):
    head: str
    tail: str


@component(registry=registry)
def split(text: str) -> Parts:
    return Parts(text[:1], text[1:])


@component(registry=registry)
def join(tail: str, head: str) -> str:
    return tail + head


@component(registry=registry)
def shout(text: str, mark: str = "!") -> str:
    return text + mark


@component(registry=registry)
def many(n: int) -> list[str]:
    return ["a"] * n


@component(registry=registry)
def unknown(text: str) -> dict[str, Any]:
    return {}


def new() -> Workflow:
    return Workflow("w", registry=registry)


def node_of(wf: Workflow, name: str) -> PlanNode:
    return next(node for node in wf.compile().plan.root.nodes if node.id == name)


def fill(**source: Any) -> tuple[Hole]:
    return (Hole(sources=(Source(**source),)),)


def problems(wf: Workflow) -> list[tuple[str | None, str | None]]:
    with pytest.raises(ValidationError) as caught:
        wf.compile()
    return [(one.node, one.field) for one in caught.value.problems]


def test_equal_names_match() -> None:
    wf = new().add_component("s", split).add_component("j", join).connect("s", "j")
    assert node_of(wf, "j").args["head"] == fill(node="s", output="head")
    assert node_of(wf, "j").args["tail"] == fill(node="s", output="tail")


def test_else_the_whole_value_goes_to_the_one_required_parameter() -> None:
    wf = new().add_component("s", split).add_component("u", unknown).connect("s", "u")
    assert node_of(wf, "u").args["text"] == fill(node="s")


def test_the_documented_handles_mean_the_whole_value() -> None:
    wf = new().add_component("a", shout).add_component("b", shout).connect("a", "b", "output", "input")
    assert node_of(wf, "b").args["text"] == fill(node="a")


def test_what_nested_branches_hand_on_holds_for_both_ways() -> None:
    wf = new().add_input("x").add_branch("a", "x > 1").add_branch("b", "x > 2").add_component("end", shout)
    wf.connect("x", "a").connect("a", "b", output="true").connect("b", "end", output="false", input="text")
    expected = fill(node="x", branches=(("a", "true"), ("b", "false")))
    assert node_of(wf, "end").args["text"] == expected
    plan = wf.compile().plan
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


def test_an_input_of_the_wrong_type_names_its_node() -> None:
    with pytest.raises(ValidationError, match=r"m\.n: must be an int, not 'three'"):
        bound(new().add_component("m", many).compile(), {"n": "three"})


def test_what_is_ambiguous_lists_the_choices() -> None:
    wf = new().add_component("u", unknown).add_component("j", join).connect("u", "j")
    with pytest.raises(ValidationError, match=r"takes tail, head; name them with output= and input="):
        wf.compile()


def test_unbound_parameters_are_inputs() -> None:
    wf = new().add_component("a", shout).add_component("b", shout)
    compiled = wf.compile()
    assert bound(compiled, {"text": "x"}) == {"a.text": '"x"', "b.text": '"x"'}
    assert bound(compiled, {"text": "x", "b.text": "y", "a.mark": "?"}) == {
        "a.text": '"x"',
        "b.text": '"y"',
        "a.mark": '"?"',
    }
    with pytest.raises(ValidationError) as caught:
        bound(compiled, {"texd": 1})
    assert {(one.node, one.field) for one in caught.value.problems} == {(None, "texd"), ("a", "text"), ("b", "text")}


def test_input_nodes_have_defaults_and_schemas() -> None:
    wf = new().add_input("text", {"type": "string"}, default="hi").add_component("a", shout).connect("text", "a")
    compiled = wf.compile()
    assert bound(compiled, {}) == {"text": '"hi"'}
    with pytest.raises(ValidationError, match="must be of type string"):
        bound(compiled, {"text": 3})


def branched() -> Workflow:
    wf = new().add_branch("b", "text == 'x'").add_component("yes", shout).add_component("no", shout)
    return wf.connect("b", "yes", "true").connect("b", "no", "false")


def test_a_branch_carries_its_input() -> None:
    yes = node_of(branched(), "yes")
    assert yes.args["text"] == fill(input="text", branches=(("b", "true"),))
    assert yes.edges == (Edge(source="b", param="text", handle="true"),)


def test_exclusive_branches_may_meet() -> None:
    wf = branched().add_component("end", shout).connect("yes", "end").connect("no", "end")
    sources = node_of(wf, "end").args["text"][0]
    assert isinstance(sources, Hole)
    assert [one.node for one in sources.sources] == ["yes", "no"]


def test_others_may_not() -> None:
    wf = new().add_component("a", shout).add_component("b", shout).add_component("end", shout)
    assert problems(wf.connect("a", "end", input="text").connect("b", "end", input="text")) == [("end", "text")]


def test_a_branch_edge_without_data_still_decides() -> None:
    wf = new().add_component("a", shout).add_branch("b", "x").add_component("c", shout)
    wf.connect("a", "b", input="x").connect("a", "c").connect("b", "c", "true")
    assert Edge(source="b", param="", handle="true") in node_of(wf, "c").edges


def test_a_map_over_a_component() -> None:
    wf = new().add_component("m", many).add_map("each", shout, over="m", mark="?")
    compiled = wf.compile()
    each = node_of(wf, "each")
    assert (each.kind, each.args["items"]) == (NodeKind.MAP, fill(node="m"))
    item = compiled.plan.templates["each"].nodes[0]
    assert item.args == {"text": fill(item=True), "mark": ('"?"',)}


def test_values_from_outside_reach_the_items() -> None:
    wf = (
        new()
        .add_component("s", shout)
        .add_map("each", join, over=["a"], item="tail")
        .connect("s", "each", input="head")
    )
    assert node_of(wf, "each").scope_args == {"head": fill(node="s")}
    assert wf.compile().plan.templates["each"].nodes[0].args["head"] == fill(input="head")


def test_maps_nest_in_workflows() -> None:
    inner = new().add_input("items").add_map("each", shout).connect("items", "each", input="over")
    wf = new().add_map("outer", workflow=inner, over=[["a"], ["b"]])
    compiled = wf.compile()
    assert set(compiled.plan.templates) == {"outer", "outer/each"}
    assert node_of(wf, "outer").scope_args["items"] == fill(item=True)


def test_a_workflow_in_itself_is_an_error() -> None:
    wf = new()
    wf.add_workflow("me", wf)
    assert problems(wf) == [("me", "workflow")]


Draw = Callable[[Workflow], object]


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (lambda wf: wf.add_component("a", "shuot"), ("a", "component")),
        (lambda wf: wf.add_component("a", shout, text=3), ("a", "text")),
        (lambda wf: wf.add_component("a", shout, texd="x"), ("a", "texd")),
        (lambda wf: wf.add_component("a", shout, inputs={"texd": "x"}), ("a", "inputs.texd")),
        (lambda wf: wf.add_component("a", shout, timeout=-1), ("a", "timeout")),
        (lambda wf: wf.add_component("a", shout, platform="dokcer"), ("a", "platform")),
        (lambda wf: wf.add_component("a", shout, retry_policy={"backof": 1}), ("a", "retry_policy.backof")),
        (lambda wf: wf.add_component("a", shout).add_component("a", shout), ("a", "id")),
        (lambda wf: wf.add_component("a/b", shout), ("a/b", "id")),
        (lambda wf: wf.add_component("", shout, texd=1), ("nodes[0]", "id")),
        (lambda wf: wf.add_component("a", shout).connect("a", "b"), ("a", "edges")),
        (lambda wf: wf.add_component("a", shout).connect("a", "a"), ("a", "edges")),
        (lambda wf: wf.add_component("a", shout).add_component("b", shout).connect("a", "b", input="x"), ("b", "x")),
        (lambda wf: wf.add_component("a", split).add_component("b", shout).connect("a", "b", "x"), ("b", "edges")),
        (lambda wf: wf.add_code("a", "def run(x:\n"), ("a", "code")),
        (lambda wf: wf.add_code("a", "x = 1"), ("a", "code")),
        (lambda wf: wf.add_branch("a", "1 +"), ("a", "condition")),
        (lambda wf: wf.add_branch("a", "x").add_component("b", shout).connect("a", "b"), ("b", "edges")),
        (lambda wf: wf.add_map("a", join, over=[1]), ("a", "item")),
        (lambda wf: wf.add_map("a", shout, over=[1], on_item_error="kep"), ("a", "on_item_error")),
        (lambda wf: wf.add_map("a", shout, over=[1], key="itm"), ("a", "key")),
        (lambda wf: wf.add_map("a", shout, over=3), ("a", "over")),
    ],
)
def test_an_error_at_the_door(draw: Draw, expected: tuple[str, str]) -> None:
    wf = new()
    draw(wf)
    assert problems(wf) == [expected]


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"max_parallel": 0}, "max_parallel"),
        ({"error_handler": "contineu"}, "error_handler"),
        ({"error_handler": "custom"}, "error_config.handler"),
        ({"error_handler": "custom", "error_config": {"handler": "nobody"}}, "error_config.handler"),
        ({"timeout": 0}, "timeout"),
        ({"notifications": {"on_strat": []}}, "notifications.on_strat"),
    ],
)
def test_bad_settings_of_a_workflow(settings: dict[str, Any], field: str) -> None:
    assert problems(Workflow("w", registry=registry, **settings)) == [(None, field)]


def test_all_problems_come_at_once() -> None:
    wf = new().add_component("a", "shuot").add_component("b", shout, timeout=-1).add_branch("c", "1 +")
    assert {node for node, _ in problems(wf)} == {"a", "b", "c"}


def test_a_cycle_is_named() -> None:
    wf = new().add_component("a", shout).add_component("b", shout).connect("a", "b").connect("b", "a")
    with pytest.raises(ValidationError, match=r"b -> a -> b|a -> b -> a"):
        wf.compile()


def test_a_custom_handler_gets_a_spec() -> None:
    wf = Workflow("w", registry=registry, error_handler="custom", error_config={"handler": "shout"})
    compiled = wf.add_component("a", split).compile()
    assert compiled.settings.handler_component == 1
    assert compiled.settings.handler_args == ("text", "mark")


def test_code_nodes_are_read_and_not_run() -> None:
    text = "raise SystemExit\ndef run(x: int, y=print('no')) -> int: ..."
    compiled = new().add_code("c", text).compile()
    assert list(compiled.plan.inputs) == ["x", "y"]
    assert list(compiled.sources.values()) == [text]


def test_a_parameter_that_is_called_like_a_setting() -> None:
    own = Registry()

    @component(registry=own)
    def wait(timeout: int, priority: int = 0) -> int:
        return timeout + priority

    alone = Workflow("w", registry=own).add_component("a", wait, timeout=5).compile().plan
    assert (alone.root.nodes[0].args["timeout"], alone.specs[0].timeout) == (("5",), 300)
    both = (
        Workflow("w", registry=own)
        .add_component("a", wait, inputs={"timeout": 5}, timeout=60, priority=2)
        .compile()
        .plan
    )
    assert (both.root.nodes[0].args["timeout"], both.specs[0].timeout) == (("5",), 60)
    assert (both.root.nodes[0].args["priority"], both.specs[0].priority) == (("2",), 0)

    @component(registry=own, timeout=300)
    def told(inputs: dict[str, int], timeout: int = 7) -> int:
        return inputs["timeout"] + timeout

    mine = Workflow("w", registry=own).add_component("a", told, inputs={"timeout": 1}, timeout=5).compile().plan
    assert (mine.root.nodes[0].args["timeout"], mine.specs[0].timeout) == (("5",), 300)


def test_variants_and_constants_survive_the_definition() -> None:
    wf = new().add_component("a", shout.options(timeout=5), text="x")
    again = Workflow.from_dict(json.loads(wf.to_json()), registry=registry)
    assert again.compile().plan == wf.compile().plan
    assert again.compile().plan.specs[0].timeout == 5.0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NODES = st.fixed_dictionaries(
    {"id": st.text()}, optional={"type": st.text(), "component": JSON, "config": JSON, "position": JSON, "note": JSON}
)
EDGES = st.fixed_dictionaries(
    {"source": st.text(), "target": st.text()},
    optional={"sourceHandle": st.none() | st.text(), "targetHandle": st.none() | st.text(), "id": JSON, "label": JSON},
)
META = st.dictionaries(st.text(), JSON, max_size=3)
INNER = st.fixed_dictionaries(
    {"nodes": st.lists(NODES, max_size=3), "edges": st.lists(EDGES, max_size=3)},
    optional={"metadata": META, "viewport": JSON},
)
DOCUMENTS = st.fixed_dictionaries(
    {"name": st.text(min_size=1).filter(str.strip), "definition": INNER}, optional={"metadata": META, "extra": JSON}
)


@given(DOCUMENTS)
def test_a_definition_loses_nothing(document: dict[str, Any]) -> None:
    assert Workflow.from_dict(document).to_dict() == document


@given(DOCUMENTS)
def test_no_definition_breaks_the_compiler(document: dict[str, Any]) -> None:
    try:
        plan = Workflow.from_dict(document, registry=registry).compile().plan
    except ValidationError:
        return
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


@pytest.mark.parametrize("end", ["source", "target", "sourceHandle", "targetHandle"])
def test_an_end_of_an_edge_that_is_no_text_is_told_with_its_place(end: str) -> None:
    edges = [{"source": "a", "target": "a"}, {"source": "a", "target": "a", end: []}]
    with pytest.raises(ValidationError, match=rf"edges\[1\]\.{end}: must be a text, not \[\]"):
        Workflow.from_dict({"name": "flow", "definition": {"nodes": [{"id": "a"}], "edges": edges}}, registry=registry)


@pytest.mark.soak
def test_a_thousand_nodes_compile_quickly() -> None:
    wf = new()
    for number in range(1000):
        wf.add_component(f"n{number}", shout)
        if number:
            wf.connect(f"n{number - 1}", f"n{number}")
    began = time.process_time()
    wf.compile()
    assert time.process_time() - began < 0.5


def test_an_expression_says_how_a_key_is_read() -> None:
    with pytest.raises(ValidationError, match=r"b\.condition: uses an attribute.*read as v\['a'\]"):
        new().add_branch("b", "v.a > 1").compile()


def test_an_input_whose_schema_is_no_json_schema_is_told_at_the_door() -> None:
    drawn = new().add_input("text", list[str]).add_component("a", shout).connect("text", "a")
    with pytest.raises(ValidationError, match=r"text\.schema: must be a JSON Schema object"):
        drawn.compile()


def test_a_type_of_node_that_comes_later_is_told_with_what_there_is() -> None:
    nodes = [{"id": "ask", "type": "approval", "config": {}}]
    definition = {"name": "w", "definition": {"nodes": nodes, "edges": []}}
    with pytest.raises(ValidationError, match=r"'approval' are not available yet; a pipeline waits .* wait_for_signal"):
        Workflow.from_dict(definition).compile()
