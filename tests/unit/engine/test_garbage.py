"""Looking for garbage costs what is new, not what is there; and all is as it was when the large execution is over."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from twingraph.engine import garbage
from twingraph.engine.garbage import Garbage

MANY = garbage.LARGE + 1


class Counted:
    """Stands for the module `gc`."""

    def __init__(self, *, enabled: bool = True, frozen: int = 0) -> None:
        self.callbacks: list[Any] = []
        self.enabled, self.frozen, self.fresh = enabled, frozen, 100
        self.collected: list[int] = []  # which generations
        self.unfrozen = 0  # how often
        self.dropped = 0  # of what is frozen, or was
        self.counted = 0  # objects, one by one
        self.searched = 0  # of what is fresh
        self.threshold = (700, 10, 10)

    def isenabled(self) -> bool:
        return self.enabled

    def collect(self, generation: int = 2, /) -> int:
        self.collected.append(generation)
        return 0

    def freeze(self) -> None:
        self.frozen, self.fresh, self.searched = self.frozen + self.fresh, 0, 0

    def unfreeze(self) -> None:
        self.unfrozen += 1
        self.frozen, self.fresh, self.searched = 0, self.frozen + self.fresh, self.frozen + self.searched

    def get_freeze_count(self) -> int:
        self.counted += self.frozen
        return self.frozen

    def blocks(self) -> int:
        return garbage.BLOCKS_OF_AN_OBJECT * (self.frozen + self.fresh)

    def get_count(self) -> tuple[int, int, int]:
        return max(0, self.fresh - self.searched), 0, 0

    def get_threshold(self) -> tuple[int, int, int]:
        return self.threshold

    def set_threshold(self, threshold0: int, threshold1: int = 10, threshold2: int = 10, /) -> None:
        self.threshold = threshold0, threshold1, threshold2

    def look(self, generation: int = 2) -> None:
        collected = 0
        for phase in ("start", "stop"):
            for called in list(self.callbacks):
                called(phase, {"generation": generation, "collected": collected})
            if phase == "start":
                if not self.frozen:
                    collected, self.dropped = self.dropped, 0
                    self.fresh -= collected
                self.searched = self.fresh


def test_what_was_there_and_what_was_looked_through_is_left_out_while_a_large_execution_is_held() -> None:
    """All that is there is never looked through at once, only what came last."""
    counted = Counted()
    watched = Garbage(counted, counted.blocks)
    watched.holds(1, MANY)
    assert (counted.collected, counted.frozen, counted.fresh) == ([1, 2], 100, 0)
    counted.fresh += 30
    counted.look(generation=1)
    assert counted.frozen == 100
    counted.look()
    assert (counted.frozen, counted.fresh, counted.unfrozen) == (130, 0, 0)


def test_all_is_as_it_was_when_the_last_large_one_is_gone() -> None:
    counted = Counted()
    watched = Garbage(counted, counted.blocks)
    for number in (1, 2, 2):
        watched.holds(number, MANY)
    counted.look()
    watched.drops(1)
    assert counted.frozen
    watched.drops(2)
    watched.drops(3)
    assert (counted.frozen, counted.fresh, counted.callbacks, counted.threshold) == (0, 100, [], (700, 10, 10))
    watched.holds(4, MANY)
    assert counted.callbacks


def test_small_executions_change_nothing() -> None:
    counted = Counted()
    Garbage(counted, counted.blocks).holds(1, garbage.LARGE)
    assert (counted.callbacks, counted.threshold) == ([], (700, 10, 10))


@pytest.mark.parametrize("counted", [Counted(enabled=False), Counted(frozen=7_000)], ids=["disabled", "frozen"])
def test_who_minds_the_collector_himself_is_left_alone(counted: Counted) -> None:
    watched = Garbage(counted, counted.blocks)
    before = counted.frozen
    watched.holds(1, MANY)
    counted.look()
    watched.drops(1)
    assert (counted.callbacks, counted.threshold, counted.frozen) == ([], (700, 10, 10), before)


def test_what_was_dropped_after_a_look_is_found_once_it_may_be_half_of_all() -> None:
    counted = Counted()
    counted.fresh = 100_000
    watched = Garbage(counted, counted.blocks)
    watched.holds(1, MANY)
    counted.look()
    most = 0
    for _ in range(50):  # small executions that end, and leave circles
        counted.fresh += 30_000
        counted.look()
        counted.dropped += 30_000
        most = max(most, counted.frozen)
    assert 200_000 < most < 330_000
    assert counted.dropped < 230_000
    watched.drops(1)
    assert counted.frozen == 0


def looks(counted: Counted, watched: Garbage, nodes: int, objects: int) -> int:
    """How often all is looked through while an execution grows by so many nodes with so many objects each."""
    before = counted.unfrozen
    for more in range(0, nodes, 1_000):
        watched.holds(1, MANY + more)
        counted.fresh += 1_000 * objects
        counted.look()
    return counted.unfrozen - before


def test_an_execution_that_grows_is_not_looked_through_again_and_again() -> None:
    counted = Counted()
    counted.fresh = 50_000
    watched = Garbage(counted, counted.blocks)
    assert looks(counted, watched, 500_000, 12) == 0
    assert looks(counted, watched, 500_000, 100) > 1  # that is more than its nodes are


def test_what_is_left_out_is_not_counted_at_each_look() -> None:
    """Python counts one object after another: among 100,000 nodes that was as much as a third of their cost."""
    counted = Counted()
    watched = Garbage(counted, counted.blocks)
    for look in range(100):
        watched.holds(1, MANY + 1_500 * look)
        counted.fresh += 21_000
        watched.drops(1_000 + look)  # a small one beside it
        counted.look()
    assert counted.frozen == 2_100_100
    assert counted.counted == 0


def test_what_small_searches_saw_is_summed_up_too() -> None:
    counted = Counted()
    watched = Garbage(counted, counted.blocks)
    watched.holds(1, MANY)
    for look in range(2_000):
        counted.fresh += 100
        counted.look(generation=2 if look % 100 == 99 else 0)
    assert counted.frozen + counted.fresh == 200_100
    assert counted.unfrozen == 2  # each time that it is twice as much


def test_what_comes_and_goes_leads_to_few_counts_and_to_no_look_at_all() -> None:
    """The sum does not go down; what is counted does."""
    counted = Counted()
    counted.fresh = 100_000
    watched = Garbage(counted, counted.blocks)
    watched.holds(1, MANY)
    for _ in range(100):
        counted.fresh += 20_000
        counted.look()
        counted.frozen -= 20_000  # in use then, and freed since
    assert counted.unfrozen == 0
    assert counted.counted < 25 * 100_000


def test_the_searches_of_what_is_new_are_short_whatever_the_first_thresholds() -> None:
    """Those of Python 3.11 and 3.13."""
    for first, most in ((700, 2), (2_000, 0)):
        counted = Counted()
        counted.threshold = first, 10, 10
        Garbage(counted, counted.blocks).holds(1, MANY)
        assert counted.threshold == (first, 10, most)


def test_what_is_being_made_is_left_out_unseen() -> None:
    counted = Counted()
    watched = Garbage(counted, counted.blocks)
    watched.makes(1, MANY)
    counted.fresh += 5_000
    watched.makes(1, MANY + 1_000)
    assert (counted.frozen, counted.fresh, counted.unfrozen) == (5_100, 0, 0)


def test_garbage_that_was_there_before_is_found_once_as_much_has_come() -> None:
    counted = Counted()
    counted.fresh, counted.dropped = 100_000, 20_000
    watched = Garbage(counted, counted.blocks)
    watched.holds(1, MANY)
    while counted.dropped and counted.frozen < 500_000:
        counted.fresh += 10_000
        counted.look()
    assert counted.dropped == 0
    assert counted.frozen < 250_000


def test_while_a_small_one_is_made_nothing_changes() -> None:
    counted = Counted()
    Garbage(counted, counted.blocks).makes(1, garbage.LARGE)
    assert (counted.frozen, counted.callbacks) == (0, [])


def test_what_a_large_one_left_behind_is_found_beside_another() -> None:
    counted = Counted()
    watched = Garbage(counted, counted.blocks)
    assert looks(counted, watched, 100_000, 8) == 0
    watched.holds(2, MANY)
    watched.drops(1)
    counted.dropped = 700_000
    counted.look()
    assert counted.dropped == 0


def test_thresholds_that_a_script_sets_meanwhile_stay() -> None:
    counted = Counted()
    watched = Garbage(counted, counted.blocks)
    watched.holds(1, MANY)
    counted.set_threshold(50_000, 20, 20)
    watched.drops(1)
    assert counted.threshold == (50_000, 20, 20)


@pytest.mark.parametrize("emptied", [False, True])
def test_the_end_leaves_nothing_whatever_is_held(emptied: bool) -> None:
    """As in a forked child. A script may have emptied the list of callbacks."""
    counted = Counted()
    watched = Garbage(counted, counted.blocks)
    for number in (1, 2):
        watched.holds(number, MANY)
    counted.look()
    if emptied:
        counted.callbacks.clear()
    assert watched.in_force
    watched.end()
    assert (watched.in_force, counted.frozen, counted.callbacks) == (False, 0, [])
    assert counted.threshold == (700, 10, 10)


def test_a_look_that_another_thread_ends_too_late_freezes_nothing() -> None:
    counted = Counted()
    watched = Garbage(counted, counted.blocks)
    watched.holds(1, MANY)
    late = counted.callbacks[0]
    late("start", {"generation": 2, "collected": 0})
    watched.drops(1)
    late("stop", {"generation": 2, "collected": 0})
    assert counted.frozen == 0


class Loop:
    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def watched() -> Iterator[Garbage]:
    """With the real collector."""
    made = Garbage()
    yield made
    made.drops(1)
    assert gc.get_freeze_count() < 1_000  # Python 3.12 leaves out some hundred by itself


def test_garbage_of_the_script_is_still_found(watched: Garbage) -> None:
    """That which is dropped before anybody looked, at once; else when the execution is over."""
    watched.holds(1, MANY)
    old = Loop()
    gc.collect()
    assert gc.get_freeze_count()
    young = Loop()
    seen = [weakref.ref(young), weakref.ref(old)]
    del young, old
    gc.collect()
    assert [ref() is None for ref in seen] == [True, False]
    watched.drops(1)
    gc.collect()
    assert seen[1]() is None


@pytest.mark.only_where(hasattr(os, "fork"), "this platform does not fork")
def test_a_forked_child_minds_no_collector(tmp_path: Path) -> None:
    """Its parent holds a large execution, and goes on minding it."""
    script = tmp_path / "script.py"
    script.write_text(FORKS, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.stdout.split("\n")[:2] == ["child True 0 0", "parent True 1"], done.stderr


FORKS = f"""
import gc, os
from twingraph.wiring.registry import runtime

def stands():
    return gc.get_threshold() == usual

usual = gc.get_threshold()
conductor = runtime("home").conductor
conductor.garbage.holds(1, {MANY})
gc.collect()
child = os.fork()
if not child:
    print("child", stands(), len(gc.callbacks), gc.get_freeze_count(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print("parent", gc.get_freeze_count() > 0, len(gc.callbacks))
"""


@pytest.fixture
def made() -> Iterator[list[object]]:
    """With the search switched off."""
    gc.disable()
    yield [[] for _ in range(10)]
    gc.unfreeze()
    gc.enable()


def is_old(one: object) -> bool:
    return any(one is other for other in gc.get_objects(generation=2))


def test_what_was_just_made_and_is_in_use_is_not_looked_through_as_new(made: list[object]) -> None:
    assert not is_old(made)
    garbage.grow_old()
    assert is_old(made)


def test_what_others_have_frozen_stays_so(made: list[object]) -> None:
    gc.freeze()
    garbage.grow_old()
    assert gc.get_freeze_count() > 0
    assert not is_old(made)
