"""When processes are started, replaced and sent home: with made-up processes and a clock that is moved by hand."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.unit.dispatch.test_handing_out import CODE, FakeWorker
from twingraph.dispatch.base import Lane, NodeRun, RunSettings
from twingraph.dispatch.embedded.group import Group
from twingraph.dispatch.embedded.options import PoolOptions
from twingraph.dispatch.embedded.pool import EmbeddedPool
from twingraph.dispatch.embedded.process import WorkerProcess

CORES = 4


class Worker(FakeWorker):
    """Is idle until it is given something, and ends when it is killed."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(ready=True)
        self._scene = scene
        self.idle_since = scene.now
        self.captured = ()
        self.memory = 0
        self.marks = self

    since = 0.0

    def kill(self) -> None:
        self._scene.group.workers.remove(cast("WorkerProcess", self))

    def end_one(self) -> None:
        del self.pending[next(iter(self.pending))]
        self.runs += 1
        self.idle_since = self._scene.now
        self._scene.pool._staff.replace_if_due(self._scene.group, cast("WorkerProcess", self))


class Load:
    """What the processes use, as the test says."""

    cores = feeder = 0.0

    def look(self, pids: object) -> None: ...
    def begin(self, pid: int) -> None: ...


class Loop:
    """Nothing happens later."""

    def call_soon(self, *_: object) -> None: ...
    def time(self) -> float:
        return 0.0

    def call_at(self, *_: object) -> Any:
        return None


class Scene:
    def __init__(self, **options: Any) -> None:
        self.now = 1000.0
        self.started = 0
        self.pool = EmbeddedPool(PoolOptions(**{"workers": 8, **options}), "", None, clock=lambda: self.now)
        self.load = Load()
        staff = self.pool._staff
        staff._load = cast("Any", self.load)
        staff._cores = CORES
        staff._start = self._start  # type: ignore[method-assign]
        self.pool._loop = self.pool._rounds._loop = cast("Any", Loop())
        self.group: Group = staff.of(CODE)

    def workers(self) -> list[object]:
        return list(self.group.workers)

    def _start(self, group: Group) -> None:
        group.starting += 1
        self.started += 1

    def arrive(self) -> Worker:
        """A process that was started is ready."""
        self.group.starting = max(0, self.group.starting - 1)
        worker = Worker(self)
        self.group.workers.append(cast("WorkerProcess", worker))
        self.pool._staff.ready(self.group, cast("WorkerProcess", worker))
        return worker

    def submit(self, *nodes: str) -> None:
        settings = RunSettings(component="inc", entry="m:inc")
        for node in nodes:
            self.pool.submit(Lane(1, "x", CODE, settings, [NodeRun(node, 1, [])]))
        self.pool._pump()

    def after(self, seconds: float) -> int:
        """So much later: how many processes have been started in all."""
        self.now += seconds
        self.pool._rounds._timer = None
        for worker in self.group.workers:
            if not worker.pending:
                self.pool._staff.end_if_idle(worker, self.now)
        self.pool._pump()
        return self.started


def busy(scene: Scene, count: int) -> list[Worker]:
    workers = [scene.arrive() for _ in range(count)]
    scene.submit(*[f"busy{number}" for number in range(count)])
    assert all(worker.pending for worker in workers)
    return workers


def test_the_first_two_are_started_at_once() -> None:
    scene = Scene()
    scene.submit("a", "b", "c")
    assert scene.started == 1
    scene.arrive()
    assert scene.after(0) == 2


def test_a_third_is_started_when_work_has_waited_fifty_milliseconds() -> None:
    scene = Scene()
    busy(scene, 2)
    scene.submit("waits")
    assert scene.after(0.049) == 0
    assert scene.after(0.002) == 1


@pytest.mark.parametrize(("load", "started"), [(0.79, 1), (0.81, 0)])
def test_and_only_while_less_than_four_fifths_of_the_cores_are_used(load: float, started: int) -> None:
    scene = Scene()
    busy(scene, 2)
    scene.load.cores = load * CORES
    scene.submit("waits")
    assert scene.after(0.1) == started


def test_it_grows_with_what_waits_up_to_the_limit() -> None:
    scene = Scene(workers=5)
    busy(scene, 2)
    scene.submit(*[f"waits{number}" for number in range(20)])
    assert scene.after(0.06) == 3


def test_idle_ones_end_after_sixty_seconds_but_for_one() -> None:
    scene = Scene()
    for _ in range(4):
        scene.arrive()
    scene.after(59.9)
    assert len(scene.group.workers) == 4
    for _ in range(4):
        scene.after(0.1)
    assert len(scene.group.workers) == 1


def test_one_that_works_now_and_then_stays() -> None:
    scene = Scene()
    kept, _ = scene.arrive(), scene.arrive()
    for _ in range(3):
        scene.after(40)
        scene.submit("now and then")
        kept.end_one()
    assert scene.workers() == [kept]


def test_a_successor_is_ready_before_the_old_one_goes() -> None:
    scene = Scene(runs_per_worker=2)
    old = scene.arrive()
    for node in ("a", "b"):
        scene.submit(node)
        old.end_one()
    assert scene.started == 1
    scene.submit("c")
    assert old.given == ["a", "b", "c"]
    new = scene.arrive()
    assert old.retired
    scene.submit("d")
    assert new.given == ["d"]
    assert scene.workers() == [old, new]
    old.end_one()
    assert scene.workers() == [new]


def test_one_that_holds_too_much_memory_is_replaced_while_it_is_idle() -> None:
    scene = Scene(bytes_per_worker=100)
    old = scene.arrive()
    scene.submit("a")
    old.memory = 101
    old.end_one()
    assert scene.started == 1
    assert scene.workers() == [old]
    new = scene.arrive()
    assert scene.workers() == [new]
