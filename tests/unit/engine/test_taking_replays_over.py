"""A replay that is taken over keeps what it kept: the execution that this stands in is read in many turns."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.by_hand import ByHand
from tests.support.conducting import echo, fresh_home, plan, task
from twingraph.core.errors import NotFoundError
from twingraph.core.execution import ExecutionRecord
from twingraph.core.records import Changes
from twingraph.engine.folding import PIECE
from twingraph.engine.held import Keeping
from twingraph.engine.recorded import PAGE, Recorded
from twingraph.engine.replay import keeping, kept
from twingraph.store.base import Row
from twingraph.store.blobs.memory import MemoryBlobs
from twingraph.store.sqlite.records import SqliteRecords

MANY = 3_000


def test_a_replay_is_taken_over_in_many_turns_and_others_go_on_between(tmp_path: Path) -> None:
    home = fresh_home(tmp_path / "home")
    before = ByHand(home, echo)
    flow = plan(*(task(f"n{number}") for number in range(MANY)), task("end"))
    first = before.submit(flow, parallel=1_000)
    before.turns_until(lambda: first.wait(0))
    changes = Changes(anew=("end",))
    known = kept(Recorded(before.records, first.id, MemoryBlobs()), changes)
    replay = before.submit(flow, replay_of=first.id, changes=changes, kept=known)
    before.turns_until(lambda: replay.wait_recorded(0))
    held = before.conductor._roster.named(replay.id)
    assert held is not None
    before.conductor._leaving.give_up(held, RuntimeError("as if it had died"))
    old: list[Recorded] = []

    def kept_of(execution: str, changes: Changes | None, given: Sequence[str], grown: Callable[[int], None]) -> Keeping:
        old.append(Recorded(after.records, execution, MemoryBlobs(), by_and_by=True))
        return (yield from keeping(old[0], changes, given, grown))

    after = ByHand(home, echo, kept_of=kept_of)
    again, small = after.conductor.adopt(replay.id), after.submit(plan(task("small")))
    read, recorded = [0], list[int]()

    def look() -> None:
        read.append(len(old[0].outcomes) if old else 0)
        if small.wait_recorded(0) and not recorded:
            recorded.append(read[-1])

    after.turns_until(lambda: again.wait_recorded(0), look)
    assert max(now - then for then, now in itertools.pairwise(read)) <= 2 * PIECE
    assert recorded
    assert recorded[0] < MANY / 2
    assert not old[0].state.nodes  # nobody needs them any more
    after.turns_until(lambda: again.wait(0))
    assert again.status == "completed"
    assert {node for node, _ in after.dispatch.begun} == {"end", "small"}
    for by_hand in (before, after):
        by_hand.conductor.end()
    home.close()


class Pruned(SqliteRecords):
    """The execution goes once the first page of it was read."""

    gone = False

    def rows(self, execution_id: str, after: int = 0, *, values: bool = True, limit: int | None = None) -> list[Row]:
        found = [] if self.gone else super().rows(execution_id, after, values=values, limit=limit)
        self.gone = True
        return found

    def record(self, execution_id: str) -> ExecutionRecord:
        return super().record("exec-nobody" if self.gone else execution_id)


def test_of_what_is_pruned_while_it_is_read_nothing_is_kept(tmp_path: Path) -> None:
    home = fresh_home(tmp_path / "home")
    by_hand = ByHand(home, echo)
    first = by_hand.submit(plan(*(task(f"n{number}") for number in range(PAGE))), parallel=1_000)
    by_hand.turns_until(lambda: first.wait(0))
    reading = Recorded(Pruned(home), first.id, MemoryBlobs(), by_and_by=True).reading()
    with pytest.raises(NotFoundError):
        for _ in reading:
            pass
    by_hand.conductor.end()
    home.close()
