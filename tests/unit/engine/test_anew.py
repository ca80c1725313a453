"""What a replay does anew: a node and all that came of it, in drawn workflows and in bodies."""

from __future__ import annotations

from tests.unit.engine.kernel.hand import Hand, mapped, node, task
from twingraph.core import events as ev
from twingraph.core.plan import Hole, NodeKind, Plan, PlanNode, Source, Template
from twingraph.engine.anew import also_now, inputs_taken, takers_of, with_consequences


def anew(hand: Hand, *starts: str) -> set[str]:
    return with_consequences(hand.state, starts)


def test_what_takes_its_value_and_what_is_ordered_after_it() -> None:
    hand = Hand(task("a"), task("b", "a"), task("c", "b"), task("side"), task("d", "side", "c"))
    assert anew(hand, "b") == {"b", "c", "d"}
    assert anew(hand, "side", "c") == {"side", "c", "d"}


def test_an_item_of_a_map_concerns_what_takes_the_map_and_none_of_its_siblings() -> None:
    hand = Hand(task("a"), mapped("m", "a"), task("end", "m"))
    hand.end("a")
    hand.expand("m", "0", "1", "2")
    assert anew(hand, "m[1]") == {"m[1]", "end"}
    assert anew(hand, "m") == {"m", "m[0]", "m[1]", "m[2]", "end"}
    assert anew(hand, "a") == {"a", "m", "m[0]", "m[1]", "m[2]", "end"}


def test_a_workflow_inside_another() -> None:
    inner = Template(nodes=(task("one"), task("two", "one")), last_nodes=("two",))
    scope = node(NodeKind.SCOPE, "w", "a", template="inner")
    hand = Hand(task("a"), scope, task("end", "w"), templates={"inner": inner})
    hand.end("a")
    assert anew(hand, "w/one") == {"w/one", "w/two", "end"}
    assert anew(hand, "w/two") == {"w/two", "end"}


def body(*calls: PlanNode) -> Hand:
    hand = Hand(body="flow", driven=True)
    for call in calls:
        hand.call(call)
    return hand


def test_what_a_body_called_before_it_looked_is_kept() -> None:
    hand = body(task("a"), task("b"), task("c", forced=("a",)), task("d"))
    assert anew(hand, "a") == {"a", "c", "d"}
    assert anew(hand, "b") == {"b"}


def test_what_was_called_after_a_look_follows_from_everything_that_led_to_it() -> None:
    hand = body(task("a"), task("b", "a"), task("free"), task("c", forced=("b",)), task("d"))
    assert anew(hand, "a") == {"a", "b", "c", "d"}


def test_a_long_loop_is_looked_through_once() -> None:
    calls = tuple(task(f"n{i}", forced=(f"n{i - 1}",) if i else ()) for i in range(3_000))
    hand = body()
    hand.feed(ev.GraphExtended(calls, driven=True))
    assert len(anew(hand, "n0")) == 3_000


def test_which_nodes_take_an_input() -> None:
    hole = Hole((Source(input="x"),))
    hand = Hand(
        PlanNode(id="a", spec=0, args={"v": (hole,)}),
        PlanNode(id="b", spec=0, args={"v": ("1",)}),
        PlanNode(id="m", kind=NodeKind.MAP, spec=1, template="item", scope_args={"k": ("[", hole, "]")}),
        PlanNode(id="y", kind=NodeKind.INPUT),
    )
    assert inputs_taken(hand.state) == {"x", "y"}
    assert takers_of(hand.state, ["x"]) == ["a", "m"]
    assert takers_of(hand.state, ["y"]) == ["y"]


def drawn(*nodes: PlanNode, **templates: Template) -> Plan:
    return Plan(name="now", root=Template(nodes=nodes), templates=templates)


def test_what_only_the_plan_of_now_has_after_a_node_is_found_too() -> None:
    hand = Hand(task("a"), task("b"), task("c", "b"), task("side"))
    assert also_now(hand.state, drawn(task("a"), task("b"), task("c", "b"), task("side")), ["a"], []) == []
    now = drawn(task("a"), task("new", "a"), task("b", "new"), task("c"), task("side"))
    assert also_now(hand.state, now, ["a"], []) == ["b"]
    assert anew(hand, "a", "b") == {"a", "b", "c"}  # the edges that were, as well
    there = drawn(task("a"), task("b", "a"), task("c"), task("side", "c"))
    assert also_now(hand.state, there, ["a"], []) == ["b", "side"]  # first by a new edge, then an old one, then a new


def test_what_takes_an_input_only_in_the_plan_of_now() -> None:
    hand = Hand(task("a"), task("b"))
    taker = PlanNode(id="a", spec=0, args={"v": (Hole((Source(input="x"),)),)})
    assert also_now(hand.state, drawn(taker, task("b")), [], ["x"]) == ["a"]
    assert also_now(hand.state, drawn(taker._replace(id="new"), task("b", "new"), task("a")), [], ["x"]) == ["b"]


def test_an_item_done_again_does_not_take_its_map_with_it() -> None:
    hand = Hand(task("a"), mapped("m", "a"), task("end", "m"), task("late"))
    hand.end("a")
    hand.expand("m", "0", "1")
    assert also_now(hand.state, drawn(task("a"), mapped("m", "a"), task("end"), task("late", "m")), ["m[1]"], []) == [
        "late"
    ]


def test_the_plan_of_now_counts_inside_a_workflow_too() -> None:
    inner = Template(nodes=(task("one"), task("two")), last_nodes=("two",))
    scope = node(NodeKind.SCOPE, "w", "a", template="inner")
    hand = Hand(task("a"), scope, task("end"), templates={"inner": inner})
    hand.end("a")
    now = drawn(task("a"), scope, task("end", "w"), inner=Template(nodes=(task("one"), task("two", "one"))))
    assert also_now(hand.state, now, ["w/one"], []) == ["end", "w/two"]
