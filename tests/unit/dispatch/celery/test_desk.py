"""What a conductor sends and what it makes of what cannot be sent; its broker is kombu's own, in memory."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from kombu import Connection, Producer
from kombu.message import Message

from twingraph.dispatch.base import CodeRef, Lane, NodeRun, Outcome, Report, Returned, RunSettings
from twingraph.dispatch.celery.application import desk_queue, make_app
from twingraph.dispatch.celery.desk import MANY_OWED, TICK_SECONDS, CeleryDispatch
from twingraph.dispatch.celery.holding import SILENCE_SECONDS
from twingraph.dispatch.celery.messages import (
    OUTPUTS_AT_ONCE,
    REPORTS,
    Beat,
    Claim,
    HasRoom,
    Left,
    Misdirected,
    Spoke,
    Taken,
    Word,
    apart,
    reports_text,
    word,
)
from twingraph.dispatch.celery.owing import Owing
from twingraph.dispatch.celery.posts import POST, Open, Post, Say, post_name, posts_of
from twingraph.dispatch.celery.signing import Seal
from twingraph.dispatch.host_process import Owner
from twingraph.settings import load

CODE = CodeRef(version="v", bundle_path="", interpreter="", working_dir="", description="{}")


class App:
    """A real one that notes what is sent, and does not take what goes to the queue `long`."""

    def __init__(self) -> None:
        self.app = make_app(replace(load({}), broker_url="memory://"))
        self.lanes: list[str] = []
        self.wishes: list[list[Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)

    @property
    def control(self) -> App:
        return self

    def mailbox(self, connection: object) -> App:
        return self

    def abcast(self, name: str, given: dict[str, str]) -> None:
        self.wishes += json.loads(given["text"])["wishes"]

    def send_task(self, name: str, given: tuple[str, str], *, queue: str, **more: object) -> None:
        if queue.endswith(".long"):
            raise struct.error("ubyte format requires 0 <= number <= 255")
        self.lanes.append(json.loads(given[0])["runs"][0][0])


def lane(node: str, queue: str = "default", attempt: int = 1, execution: str = "e", platform: str = "local") -> Lane:
    settings = RunSettings(component="c", entry="c", labels={"queue": queue}, platform=platform)
    return Lane(1, execution, CODE, settings, [NodeRun(node, attempt, [])])


def play(
    app: App,
    act: Callable[[CeleryDispatch], None],
    until: Callable[[], object],
    prepare: Callable[[], object] = list,
    reported: int = 0,
) -> list[Report]:
    """What is reported until something holds, and so much is reported."""
    reports: list[Report] = []

    async def main() -> None:
        dispatch = CeleryDispatch(
            app, "c", "p", Seal(b"key"), b"secret", prepare, is_over=lambda execution: execution == "old"
        )
        await dispatch.start(reports.append)
        act(dispatch)
        try:
            deadline = time.monotonic() + 10
            while not until() or len(reports) < reported:
                assert time.monotonic() < deadline, (app.lanes, app.wishes, reports)
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.02)
        finally:
            await dispatch.stop()

    asyncio.run(main())
    return reports


def say(*words: Word, worker: str = "w", number: int = 1) -> None:
    """What a worker tells the desk."""
    desk = "twingraph.desk.c"
    text = reports_text(worker, number, [word(said) for said in words])
    with Connection("memory://") as connection:
        Producer(connection.default_channel).publish(
            text.encode(),
            routing_key=desk,
            exchange="",
            content_type="application/json",
            content_encoding="utf-8",
            headers={"signature": Seal(b"key").sign(REPORTS + desk, text)},
        )


@pytest.mark.parametrize(("asked", "answers"), [(Taken, []), (Claim, ["grant"])])
def test_who_takes_a_lane_hears_which_of_it_was_cancelled_on_the_way(asked: type, answers: list[str]) -> None:
    app = App()

    def act(dispatch: CeleryDispatch) -> None:
        both = lane("a")
        both.runs = [*both.runs, NodeRun("b", 1, [])]
        dispatch.submit(both)
        dispatch.cancel("e", ["a"])
        say(asked("c:1"))

    play(app, act, lambda: len(app.wishes) == 2 + len(answers))
    assert app.wishes[1] == ["drop", "c:1", ["a"], "w"]
    assert [one[0] for one in app.wishes[2 : 2 + len(answers)]] == answers


OUTPUTS = [(str(number), "hash", 1) for number in range(2 * OUTPUTS_AT_ONCE + 1)]


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_very_many_outputs_come_in_parts_of_whoever_they_are_whole(status: str) -> None:
    """One that runs beside it has said some as well, and this one has begun once before."""
    texts = [name for name, _, _ in OUTPUTS]
    whole = Outcome("e", "a", 1, "completed", 1.0, 2.0, worker="w", shape="plain", outputs=OUTPUTS, texts=texts)
    *parts, last = apart(whole)
    end = last if status == "completed" else Outcome("e", "a", 1, "failed", 1.0, 2.0, worker="w")

    def act(dispatch: CeleryDispatch) -> None:
        dispatch.submit(lane("a"))
        say(Taken("c:1"), *parts)
        say(*parts[:1], worker="other")
        say(*parts, end, number=2)

    (outcome,) = play(App(), act, lambda: True, reported=1)
    assert isinstance(outcome, Outcome)
    assert (outcome.status, list(outcome.outputs)) == (status, OUTPUTS if status == "completed" else [])
    assert list(outcome.texts) == (texts if status == "completed" else [])


@pytest.mark.parametrize("missing", [(0,), (1,), (0, 1)])
def test_an_outcome_of_which_a_part_is_missing_is_lost(missing: tuple[int, ...]) -> None:
    texts = [name for name, _, _ in OUTPUTS]
    whole = Outcome("e", "a", 1, "completed", 1.0, 2.0, worker="w", shape="plain", outputs=OUTPUTS, texts=texts)
    *parts, last = apart(whole)

    def act(dispatch: CeleryDispatch) -> None:
        dispatch.submit(lane("a"))
        say(Taken("c:1"), *(part for at, part in enumerate(parts) if at not in missing), last)

    (outcome,) = play(App(), act, lambda: True, reported=1)
    assert isinstance(outcome, Outcome)
    assert (outcome.status, list(outcome.outputs)) == ("lost", [])


def test_a_lane_that_can_never_be_sent_fails_and_the_next_goes() -> None:
    app = App()

    def act(dispatch: CeleryDispatch) -> None:
        dispatch.submit(lane("a", "long"))
        dispatch.submit(lane("b"))

    (outcome,) = play(app, act, lambda: app.lanes)
    assert app.lanes == ["b"]
    assert isinstance(outcome, Outcome)
    assert (outcome.node, outcome.status, outcome.begun) == ("a", "failed", False)
    assert outcome.error is not None
    assert outcome.error.permanent
    assert "a could not be sent to the queue twingraph.long" in outcome.error.message


def test_what_is_taken_over_is_announced_before_anything_of_it_goes_out() -> None:
    app = App()

    def act(dispatch: CeleryDispatch) -> None:
        dispatch.adopted("e", 2)
        dispatch.submit(lane("a"))
        dispatch.adopted("e", 4)  # it was elsewhere meanwhile

    play(app, act, lambda: app.lanes and len(app.wishes) == 2)
    desk = "twingraph.desk.c"
    assert app.wishes[:2] == [["leave", "e", [desk, "2"], None], ["leave", "e", [desk, "4"], None]]


def test_what_a_worker_takes_for_somebody_elses_is_announced_again_and_goes_again() -> None:
    app = App()
    desk = "twingraph.desk.c"

    def act(dispatch: CeleryDispatch) -> None:
        dispatch.adopted("e", 4)
        dispatch.submit(lane("a"))
        say(Misdirected("c:1"), Misdirected("c:7"))

    (back,) = play(app, act, lambda: len(app.wishes) == 2)
    assert back == Returned("e", [("a", 1)])
    assert app.wishes[0] == app.wishes[1] == ["leave", "e", [desk, "4"], None]


def test_who_does_not_have_a_lane_cannot_give_it_back() -> None:
    app = App()

    def act(dispatch: CeleryDispatch) -> None:
        dispatch.submit(lane("a"))
        dispatch.submit(lane("b"))
        say(Taken("c:1"), Taken("c:2"))
        say(Taken("c:1"), Returned("e", [("a", 1)]), worker="another")  # it was given the same, and ends
        say(Returned("e", [("b", 1)]), number=2)

    (back,) = play(app, act, lambda: len(app.wishes) == 1, reported=1)
    assert back == Returned("e", [("b", 1)])
    assert app.wishes[0] == ["drop", "c:1", None, "another"]


def test_wishes_go_out_while_the_blob_store_is_away() -> None:
    app, away = App(), threading.Event()

    def prepare() -> None:
        if not away.is_set():
            raise OSError("no such bucket")

    def act(dispatch: CeleryDispatch) -> None:
        dispatch.submit(lane("a"))
        dispatch.submit(lane("b"))
        dispatch.cancel("e", ["a"])

    def wished() -> bool:
        if app.wishes:
            assert away.is_set() or not app.lanes
            away.set()
        return bool(app.lanes)

    play(app, act, wished, prepare)
    assert app.wishes[0] == ["drop", "c:1", ["a"], None]


class Posts:
    """What comes to the worker `w`, in a thread of nobody: taken when it is looked at."""

    def __init__(self) -> None:
        self.connection = Connection("memory://")
        self.queue = self.connection.SimpleQueue(desk_queue(post_name("w")))
        self.found: list[Post] = []

    def look(self) -> list[Post]:
        with suppress(self.queue.Empty):
            while True:
                message = self.queue.get(block=False)
                text = bytes(message.body).decode()
                Seal(b"key").check(POST + "w", text, message.headers["signature"])
                self.found += posts_of(text)[1]
                message.ack()
        return self.found


def test_bodies_are_run_by_who_has_room_once_the_code_is_there_and_wishes_do_not_wait_for_that() -> None:
    app, tried, store_is_there, heard, here = App(), threading.Event(), threading.Event(), list[Any](), Posts()
    desks: list[CeleryDispatch] = []

    def prepare() -> None:
        tried.set()
        if not store_is_there.is_set():
            raise OSError("no such bucket")

    def never(*about: object) -> Any:
        raise AssertionError(about)

    def act(dispatch: CeleryDispatch) -> None:
        desks.append(dispatch)
        process = dispatch.hosts.elsewhere(CODE, never, Owner(heard.append, never, never, lambda: False))
        process.say(["open", "e"])
        dispatch.submit(lane("a"))
        say(HasRoom("c:bodies-1", free=True))

    def told() -> bool:
        kinds = [type(post) for post in here.look()]
        if tried.is_set() and desks:
            desks.pop().cancel("e", ["a"])
        if not store_is_there.is_set() and "drop" in [wish[0] for wish in app.wishes]:
            assert Open not in kinds
            store_is_there.set()
        if Open in kinds and not heard:
            say(Spoke("c:bodies-1", 1, ['["hello"]']), number=2)
        return Say in kinds

    play(app, act, told, prepare)
    assert app.wishes[0] == ["host", "c:bodies-1", ["twingraph.desk.c"], None]
    assert heard == [["hello"]]
    assert Say("c:bodies-1", 1, [["open", "e"]]) in here.found


@pytest.mark.parametrize(
    ("platform", "over", "told"), [("docker", True, True), ("docker", False, False), ("local", True, False)]
)
def test_what_lost_workers_left_on_their_machines_is_cleared_when_the_execution_is_over(
    platform: str, over: bool, told: bool
) -> None:
    app, reports = App(), list[Report]()

    async def main() -> None:
        dispatch = CeleryDispatch(app, "c", "p", Seal(b"key"), b"secret", list, is_over=lambda execution: False)
        await dispatch.start(reports.append)
        dispatch.submit(lane("a", platform=platform))
        say(Taken("c:1"))
        say(Beat({}), number=2)
        say(Beat({}), number=3)  # it does not know of it any more
        try:
            async with asyncio.timeout(10):
                while not reports:
                    await asyncio.sleep(0.005)
            dispatch.left("e", over)
            dispatch.left("e", over)
        finally:
            await dispatch.stop()

    asyncio.run(main())
    assert [report.status for report in reports if isinstance(report, Outcome)] == ["lost"]
    assert [wish for wish in app.wishes if wish[0] == "over"] == ([["over", "e", ["p"], None]] if told else [])


def test_a_worker_hears_whether_what_it_found_is_of_an_execution_that_is_over() -> None:
    app = App()
    play(app, lambda dispatch: say(Left("running"), Left("old")), lambda: app.wishes)
    assert app.wishes == [["over", "old", ["p"], "w"]]


def test_nobody_counts_as_silent_while_the_broker_waits_for_what_we_owe() -> None:
    app, reports, now = App(), list[Report](), [0.0]

    async def main() -> None:
        dispatch = CeleryDispatch(app, "c", "p", Seal(b"key"), b"secret", list, lambda: now[0], is_over=lambda _: False)
        await dispatch.start(reports.append)
        dispatch._owing = Owing(lambda message: None)
        dispatch.submit(lane("a"))
        say(Taken("c:1"))
        sent = dispatch._holding.get("c:1")
        try:
            async with asyncio.timeout(10):
                while sent is None or sent.holder is None or dispatch._receiver.connected_since is None:
                    await asyncio.sleep(0.005)
                    sent = dispatch._holding.get("c:1")
            for number in range(MANY_OWED):
                dispatch._owing.heard(("w", number), Message(), ["long"])
            listen(dispatch)
            assert reports == []
            dispatch._owing.committed(())
            listen(dispatch)
        finally:
            await dispatch.stop()

    def listen(dispatch: CeleryDispatch) -> None:
        for _ in range(int(2 * SILENCE_SECONDS / TICK_SECONDS)):
            now[0] += TICK_SECONDS
            dispatch._tick()

    asyncio.run(main())
    assert [report.status for report in reports if isinstance(report, Outcome)] == ["lost"]
