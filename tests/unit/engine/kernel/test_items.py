"""Items that generators hand over while they still run."""

from tests.unit.engine.kernel.hand import Hand, mapped, node, of, task
from twingraph.core import events as ev
from twingraph.core.plan import NodeKind
from twingraph.engine.kernel import commands


def called() -> Hand:
    hand = Hand(driven=True)
    hand.call(task("g"))
    return hand


def give(hand: Hand, start: int, count: int, *, attempt: int = 1, name: str = "g") -> list[commands.PassItems]:
    return of(commands.PassItems, hand.feed(ev.ItemsGiven(name, attempt, start, count)))


def test_items_are_passed_to_the_body_that_called_the_generator() -> None:
    hand = called()
    assert give(hand, 0, 3) == [commands.PassItems("g", 0, 3, len(hand.journal), 0)]
    assert give(hand, 3, 2) == [commands.PassItems("g", 3, 2, len(hand.journal), 0)]
    assert (hand.state.nodes["g"].items, hand.status("g")) == (5, "running")


def test_items_that_came_before_are_not_passed_again() -> None:
    hand = called()
    give(hand, 0, 3)
    hand.end("g", "lost")
    assert give(hand, 0, 2, attempt=2) == []
    assert give(hand, 2, 3, attempt=2) == [commands.PassItems("g", 3, 2, len(hand.journal), 1)]
    assert hand.state.nodes["g"].given == [(0, 4, 0), (3, len(hand.journal), 1)]


def test_items_of_an_attempt_that_is_over_are_refused() -> None:
    hand = called()
    hand.end("g", "lost")
    assert give(hand, 0, 3, attempt=1) == []
    assert hand.state.nodes["g"].items == 0


def test_items_after_a_gap_wait_for_the_outcome() -> None:
    hand = called()
    assert give(hand, 2, 3) == []
    assert hand.state.nodes["g"].items == 0


def test_an_empty_page_only_says_that_the_generator_has_begun() -> None:
    hand = called()
    assert give(hand, 0, 0) == []
    assert (hand.status("g"), hand.state.nodes["g"].given) == ("running", None)


def test_items_in_a_drawn_workflow_are_kept_and_passed_to_nobody() -> None:
    hand = Hand(task("g"))
    assert give(hand, 0, 3) == []
    assert hand.state.nodes["g"].items == 3


def test_nobody_is_given_items_when_the_body_has_returned() -> None:
    hand = called()
    hand.feed(ev.GraphClosed())
    assert give(hand, 0, 3) == []


def test_a_list_that_a_map_waits_for_has_items_and_pages() -> None:
    hand = Hand(mapped("m"))
    give(hand, 0, 2, name="m")
    hand.expand("m", "x", "y")
    assert hand.state.nodes["m"].pages == [(0, len(hand.journal))]
    assert hand.state.nodes["m"].given == [(0, len(hand.journal) - 1, 0)]


def test_items_in_a_sub_pipeline_go_to_its_own_body() -> None:
    hand = Hand(driven=True)
    hand.call(node(NodeKind.SCOPE, "sub"))
    hand.call(task("g"), "sub")
    assert give(hand, 0, 1, name="sub/g") == [commands.PassItems("sub/g", 0, 1, len(hand.journal), 0)]
