"""What is gone on with tells its log once more from its beginning: each line stands once all the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.by_hand import ByHand
from tests.support.conducting import echo, fresh_home, plan, task
from twingraph.dispatch.base import Begun, LogLines, Outcome
from twingraph.engine.handle import Handle
from twingraph.engine.retold import KnownLines, Line

MANY = 2_500


def said(*told: tuple[float, str]) -> list[Line]:
    return [(at, "info", "stdout", message) for at, message in told]


def known(*told: tuple[float, str]) -> KnownLines:
    lines = KnownLines()
    for at, _, stream, message in said(*told):
        lines.add(at, stream, message)
    return lines


def test_what_is_recorded_is_left_out_and_what_nobody_heard_is_not() -> None:
    lines = known((1.5, "a"), (1.6, "same"), (1.6, "same"), (3.0, "d"))
    told = said((1.5, "a"), (1.6, "same"), (1.6, "same"), (1.6, "same"), (2.0, "c"), (3.0, "d"), (4.0, "same"))
    assert lines.left_out_of(told) == said((1.6, "same"), (2.0, "c"), (4.0, "same"))


def test_a_line_without_a_time_is_known_by_its_text_as_often_as_that_is_recorded() -> None:
    lines = known((1.5, "same"), (1.7, "same"), (1.8, "other"))
    assert lines.left_out_of(said((0, "same"), (0, "new"), (0, "same"), (0, "same"))) == said((0, "new"), (0, "same"))
    assert lines.left_out_of([(1.8, "warning", "stderr", "other")]) != []


def test_a_text_that_no_database_takes_is_known_all_the_same() -> None:
    assert known((1.0, "\\udc80\\x00")).left_out_of(said((1.0, "\udc80\0"))) == []


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[ByHand]:
    home = fresh_home(tmp_path / "home")
    made = ByHand(home, echo)
    made.dispatch.hold = True
    yield made
    made.conductor.end()
    home.close()


def begin(by_hand: ByHand) -> Handle:
    handle = by_hand.submit(plan(task("n"), task("other")))
    by_hand.turns_until(lambda: len(by_hand.dispatch.waiting) == 2)
    return handle


def tell(by_hand: ByHand, handle: Handle, attempt: int, lines: Sequence[Line], again: tuple[int, int] | None) -> None:
    """As one that runs, and is then lost."""
    by_hand.dispatch.tell(Begun(handle.id, "n", attempt, 1.0, f"w-{attempt}", again))
    by_hand.dispatch.tell(LogLines(handle.id, "n", attempt, lines))
    by_hand.dispatch.tell(Outcome(handle.id, "n", attempt, "lost", 1.0, 2.0, begun=False))
    by_hand.turns_until(lambda: by_hand.dispatch.waiting[-1][1].attempt == attempt + 1)


def recorded(by_hand: ByHand, handle: Handle) -> list[str]:
    return [line.message for line in by_hand.records.logs(handle.id, limit=2 * MANY)]


def test_each_line_of_what_is_gone_on_with_stands_once_and_in_order(by_hand: ByHand) -> None:
    """More than one page of them; what the attempt between has said was another work's."""
    handle = begin(by_hand)
    lines = said(*((number + 1.0, f"line {number}") for number in range(MANY)), (MANY + 9.0, "same"))
    by_hand.dispatch.tell(LogLines(handle.id, "other", 1, lines[:1]))
    tell(by_hand, handle, 1, lines[: MANY - 1], None)
    tell(by_hand, handle, 2, said((MANY + 8.0, "same")), None)
    tell(by_hand, handle, 3, [*lines, *said((0, "same"))], (1, 1))
    expected = [line[3] for line in lines]
    assert recorded(by_hand, handle) == ["line 0", *expected[: MANY - 1], "same", *expected[MANY - 1 :], "same"]
    held = by_hand.conductor._roster.named(handle.id)
    assert held is not None
    assert held.retold == {}


def test_a_line_of_which_nobody_knows_when_it_was_said_bears_the_time_at_which_it_is_heard(by_hand: ByHand) -> None:
    handle = begin(by_hand)
    tell(by_hand, handle, 1, said((0, "new")), (1, 1))
    (line,) = by_hand.records.logs(handle.id)
    assert line.timestamp >= by_hand.records.record(handle.id).created_at
