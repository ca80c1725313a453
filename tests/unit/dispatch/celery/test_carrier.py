"""What a worker does with lanes, wishes and the reports of its pool; broker, pool and machine are doubles."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from twingraph.core.errors import PermanentError
from twingraph.dispatch.base import CodeRef, Dispatch, Lane, NodeRun, Outcome, Report, Returned, RunSettings
from twingraph.dispatch.celery.carrier import Carrier
from twingraph.dispatch.celery.hosted import Ear, Hosted, World
from twingraph.dispatch.celery.messages import (
    LANE,
    WISHES,
    Claim,
    HasRoom,
    Misdirected,
    Offer,
    Taken,
    Wish,
    Word,
    lane_text,
    wishes_text,
)
from twingraph.dispatch.celery.posts import Open
from twingraph.dispatch.celery.room import Room
from twingraph.dispatch.celery.signing import Seal

SEAL = Seal(b"key")
CODE = CodeRef(version="v", bundle_path="", interpreter="", working_dir="", description="{}")


class Said:
    """An outbox whose broker takes everything at once."""

    def __init__(self) -> None:
        self.words: list[tuple[str, Word]] = []
        self.away = False
        self.due: list[Callable[[], None]] = []

    def start(self) -> None: ...

    def close(self, timeout: float) -> None: ...

    def say(self, desk: str, said: Word, *, more: bool = False) -> None:
        self.words.append((desk, said))

    def after(self, desk: str, act: Callable[[], None]) -> None:
        if self.away:
            self.due.append(act)
        else:
            act()

    def back(self) -> None:
        self.away = False
        for act in self.due:
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
        self.desks: list[tuple[str, str]] = []
        self.slow = threading.Event()
        self.slow.set()
        self.fetched = 0

    def code_of(self, offer: Offer) -> CodeRef:
        self.fetched += 1
        assert self.slow.wait(10)
        if self.lacks:
            raise PermanentError(self.lacks)
        return CODE

    def pool_of(self, offer: Offer) -> Dispatch:
        return self.pool

    def spoke(self, place: str, desk: str) -> None:
        self.desks.append((place, desk))

    def clear(self, place: str, execution: str) -> None:
        self.cleared.append((place, execution))


def no_world(opening: Open) -> World:
    raise AssertionError("no body comes here")


def text_of(number: str, desk: str, *runs: tuple[str, int], **settings: Any) -> str:
    nodes = [NodeRun(node, attempt, []) for node, attempt in runs]
    given = RunSettings(component="c", entry="c", **settings)
    return lane_text(number, desk, "p", "k", Lane(1, "e", CODE, given, nodes))


class Scene:
    def __init__(self, patience: float = 20.0, room: Room | None = None) -> None:
        self.machine, self.said = Machine(), Said()
        outbox: Any = self.said
        self.hosted = Hosted("w", SEAL, outbox, no_world, self.no_ear, most=0)
        self.carrier = Carrier(
            "w",
            SEAL,
            self.machine,
            outbox,
            lambda: ["default"],
            self.hosted,
            grace=patience,
            untold=patience,
            room=room,
        )
        self.carrier.start()
        self.ends: list[threading.Event] = []

    def no_ear(self, heard: object) -> Ear:
        raise AssertionError("nobody speaks to bodies that are not here")

    def carry(
        self,
        number: str,
        *runs: tuple[str, int],
        desk: str = "d",
        redelivered: bool = False,
        shared: bool = False,
        told: Callable[[], None] | None = None,
        memory: int = 0,
    ) -> threading.Event:
        """What is set when it has ended."""
        text = text_of(number, desk, *runs, resources={"memory": memory})
        offer = self.carrier.read(text, SEAL.sign(LANE, text))
        assert offer is not None
        ended = threading.Event()
        self.carrier.carry(offer, redelivered=redelivered, shared=shared, ended=ended.set, told=told)
        self.ends.append(ended)
        return ended

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

    def over(self, ended: threading.Event) -> bool:
        return ended.wait(10)


@pytest.fixture
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    made = Scene(*getattr(request, "param", ()))
    yield made
    made.carrier.stop()
    assert all(made.over(ended) for ended in made.ends)


def test_a_lane_is_taken_and_acknowledged_when_all_its_runs_have_ended(scene: Scene) -> None:
    ended = scene.carry("1", ("a", 1), ("b", 1))
    scene.end(0, 0)
    scene.until(lambda: scene.said.of(Outcome))
    assert not ended.is_set()
    scene.end(0, 1, "failed")
    assert scene.over(ended)
    assert scene.said.of(Taken) == [Taken("1")]
    assert type(scene.said.words[0][1]) is Taken  # before anything else is said of it
    assert [(one.node, one.status) for one in scene.said.of(Outcome)] == [("a", "completed"), ("b", "failed")]


def test_of_each_conductor_that_sends_a_lane_is_known_where_it_can_be_asked(scene: Scene) -> None:
    """Also where code and pool are here already."""
    for number, desk in enumerate(("first", "second")):
        scene.carry(str(number), (f"n{number}", 1), desk=desk)
        scene.end(number)
    assert scene.machine.desks == [("p", "first"), ("p", "second")]
    assert scene.machine.fetched == 1


def test_what_another_may_be_given_too_is_told_at_once(scene: Scene) -> None:
    scene.machine.slow.clear()
    scene.carry("1", ("a", 1), shared=True)
    scene.until(lambda: scene.machine.fetched)
    assert scene.said.of(Taken) == [Taken("1")]
    scene.machine.slow.set()
    scene.end(0)


def test_what_was_lost_before_begins_when_the_broker_has_heard_who_has_it(scene: Scene) -> None:
    scene.said.away = True
    scene.carry("1", ("a", 2))
    scene.carry("2", ("b", 1))
    scene.until(lambda: scene.machine.pool.lanes)
    assert [run.node for lane in scene.machine.pool.lanes for run in lane.runs] == ["b"]
    scene.said.back()
    scene.end(0)
    scene.end(1)
    assert [run.node for run in scene.machine.pool.lanes[1].runs] == ["a"]


def test_what_is_cancelled_before_anybody_knows_who_has_it_never_begins(scene: Scene) -> None:
    scene.said.away = True
    ended = scene.carry("1", ("a", 2))
    scene.until(lambda: scene.said.of(Taken))
    scene.wish("cancel", "1")
    scene.until(lambda: scene.said.of(Outcome))
    scene.said.back()
    assert scene.over(ended)
    assert scene.machine.fetched == 0


def test_the_status_names_queues_of_which_conductors_say_that_something_waits(scene: Scene) -> None:
    text = wishes_text([Wish("waits", "", ["twingraph.gpu"])])
    scene.carrier.wish(text, SEAL.sign(WISHES, text))
    scene.until(lambda: scene.carrier.status()["backlogs"] == ["twingraph.gpu"])


def test_a_lane_of_which_nothing_else_is_said_is_told_all_the_same(scene: Scene) -> None:
    scene.carry("1", ("a", 1))
    scene.until(lambda: scene.said.of(Taken))
    scene.end(0)


def test_what_is_forged_or_no_lane_is_not_read(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    text = text_of("1", "d", ("a", 1))
    assert scene.carrier.read(text, Seal(b"other").sign(LANE, text)) is None
    assert scene.carrier.read("{}", SEAL.sign(LANE, "{}")) is None
    assert scene.carrier.read(None, {}) is None
    assert caplog.text.count("refused: ") == 3


def test_who_sent_a_lane_is_told_who_has_it_before_it_ends(scene: Scene) -> None:
    told = threading.Event()
    ended = scene.carry("1", ("a", 1), told=told.set)
    assert told.wait(10)
    assert scene.said.of(Taken) == [Taken("1")]
    assert not ended.is_set()
    scene.end(0)


def test_who_asked_for_a_lane_knows_that_it_is_known_when_it_is_granted(scene: Scene) -> None:
    told = threading.Event()
    scene.carry("1", ("a", 1), redelivered=True, told=told.set)
    scene.until(lambda: scene.said.of(Claim))
    assert not told.is_set()
    scene.wish("grant", "1", worker="w")
    assert told.wait(10)
    scene.end(0)


def test_what_is_given_again_asks_first_and_begins_when_it_is_granted(scene: Scene) -> None:
    scene.carry("1", ("a", 1), redelivered=True)
    scene.until(lambda: scene.said.of(Claim))
    assert scene.machine.pool.lanes == []
    scene.wish("grant", "1", worker="somebody else")
    scene.wish("grant", "1", worker="w")
    scene.end(0)
    scene.until(lambda: scene.said.of(Outcome))


def test_what_is_given_again_and_not_granted_is_let_go(scene: Scene) -> None:
    ended = scene.carry("1", ("a", 1), redelivered=True)
    scene.until(lambda: scene.said.of(Claim))
    scene.wish("drop", "1", worker="w")
    assert scene.over(ended)
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
    ended = scene.carry("1", ("a", 1), ("b", 1))
    scene.end(0)
    assert scene.over(ended)
    assert [run.node for run in scene.machine.pool.lanes[0].runs] == ["b"]
    assert scene.said.of(said)


def test_what_was_taken_back_bit_by_bit_before_it_came_never_begins(scene: Scene) -> None:
    for act, node in (("drop", "a"), ("cancel", "b"), ("drop", "c")):
        scene.wish(act, "1", [node])
    ended = scene.carry("1", ("a", 1), ("b", 1), ("c", 1), ("d", 1))
    scene.end(0)
    assert scene.over(ended)
    assert [run.node for run in scene.machine.pool.lanes[0].runs] == ["d"]


def test_it_says_since_when_it_serves_as_all_times_are_told(scene: Scene) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", scene.carrier.status()["since"])


def test_its_status_proves_whose_key_it_has(scene: Scene) -> None:
    told = scene.carrier.status("question")
    assert SEAL.proves(told["worker"], "question", told["proof"])
    assert not SEAL.proves(told["worker"], "another", told["proof"])


def test_who_has_no_room_for_bodies_says_so(scene: Scene) -> None:
    scene.wish("host", "session", ["somebody's desk"])
    scene.until(lambda: scene.said.words)
    assert scene.said.words == [("somebody's desk", HasRoom("session", free=False))]
    assert scene.carrier.status()["bodies"] == 0


def test_what_is_dropped_ends_without_a_word(scene: Scene) -> None:
    ended = scene.carry("1", ("a", 1))
    scene.until(lambda: scene.machine.pool.lanes)
    scene.wish("drop", "1")
    assert scene.over(ended)
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
    ended = scene.carry("1", ("a", 1), ("b", 1))
    if method == "cancel":
        scene.until(lambda: scene.machine.pool.lanes)
        scene.wish("cancel", "1")
    assert scene.over(ended)
    assert [(one.node, one.status) for one in scene.said.of(Outcome)] == [("a", "failed"), ("b", "failed")]
    assert f"{method}: no room" in scene.said.of(Outcome)[0].error.message
    known = len(scene.machine.pool.lanes)
    again = scene.carry("2", ("a", 2))
    scene.end(known)
    assert scene.over(again)
    assert scene.said.of(Outcome)[-1].status == "completed"


def test_what_many_lanes_need_is_fetched_once(scene: Scene) -> None:
    scene.machine.slow.clear()
    ends = [scene.carry(str(number), (f"n{number}", 1)) for number in range(5)]
    scene.until(lambda: len(scene.said.of(Taken)) == 5)
    scene.machine.slow.set()
    for number in range(5):
        scene.end(number)
    assert all(scene.over(ended) for ended in ends)
    assert scene.machine.fetched == 1


def test_it_is_taken_before_what_it_needs_is_fetched_and_may_be_cancelled_meanwhile(scene: Scene) -> None:
    scene.machine.slow.clear()
    ended = scene.carry("1", ("a", 1), ("b", 1))
    scene.until(lambda: scene.said.of(Taken))
    scene.wish("cancel", "1", ["a"])
    scene.until(lambda: scene.said.of(Outcome))
    scene.machine.slow.set()
    scene.end(0)
    assert scene.over(ended)
    assert [run.node for run in scene.machine.pool.lanes[0].runs] == ["b"]
    assert [(one.node, one.status) for one in scene.said.of(Outcome)] == [("a", "cancelled"), ("b", "completed")]


def test_who_is_to_end_hands_back_what_has_not_begun_and_takes_nothing_new(scene: Scene) -> None:
    scene.carry("1", ("a", 1))
    scene.until(lambda: scene.machine.pool.lanes)
    scene.carrier.drain()
    scene.until(lambda: scene.said.of(Returned))
    assert scene.over(scene.carry("2", ("b", 1)))
    assert [one.runs for one in scene.said.of(Returned)] == [[("a", 1)], [("b", 1)]]


def test_who_is_to_end_hands_back_at_once_what_waits_for_its_code(scene: Scene) -> None:
    scene.machine.slow.clear()
    ended = scene.carry("1", ("a", 1), ("b", 1))
    scene.until(lambda: scene.said.of(Taken))
    scene.carrier.drain()
    assert scene.over(ended)
    assert scene.said.of(Returned) == [Returned("e", [("a", 1), ("b", 1)])]
    scene.machine.slow.set()
    scene.until(lambda: scene.machine.fetched)
    assert scene.machine.pool.lanes == []


def test_who_asks_whether_it_may_have_a_lane_gives_none_back(scene: Scene) -> None:
    scene.carry("1", ("a", 1), redelivered=True)
    scene.until(lambda: scene.said.of(Claim))
    scene.carrier.drain()
    scene.wish("drop", "1", worker="w")
    assert scene.over(scene.ends[0])
    assert scene.said.of(Returned) == []


@pytest.mark.parametrize("scene", [(0.1,)], indirect=True)
def test_who_is_to_end_while_the_broker_is_away_ends_all_the_same(scene: Scene) -> None:
    scene.said.away = True
    ended = scene.carry("1", ("a", 1))
    scene.end(0)
    scene.until(lambda: scene.said.of(Outcome))
    runs = scene.carry("2", ("b", 1))
    scene.until(lambda: len(scene.machine.pool.lanes) == 2)
    assert not ended.is_set()
    scene.carrier.drain()
    assert scene.over(ended)
    assert scene.over(runs)
    assert not scene.carrier.has_lanes
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
