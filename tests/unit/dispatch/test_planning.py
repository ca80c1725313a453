from __future__ import annotations

import pytest

from twingraph.dispatch.embedded.options import PoolOptions
from twingraph.dispatch.embedded.planning import Pressure, may_hand_ahead, workers_to_start
from twingraph.executors.exits import ending_of

OPTIONS = PoolOptions(workers=8)


def pressure(**more: float) -> Pressure:
    usual = {"waiting": 4, "waited": 0.0, "workers": 2, "all_workers": 2, "starting": 0, "load": 0.0, "feeder": 0.0}
    return Pressure(**{**usual, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (pressure(workers=0, all_workers=0), 1),
        (pressure(workers=1, all_workers=1), 1),
        (pressure(), 0),
        (pressure(waited=0.06), 2),
        (pressure(waited=0.06, waiting=1), 1),
        (pressure(waited=0.06, load=1.7), 0),
        (pressure(waited=0.06, load=0.9), 1),
        (pressure(waited=0.06, starting=1), 1),
        (pressure(waited=0.06, starting=2), 0),
        (pressure(waited=0.06, load=0.9, feeder=0.85), 0),
        (pressure(waited=0.06, workers=8, all_workers=8), 0),
    ],
)
def test_growth(state: Pressure, expected: int) -> None:
    assert workers_to_start(state, OPTIONS, cores=2) == expected


def test_only_quick_workers_are_handed_a_lane_ahead() -> None:
    assert may_hand_ahead(1, 0.001, 0.0)
    assert not may_hand_ahead(2, 0.001, 0.0)
    assert not may_hand_ahead(1, None, 0.0)
    assert not may_hand_ahead(1, 0.001, 0.5)
    assert not may_hand_ahead(1, 0.5, 0.0)


@pytest.mark.parametrize(
    ("code", "status", "exit_code"), [(0, "crashed", 0), (3, "crashed", 3), (-11, "crashed", 139), (-9, "lost", 137)]
)
def test_endings(code: int, status: str, exit_code: int) -> None:
    ending = ending_of(code)
    assert (ending[0], ending[2]) == (status, exit_code)
