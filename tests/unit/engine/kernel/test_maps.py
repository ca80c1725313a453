"""Maps: children by key, in pages, nested, over workflows, and what their failures mean."""

import pytest

from tests.unit.engine.kernel.hand import ITEM, Hand, mapped, of, task
from twingraph.core import events as ev
from twingraph.core.plan import Template
from twingraph.engine.kernel import commands

PAIR = {"pair": Template(nodes=(task("a"), task("b", "a")), last_nodes=("b",))}
NESTED = {"nested": Template(nodes=(mapped("", template="item"),), last_nodes=("",))}


def test_items_are_named_by_their_keys() -> None:
    hand = Hand(mapped("m"), task("after", "m"))
    hand.expand("m", "x", "y")
    assert hand.running == ["m[x]", "m[y]"]
    hand.end("m[x]")
    hand.end("m[y]")
    assert hand.running == ["after"]


def test_an_empty_map_completes() -> None:
    hand = Hand(mapped("m"), task("after", "m"))
    hand.expand("m")
    assert hand.running == ["after"]


def test_a_map_waits_for_its_last_page() -> None:
    hand = Hand(mapped("m"))
    hand.feed(ev.MapExpanded("m", 1, 0, ("x",), last=False))
    hand.feed(ev.MapExpanded("m", 1, 1, ("y",), last=True))
    assert [child.index for child in hand.state.nodes["m"].children or ()] == [0, 1]
    assert hand.state.nodes["m"].pages == [(0, 4), (1, 5)]


def test_a_page_that_comes_twice_brings_nothing_new() -> None:
    hand = Hand(mapped("m"))
    for _ in range(2):
        hand.feed(ev.MapExpanded("m", 1, 0, ("x",), last=False))
    hand.feed(ev.MapExpanded("m", 1, 1, ("y",), last=True))
    assert len(hand.state.nodes["m"].children or ()) == 2


@pytest.mark.parametrize("keys", [("x", "x"), ("y", "x", "y")])
def test_a_key_for_two_items_fails_the_map(keys: tuple[str, ...]) -> None:
    hand = Hand(mapped("m"))
    hand.expand("m", *keys)
    assert hand.finish is not None
    assert hand.finish.error is not None
    assert hand.finish.error.code == "invalid_input"


def test_a_key_that_comes_again_on_a_later_page_ends_the_items() -> None:
    hand = Hand(mapped("m", keep=True), task("after", "m"), error_handler="continue")
    hand.feed(ev.MapExpanded("m", 1, 0, ("x",), last=False))
    told = hand.feed(ev.MapExpanded("m", 1, 1, ("x",), last=True))
    assert of(commands.CancelRuns, told) == [commands.CancelRuns(("m[x]",))]
    hand.end("m[x]", "cancelled")
    assert (hand.status("m"), hand.status("m[x]")) == ("failed", "cancelled")


def test_nested_maps_name_every_level() -> None:
    hand = Hand(mapped("m", template="nested"), templates=NESTED)
    hand.expand("m", "x")
    hand.expand("m[x]", "1", "2")
    hand.end("m[x][1]")
    hand.end("m[x][2]")
    assert hand.outcome == "completed"


def test_a_map_over_a_workflow_opens_a_scope_for_each_item() -> None:
    hand = Hand(mapped("m", template="pair"), templates=PAIR)
    hand.expand("m", "x", "y")
    assert hand.running == ["m[x]/a", "m[y]/a"]
    for name in ("m[x]/a", "m[y]/a", "m[x]/b", "m[y]/b"):
        hand.end(name)
    assert hand.outcome == "completed"


def test_items_of_a_workflow_without_nodes_are_over_at_once() -> None:
    hand = Hand(mapped("m", template="none"), templates={"none": Template(nodes=())})
    hand.expand("m", "x", "y")
    assert hand.outcome == "completed"


def test_an_item_that_fails_fails_everything() -> None:
    hand = Hand(mapped("m"))
    hand.expand("m", "x", "y")
    told = hand.end("m[x]", "failed")
    assert of(commands.CancelRuns, told) == [commands.CancelRuns(("m[y]",))]
    hand.end("m[y]", "cancelled")
    assert hand.outcome == "failed"


def test_kept_item_errors_let_the_others_go_on() -> None:
    hand = Hand(mapped("m", keep=True), task("after", "m"))
    hand.expand("m", "x", "y")
    hand.end("m[x]", "failed")
    hand.end("m[y]")
    assert hand.status("m") == "completed"
    assert hand.running == ["after"]


def test_kept_item_errors_cancel_the_rest_of_the_failed_item_only() -> None:
    wide = {"wide": Template(nodes=(task("a"), task("b"), task("c", "b")), last_nodes=("a", "c"))}
    hand = Hand(mapped("m", template="wide", keep=True), templates=wide)
    hand.expand("m", "x", "y")
    told = hand.end("m[x]/a", "failed")
    assert of(commands.CancelRuns, told) == [commands.CancelRuns(("m[x]/b",))]
    hand.end("m[x]/b", "lost")
    assert (hand.status("m[x]/b"), hand.status("m[x]/c")) == ("cancelled", "cancelled")
    for name in ("m[y]/a", "m[y]/b", "m[y]/c"):
        hand.end(name)
    assert (hand.status("m"), hand.outcome) == ("completed", "completed")


def test_a_kept_nested_map_ends_its_own_items_when_one_fails() -> None:
    hand = Hand(mapped("m", template="nested", keep=True), templates=NESTED)
    hand.expand("m", "x", "y")
    hand.expand("m[x]", "1", "2")
    told = hand.end("m[x][1]", "failed")
    assert of(commands.CancelRuns, told) == [commands.CancelRuns(("m[x][2]",))]
    hand.end("m[x][2]", "cancelled")
    hand.expand("m[y]")
    assert (hand.status("m[x]"), hand.outcome) == ("failed", "completed")


def test_what_is_cancelled_inside_a_nested_map_is_cancelled_to_the_bottom() -> None:
    deep = {"deep": Template(nodes=(task("a"), mapped("n", template="item")), last_nodes=("a", "n")), "item": ITEM}
    hand = Hand(mapped("m", template="deep", keep=True), templates=deep)
    hand.expand("m", "x")
    hand.expand("m[x]/n", "1")
    told = hand.end("m[x]/a", "failed")
    assert of(commands.CancelRuns, told) == [commands.CancelRuns(("m[x]/n[1]",))]
    hand.end("m[x]/n[1]", "cancelled")
    assert hand.outcome == "completed"


def test_a_map_that_tried_twice_does_not_remember_its_first_error() -> None:
    hand = Hand(mapped("m"), error_handler="retry")
    hand.end("m", "failed")
    hand.fire("node:m", after=10)
    hand.expand("m", "x")
    hand.end("m[x]")
    assert (hand.outcome, hand.state.nodes["m"].error) == ("completed", None)


def test_a_map_expanded_while_everything_ends_opens_nothing() -> None:
    hand = Hand(mapped("m"))
    hand.feed(ev.CancelRequested())
    hand.expand("m", "x")
    assert hand.statuses() == {"m": "cancelled"}
    assert hand.outcome == "cancelled"
