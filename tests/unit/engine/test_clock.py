"""The machine's time jumps while executions run: no limit is used up by it, no wait grows, no time runs back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.conducting import SOON, Rig, over, plan, task, until_node, value
from twingraph.core.plan import NodeKind, PlanNode
from twingraph.core.records import Settings
from twingraph.core.statuses import NodeStatus
from twingraph.engine.clock import Clock

HOUR = 3600.0
JUMPS = pytest.mark.parametrize("jump", [HOUR, -HOUR, 100 * 365 * 24 * HOUR, -20 * 365 * 24 * HOUR])


class Day:
    """The time of the day, set by hand."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time


def test_the_clock_goes_on_when_the_day_jumps() -> None:
    day, steady = Day(), Day()
    clock = Clock(day, steady)
    day.time += HOUR
    steady.time += 2
    assert clock.now() == 1_700_000_002.0
    clock.adjust()
    assert clock.now() == 1_700_003_600.0


SLEEPS = plan(PlanNode(id="nap", kind=NodeKind.SLEEP, wait=0.2), task("after", "nap"))


def times(rig: Rig, execution: str) -> list[float]:
    return [row.at for row in rig.records.rows(execution, values=False)]


@JUMPS
def test_a_sleep_and_a_time_limit_last_what_they_say(tmp_path: Path, jump: float) -> None:
    day = Day()
    with Rig(tmp_path / "home", clock=Clock(day)) as rig:
        handle = rig.submit(SLEEPS, settings=Settings(max_parallel=10, timeout=5.0))
        assert handle.wait_recorded(SOON)
        until_node(rig, handle.id, "nap", NodeStatus.RUNNING)
        day.time += jump
        value(over(handle))
        found = times(rig, handle.id)
        assert found == sorted(found)
        assert found[-1] - found[0] < 5


@JUMPS
def test_what_is_taken_over_after_a_jump_goes_on_from_its_own_time(tmp_path: Path, jump: float) -> None:
    day = Day()
    with Rig(tmp_path / "home", clock=Clock(day)) as rig:
        handle = rig.submit(SLEEPS)
        assert handle.wait_recorded(SOON)
        until_node(rig, handle.id, "nap", NodeStatus.RUNNING)
        day.time += jump
        rig.crash()
        rig.more["clock"] = Clock(day)
        rig.start()
        value(over(rig.conductor.adopt(handle.id)))
        found = times(rig, handle.id)
        assert found == sorted(found)


def test_the_newest_is_the_one_begun_last_whatever_its_time(tmp_path: Path) -> None:
    day = Day()
    with Rig(tmp_path / "home", clock=Clock(day)) as rig:
        over(rig.submit(plan(task("a"))))
        day.time -= HOUR
        last = over(rig.submit(plan(task("a"))))
        assert rig.records.newest() == last.id
