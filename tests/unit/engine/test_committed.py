"""Whoever brings reports learns when they are written, and not before: it acknowledges them then."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tests.support.by_hand import ByHand
from tests.support.conducting import echo, fresh_home, plan, task
from twingraph.core.events import NodeEnded, event_from
from twingraph.dispatch.base import LogLines, Outcome, Report
from twingraph.engine.sizes import USUAL

MANY = 3_000


class Desk:
    """Notes what is reported, and what of it stands in the journal whenever it hears of a commit."""

    def __init__(self, folder: Path) -> None:
        self.home = fresh_home(folder / "home")
        self.by_hand = ByHand(self.home, echo, committed=self.committed)
        self.reported: list[tuple[str, str]] = []
        self.unwritten: list[set[str]] = []
        self.early: list[tuple[str, str]] = []
        self.missing: list[int] = []  # how many of them were not written, at each commit
        reports = self.by_hand.dispatch._report

        def report(said: Report) -> None:
            if isinstance(said, Outcome):
                self.reported.append((said.execution, said.node))
            reports(said)

        self.by_hand.dispatch._report = report

    def committed(self, unwritten: Collection[str]) -> None:
        self.unwritten.append(set(unwritten))
        missing = [one for one in self.reported if one not in self.written]
        self.missing.append(len(missing))
        self.early += [one for one in missing if one[0] not in unwritten]

    @property
    def written(self) -> set[tuple[str, str]]:
        found = set()
        for execution in {execution for execution, _ in self.reported}:
            for row in self.by_hand.records.rows(execution):
                event = event_from(row.kind, row.body)
                if isinstance(event, NodeEnded):
                    found.add((execution, event.node))
        return found

    def close(self) -> None:
        self.by_hand.conductor.end()
        self.home.close()


def test_what_is_reported_in_a_long_piece_of_work_is_told_as_written_once_it_is(tmp_path: Path) -> None:
    """Also the report that leads to it. What is about others is told meanwhile."""
    desk = Desk(tmp_path)
    by_hand = desk.by_hand
    by_hand.dispatch.hold = True
    waiting = (task(f"n{number}", "first") for number in range(MANY))
    large = by_hand.submit(plan(task("first"), task("other"), *waiting))
    by_hand.turns_until(lambda: len(by_hand.dispatch.waiting) == 2)
    by_hand.dispatch.let_one_go("first")
    held = by_hand.conductor._roster.named(large.id)
    assert held is not None
    by_hand.turns_until(lambda: held.waiting is not None)
    by_hand.dispatch.let_one_go("other")
    small = by_hand.submit(plan(task("small")))
    by_hand.turns_until(lambda: any(run.node == "small" for _, run in by_hand.dispatch.waiting))
    by_hand.dispatch.let_one_go("small")
    by_hand.turns_until(lambda: small.wait(0))
    assert held.waiting is not None
    by_hand.turns_until(lambda: held.waiting is None)
    by_hand.turns_until(lambda: not desk.unwritten[-1])
    assert desk.early == []
    assert max(desk.missing) == 2  # others were told that theirs are written
    assert set(desk.reported) == {(large.id, "first"), (large.id, "other"), (small.id, "small")} == desk.written
    desk.close()


def test_what_is_written_in_pieces_is_told_as_written_with_the_last(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    by_hand = desk.by_hand
    by_hand.dispatch.hold = True
    handle = by_hand.submit(plan(task("only")))
    by_hand.turns_until(lambda: bool(by_hand.dispatch.waiting))
    lines = [(0.0, "info", "stdout", str(number)) for number in range(3 * USUAL.rows)]
    by_hand.dispatch.tell(LogLines(handle.id, "only", 1, lines))
    by_hand.dispatch.let_go()
    by_hand.turns_until(lambda: handle.wait(0))
    assert desk.early == []
    assert desk.unwritten.count({handle.id}) >= 3
    assert max(desk.missing) == 1
    assert not desk.unwritten[-1]
    desk.close()
