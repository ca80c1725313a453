"""Lanes and the memory that a worker may use."""

from __future__ import annotations

import pytest

from twingraph.dispatch.base import RunSettings
from twingraph.dispatch.celery.room import LOOK_SECONDS, NoRoomError, Room


def says(memory: str | None = None, platform: str = "local") -> RunSettings:
    needs = {"memory": memory} if memory else {}
    return RunSettings(component="c", entry="c", platform=platform, resources=needs)


class Machine:
    def __init__(self, most: int | None) -> None:
        self.now, self.used, self.looks = 0.0, 0, 0
        self.room = Room(most, self.look, lambda: self.now, patience=5.0)

    def look(self) -> int:
        self.looks += 1
        return self.used


def test_without_a_limit_nothing_is_looked_at() -> None:
    machine = Machine(None)
    assert all(machine.room.take(f"l{number}", says("8G")) for number in range(100))
    assert machine.looks == 0


def test_lanes_begin_as_far_as_what_they_need_goes() -> None:
    machine = Machine(1000)
    assert machine.room.take("a", says("600"))
    assert not machine.room.take("b", says("600"))
    assert machine.room.take("c", says("400")) is False, "the one before it has its turn first"
    machine.room.give_back("a")
    assert machine.room.take("b", says("600"))
    assert machine.room.take("c", says("400"))


def test_what_processes_really_hold_counts_where_it_is_more() -> None:
    machine = Machine(1000)
    assert machine.room.take("a", says())
    machine.used, machine.now = 1001, 2 * LOOK_SECONDS
    assert not machine.room.take("b", says())
    machine.used, machine.now = 900, 4 * LOOK_SECONDS
    assert machine.room.take("b", says())


def test_the_look_is_good_for_a_while() -> None:
    machine = Machine(1000)
    machine.room.take("a", says())
    for _ in range(50):
        machine.room.take("b", says("1000"))
    assert machine.looks == 1


def test_containers_count_beside_what_processes_hold() -> None:
    machine = Machine(1000)
    machine.used = 500
    assert machine.room.take("a", says("400", "docker"))
    assert not machine.room.take("b", says("200"))


def test_one_lane_runs_also_where_idle_processes_hold_too_much() -> None:
    machine = Machine(1000)
    machine.used = 5000
    assert machine.room.take("a", says("900"))


def test_what_no_worker_of_this_size_can_run_is_told_with_the_way_out() -> None:
    with pytest.raises(NoRoomError, match=r"2000 bytes .*--max-memory.* labels=\{'queue': NAME\}"):
        Machine(1000).room.take("a", says("2000"))


def test_what_has_waited_for_long_had_better_go_elsewhere() -> None:
    machine = Machine(1000)
    machine.room.take("a", says("1000"))
    machine.room.take("b", says("1000"))
    assert not machine.room.was_long("b")
    machine.now = 5.1
    assert machine.room.was_long("b")
    machine.room.give_back("b")
    machine.room.give_back("a")
    assert machine.room.take("c", says("1000")), "who went waits for nothing any more"
