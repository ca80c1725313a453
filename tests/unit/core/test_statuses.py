from __future__ import annotations

from enum import StrEnum

from twingraph.core.statuses import (
    EXECUTION_MEANING,
    EXECUTION_MOVES,
    EXECUTION_OVER,
    NODE_MEANING,
    NODE_MOVES,
    NODE_OVER,
    ExecutionStatus,
    NodeStatus,
)


def _reachable(start: StrEnum, moves: object) -> set[StrEnum]:
    seen, found = set(), [start]
    while found:
        status = found.pop()
        seen.add(status)
        found += [after for before, after in moves if before is status and after not in seen]  # type: ignore[attr-defined]
    return seen


def test_every_status_has_a_meaning() -> None:
    assert set(EXECUTION_MEANING) == set(ExecutionStatus)
    assert set(NODE_MEANING) == set(NodeStatus)


def test_every_status_can_be_reached() -> None:
    assert _reachable(ExecutionStatus.PENDING, EXECUTION_MOVES) == set(ExecutionStatus)
    assert _reachable(NodeStatus.PENDING, NODE_MOVES) == set(NodeStatus)


def test_nothing_leaves_a_status_that_is_over_and_everything_else_can_end() -> None:
    assert not {before for before, _ in EXECUTION_MOVES} & EXECUTION_OVER
    assert not {before for before, _ in NODE_MOVES} & NODE_OVER
    assert {before for before, _ in NODE_MOVES} | NODE_OVER == set(NodeStatus)


def test_statuses_are_found_in_tables_by_word_too() -> None:
    assert NODE_MEANING["failed"] == NODE_MEANING[NodeStatus.FAILED]  # type: ignore[index]
