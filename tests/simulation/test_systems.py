"""Whole systems: the gate's share of the histories; `make soak` lives them all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

import pytest

from tests.simulation.promises import Broken
from tests.simulation.system.store import ProcessJournal
from tests.simulation.system.world import System
from twingraph.core.statuses import ExecutionStatus
from twingraph.store.base import Append


def live_through(seeds: Iterable[int]) -> None:
    for seed in seeds:
        System(seed).live()


@pytest.mark.parametrize("first", range(0, 1000, 50))
def test_every_promise_holds_in_fifty_histories(first: int) -> None:
    live_through(range(first, first + 50))


@pytest.mark.soak
def test_every_promise_holds_in_ten_thousand_histories() -> None:
    live_through(range(10_000))


def test_the_histories_reach_every_ending_and_every_kind_of_trouble() -> None:
    kinds: Counter[str] = Counter()
    endings: Counter[str] = Counter()
    said: Counter[str] = Counter()
    for seed in range(150):
        system = System(seed)
        system.live()
        for known in system.store.by_id.values():
            endings[known.shadow.status] += 1
            kinds.update(row.kind for row in known.rows)
        for trouble in (
            "dies",
            "sleeps",
            "refused",
            "the store fails",
            "told that",
            "takes",
            "clock",
            "Ctrl-C",
            "frees",
            "gets",
        ):
            said[trouble] += any(trouble in what for _, _, what in system.story)
    assert set(endings) == {ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}
    assert len(kinds) >= 18
    assert len(said) == 10
    assert min(said.values()) >= 2, said


def test_a_history_is_the_same_under_another_hash_seed() -> None:
    stories = set()
    for hash_seed in ("1", "2"):
        line = [sys.executable, "-m", "tests.simulation", "7"]
        told = subprocess.run(line, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, check=True)
        stories.add(told.stdout)
    assert len(stories) == 1


class LyingJournal(ProcessJournal):
    """Says that an end was written, and has not written it."""

    def append(self, batch: Sequence[Append]) -> set[int]:
        return set() if any("completed_at" in part.changes for part in batch) else super().append(batch)


def test_a_defect_is_told_with_its_story_and_its_seed_and_is_played_again() -> None:
    told = []
    for _ in range(2):
        with pytest.raises(
            Broken, match=r"(?s)counts as written, and is not.*again: python -m tests.simulation 3$"
        ) as broken:
            System(3, LyingJournal).live()
        told.append(str(broken.value))
    assert told[0] == told[1]
    assert " c1 " in told[0]  # who did what, and when
