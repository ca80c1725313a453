"""Every row of the table in three ways: live, killed around every commit, and with its body let go at every wait."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from tests.pipelines import ways
from tests.pipelines.ways import Seen

RECORDED = Path(__file__).parents[1] / "pipelines" / "recorded.json"
rows = pytest.mark.parametrize("name", ways.rows())


@cache
def live(name: str) -> Seen:
    return ways.live(ways.rows()[name])


@rows
def test_live_it_is_the_plain_program(name: str) -> None:
    case, seen = ways.rows()[name], live(name)
    outcome, lines = ways.plainly(name)
    assert seen.outcome == outcome
    if case.eager:
        assert not [line for line in lines if line not in seen.lines]
    elif case.twin is None:
        assert seen.lines == lines


@rows
def test_its_nodes_are_those_of_the_record(name: str) -> None:
    """They are promises to executions that wait: a replay finds its calls by them."""
    assert live(name).nodes == json.loads(RECORDED.read_text("utf-8"))[name]


@rows
def test_killed_around_every_commit_it_comes_to_the_same(name: str) -> None:
    case, seen = ways.rows()[name], live(name)
    for commits in ways.every_commit(seen):
        again = ways.resumed(seen, case, commits)
        assert again.same == seen.same, f"killed after commit {commits}"
        left = ways.left_to_do(seen, commits)
        if case.eager:  # what a failure cancels may have run or not
            assert ways.done(seen, commits).isdisjoint(again.effects), f"killed after commit {commits}"
        else:
            assert again.effects == left, f"killed after commit {commits}"


@rows
def test_killed_after_every_commit_in_one_life_it_comes_to_the_same(name: str) -> None:
    case, seen = ways.rows()[name], live(name)
    again = ways.dying(case)
    assert again.same == seen.same


@rows
def test_let_go_at_every_wait_it_comes_to_the_same(name: str) -> None:
    case, seen = ways.rows()[name], live(name)
    again = ways.live(case, evict=True)
    assert (again.same, again.lines) == (seen.same, seen.lines)
