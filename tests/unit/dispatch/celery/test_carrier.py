"""What a worker does with lanes, wishes and the reports of its pool; broker, pool and machine are doubles."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from twingraph.core.errors import PermanentError
from twingraph.dispatch.base import CodeRef, Dispatch, Lane, NodeRun, Outcome, Report, Returned, RunSettings
from twingraph.dispatch.celery.carrier import Carrier
from twingraph.dispatch.celery.messages import (
    LANE,
    WISHES,
    Claim,
    Misdirected,
    Offer,
    Taken,
    Wish,
    Word,
    lane_text,
    wishes_text,
)
from twingraph.dispatch.celery.room import Room
from twingraph.dispatch.celery.signing import Seal

SEAL = Seal(b"key")
CODE = CodeRef(version="v", bundle_path="", interpreter="", working_dir="", description="{}")


class Said:
    """An outbox whose broker takes everything at once."""

    def __init__(self) -> None:
        self.words: list[tuple[str, Word]] = []
        self.away = False

    def start(self) -> None: ...

    def close(self, timeout: float) -> None: ...

    def say(self, desk: str, said: Word) -> None:
        self.words.append((desk, said))

    def after(self, desk: str, act: Callable[[], None]) -> None:
        if not self.away:
            act()

    def of(self, kind: type) -> list[Any]:
        return [said for _, said in self.words if type(said) is kind]


class Pool:
    """It begins what it is given and ends nothing by itself."""

    def __init__(self) -> None:
        self.faults: list[str] = []  # methods that raise, once
        self.lanes: list[Lane] = []
        self.report: Callable[[Report], None]

    async def start(self, report: Callable[[Report], None]) -> None:
        self._fault("start")
        self.report = report

    def _fault(self, method: str) -> None:
        if method in self.faults:
            self.faults.remove(method)
            raise OSError(f"{method}: no room")

    def submit(self, lane: Lane) -> None:
        self._fault("submit")
        self.lanes.append(lane)

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        runs = [(run.node, run.attempt) for lane in self.lanes for run in lane.runs if run.node in (nodes or ())]
        self.report(Returned(execution, runs))

    def cancel(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        self._fault("cancel")
        for lane in self.lanes:
            for run in lane.runs:
                if run.node in (nodes or ()):
                    self.end(run, "cancelled")

    def end(self, run: NodeRun, status: str = "completed") -> None:
        self.report(Outcome("e", run.node, run.attempt, status, 1.0, 2.0))

    async def stop(self) -> None: ...


class Machine:
    def __init__(self) -> None:
        self.pool = Pool()
        self.lacks: str | None = None
        self.cleared: list[tuple[str, str]] = []
        self.slow = threading.Event()
        self.slow.set()

    def code_of(self, offer: Offer) -> CodeRef:
        assert self.slow.wait(10)
        if self.lacks:
            raise PermanentError(self.lacks)
        return CODE

    def pool_of(self, offer: Offer) -> Dispatch:
        return self.pool

    def clear(self, place: str, execution: str) -> None:
        self.cleared.append((place, execution))


class Scene:
    def __init__(self, patience: float = 20.0, room: Room | None = None) -> None:
        self.machine, self.said = Machine(), Said()
        outbox: Any = self.said
        self.carrier = Carrier(
            "w", SEAL, self.machine, outbox, lambda: ["default"], grace=patience, untold=patience, room=room
        )
        self.carrier.start()
        self.threads: list[threading.Thread] = []

    def carry(
        self,
        number: str,
        *runs: tuple[str, int],
        desk: str = "d",
        redelivered: bool = False,
        seal: Seal = SEAL,
        memory: int = 0,
    ) -> threading.Thread:
        nodes = [NodeRun(node, attempt, []) for node, attempt in runs]
        settings = RunSettings(component="c", entry="c", resources={"memory": memory})
        text = lane_text(number, desk, "p", "k", Lane(1, "e", CODE, settings, nodes))
        thread = threading.Thread(
            target=lambda: self.carrier.carry(text, seal.sign(LANE, text), redelivered=redelivered), daemon=True
        )
        thread.start()
        self.threads.append(thread)
        return thread

    def wish(self, act: str, lane: str, nodes: Sequence[str] | None = None, worker: str | None = None) -> None:
        text = wishes_text([Wish(act, lane, nodes, worker)])
        self.carrier.wish(text, SEAL.sign(WISHES, text))

    def end(self, lane: int, run: int = 0, status: str = "completed") -> None:
        """Of what the pool has."""
        self.until(lambda: len(self.machine.pool.lanes) > lane)
        found = self.machine.pool.lanes[lane].runs[run]
        self.carrier._loop.call_soon_threadsafe(self.machine.pool.end, found, status)

    def until(self, holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not holds():
            assert time.monotonic() < deadline, self.said.words
            time.sleep(0.002)

    def over(self, thread: threading.Thread) -> bool:
        thread.join(10)
        return not thread.is_alive()


@pytest.fixture
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    made = Scene(*getattr(request, "param", ()))
    yield made
    made.carrier.stop()
    assert all(made.over(thread) for thread in made.threads)


def test_a_lane_is_taken_and_acknowledged_when_all_its_runs_have_ended(scene: Scene) -> None:
    thread = scene.carry("1", ("a", 1), ("b", 1))
    scene.end(0, 0)
    scene.until(lambda: scene.said.of(Outcome))
    assert thread.is_alive()
    scene.end(0, 1, "failed")
    assert scene.over(thread)
    assert scene.said.of(Taken) == [Taken("1")]
    assert [(one.node, one.status) for one in scene.said.of(Outcome)] == [("a", "completed"), ("b", "failed")]


def test_what_is_forged_is_acknowledged_and_never_begins(scene: Scene) -> None:
    assert scene.over(scene.carry("1", ("a", 1), seal=Seal(b"other")))
    assert scene.said.words == []
    assert scene.machine.pool.lanes == []


def test_what_is_given_again_asks_first_and_begins_when_it_is_granted(scene: Scene) -> None:
    scene.carry("1", ("a", 1), redelivered=True)
    scene.until(lambda: scene.said.of(Claim))
    assert scene.machine.pool.lanes == []
    scene.wish("grant", "1", worker="somebody else")
    scene.wish("grant", "1", worker="w")
    scene.end(0)
    scene.until(lambda: scene.said.of(Outcome))


def test_what_is_given_again_and_not_granted_is_let_go(scene: Scene) -> None:
    thread = scene.carry("1", ("a", 1), redelivered=True)
    scene.until(lambda: scene.said.of(Claim))
    scene.wish("drop", "1", worker="w")
    assert scene.over(thread)
    assert scene.machine.pool.lanes == []


def test_what_is_given_again_to_who_has_it_runs_once(scene: Scene) -> None:
    first = scene.carry("1", ("a", 1))
    scene.until(lambda: scene.machine.pool.lanes)
    again = scene.carry("1", ("a", 1), redelivered=True)
    scene.end(0)
    assert scene.over(first)
    assert scene.over(again)
    assert scene.over(scene.carry("1", ("a", 1), redelivered=True))
    assert len(scene.machine.pool.lanes) == 1
    assert len(scene.said.of(Outcome)) == 1


@pytest.mark.parametrize(("act", "said"), [("return", Returned), ("cancel", Outcome), ("drop", Taken)])
def test_what_was_recalled_before_it_came_never_begins(scene: Scene, act: str, said: type) -> None:
    scene.wish(act, "1", ["a"])
    thread = scene.carry("1", ("a", 1), ("b", 1))
    scene.end(0)
    assert scene.over(thread)
    assert [run.node for run in scene.machine.pool.lanes[0].runs] == ["b"]
    assert scene.said.of(said)


def test_what_was_taken_back_bit_by_bit_before_it_came_never_begins(scene: Scene) -> None:
    for act, node in (("drop", "a"), ("cancel", "b"), ("drop", "c")):
        scene.wish(act, "1", [node])
    thread = scene.carry("1", ("a", 1), ("b", 1), ("c", 1), ("d", 1))
    scene.end(0)
    assert scene.over(thread)
    assert [run.node for run in scene.machine.pool.lanes[0].runs] == ["d"]


def test_what_is_dropped_ends_without_a_word(scene: Scene) -> None:
    thread = scene.carry("1", ("a", 1))
    scene.until(lambda: scene.machine.pool.lanes)
    scene.wish("drop", "1")
    assert scene.over(thread)
    assert scene.said.of(Outcome) == []


def test_a_newer_attempt_ends_the_older_one_without_a_word(scene: Scene) -> None:
    first = scene.carry("1", ("a", 1))
    scene.until(lambda: scene.machine.pool.lanes)
    scene.carry("2", ("a", 2))
    assert scene.over(first)
    scene.end(1)
    scene.until(lambda: scene.said.of(Outcome))
    assert [one.attempt for one in scene.said.of(Outcome)] == [2]


def test_what_another_conductor_took_over_is_left(scene: Scene) -> None:
    first = scene.carry("1", ("a", 1), desk="old")
    scene.until(lambda: scene.machine.pool.lanes)
    scene.wish("leave", "e", ["new", "2"])
    assert scene.over(first)
    assert scene.over(scene.carry("2", ("b", 1), desk="old"))
    assert scene.said.words[-1] == ("old", Misdirected("2"))
    scene.carry("3", ("a", 2), desk="new")
    scene.end(1)
    scene.until(lambda: scene.said.of(Outcome))


def test_who_lost_an_execution_without_knowing_is_not_heard_and_who_has_it_back_is(scene: Scene) -> None:
    scene.wish("leave", "e", ["new", "3"])
    scene.wish("leave", "e", ["old", "2"])
    assert scene.over(scene.carry("1", ("a", 1), desk="old"))
    scene.wish("leave", "e", ["old", "4"])
    scene.carry("2", ("a", 2), desk="old")
    scene.end(0)
    scene.until(lambda: scene.said.of(Outcome))
    assert scene.said.of(Misdirected) == [Misdirected("1")]


def test_what_cannot_run_here_fails_and_says_why(scene: Scene) -> None:
    scene.machine.lacks = "there is no such code"
    assert scene.over(scene.carry("1", ("a", 1)))
    (outcome,) = scene.said.of(Outcome)
    assert (outcome.status, outcome.error.code, outcome.begun) == ("failed", "code_unavailable", False)
    assert "cannot run on the worker w: there is no such code" in outcome.error.message


@pytest.mark.parametrize("method", ["start", "submit", "cancel"])
def test_a_pool_that_cannot_be_used_fails_the_lane_and_serves_the_next(scene: Scene, method: str) -> None:
    scene.machine.pool.faults.append(method)
    thread = scene.carry("1", ("a", 1), ("b", 1))
    if method == "cancel":
        scene.until(lambda: scene.machine.pool.lanes)
        scene.wish("cancel", "1")
    assert scene.over(thread)
    assert [(one.node, one.status) for one in scene.said.of(Outcome)] == [("a", "failed"), ("b", "failed")]
    assert f"{method}: no room" in scene.said.of(Outcome)[0].error.message
    known = len(scene.machine.pool.lanes)
    again = scene.carry("2", ("a", 2))
    scene.end(known)
    assert scene.over(again)
    assert scene.said.of(Outcome)[-1].status == "completed"


def test_it_is_taken_before_what_it_needs_is_fetched_and_may_be_cancelled_meanwhile(scene: Scene) -> None:
    scene.machine.slow.clear()
    thread = scene.carry("1", ("a", 1), ("b", 1))
    scene.until(lambda: scene.said.of(Taken))
    scene.wish("cancel", "1", ["a"])
    scene.until(lambda: scene.said.of(Outcome))
    scene.machine.slow.set()
    scene.end(0)
    assert scene.over(thread)
    assert [run.node for run in scene.machine.pool.lanes[0].runs] == ["b"]
    assert [(one.node, one.status) for one in scene.said.of(Outcome)] == [("a", "cancelled"), ("b", "completed")]


def test_who_is_to_end_hands_back_what_has_not_begun_and_takes_nothing_new(scene: Scene) -> None:
    scene.carry("1", ("a", 1))
    scene.until(lambda: scene.machine.pool.lanes)
    scene.carrier.drain()
    scene.until(lambda: scene.said.of(Returned))
    assert scene.over(scene.carry("2", ("b", 1)))
    assert [one.runs for one in scene.said.of(Returned)] == [[("a", 1)], [("b", 1)]]


@pytest.mark.parametrize("scene", [(0.1,)], indirect=True)
def test_who_is_to_end_while_the_broker_is_away_ends_all_the_same(scene: Scene) -> None:
    scene.said.away = True
    ended = scene.carry("1", ("a", 1))
    scene.end(0)
    scene.until(lambda: scene.said.of(Outcome))
    runs = scene.carry("2", ("b", 1))
    scene.until(lambda: len(scene.machine.pool.lanes) == 2)
    assert ended.is_alive()
    scene.carrier.drain()
    assert scene.over(ended)
    assert scene.over(runs)
    assert scene.over(scene.carry("3", ("c", 1)))  # it waited here for a thread
    assert len(scene.machine.pool.lanes) == 2


@pytest.mark.parametrize("scene", [(20.0, Room(100))], indirect=True)
def test_what_there_is_no_memory_for_begins_when_there_is(scene: Scene) -> None:
    scene.carry("1", ("a", 1), memory=60)
    scene.until(lambda: scene.machine.pool.lanes)
    scene.carry("2", ("b", 1), memory=60)
    scene.until(lambda: len(scene.said.of(Taken)) == 2)
    assert len(scene.machine.pool.lanes) == 1
    scene.end(0)
    scene.end(1)
    scene.until(lambda: len(scene.said.of(Outcome)) == 2)


@pytest.mark.parametrize("scene", [(20.0, Room(100, patience=0.2))], indirect=True)
def test_what_there_is_no_memory_for_goes_back_in_the_end(scene: Scene) -> None:
    scene.carry("1", ("a", 1), memory=60)
    scene.until(lambda: scene.machine.pool.lanes)
    assert scene.over(scene.carry("2", ("b", 1), memory=60))
    assert [one.runs for one in scene.said.of(Returned)] == [[("b", 1)]]
    assert len(scene.machine.pool.lanes) == 1


@pytest.mark.parametrize("scene", [(20.0, Room(100))], indirect=True)
def test_what_waits_for_memory_can_be_cancelled_and_what_needs_too_much_fails(scene: Scene) -> None:
    scene.carry("1", ("a", 1), memory=60)
    scene.until(lambda: scene.machine.pool.lanes)
    waits = scene.carry("2", ("b", 1), memory=60)
    scene.until(lambda: len(scene.said.of(Taken)) == 2)
    scene.wish("cancel", "2")
    assert scene.over(waits)
    assert scene.over(scene.carry("3", ("c", 1), memory=101))
    assert [(one.node, one.status) for one in scene.said.of(Outcome)] == [("b", "cancelled"), ("c", "failed")]
    assert "--max-memory" in scene.said.of(Outcome)[1].error.message


def test_what_others_left_of_an_execution_that_is_over_is_cleared(scene: Scene) -> None:
    scene.wish("over", "e", ["p"])
    scene.until(lambda: scene.machine.cleared)
    assert scene.machine.cleared == [("p", "e")]
