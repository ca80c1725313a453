"""The gate's share of the simulated lives; `make soak` lives them all."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.world import World
from twingraph.core.statuses import ExecutionStatus


@pytest.mark.parametrize("first", range(0, 300, 30))
def test_every_promise_holds_in_thirty_lives(first: int) -> None:
    for seed in range(first, first + 30):
        World(seed).live()


@pytest.mark.soak
def test_every_promise_holds_in_ten_thousand_lives() -> None:
    for seed in range(10_000):
        World(seed).live()


def test_the_worlds_reach_every_ending_and_most_kinds_of_event() -> None:
    worlds = [World(seed) for seed in range(100)]
    for world in worlds:
        world.live()
    assert {world.state.status for world in worlds} >= {
        ExecutionStatus.COMPLETED,
        ExecutionStatus.FAILED,
        ExecutionStatus.CANCELLED,
    }
    kinds = {type(event) for world in worlds for event, _ in world.journal}
    assert len(kinds) >= 18


def test_a_seed_tells_the_same_story_under_another_hash_seed() -> None:
    stories = set()
    for hash_seed in ("1", "2"):
        line = [sys.executable, "-m", "tests.simulation", "--kernel", "5"]
        told = subprocess.run(line, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, check=True)
        stories.add(told.stdout)
    assert len(stories) == 1
