"""Processes of bodies on workers: both ends are real; the wire between them, the processes and time are `wire`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.dispatch.celery.wire import DESK, SEAL, Asked, Ear, Wire, begun, opened
from twingraph.dispatch.celery import far_hosts, hosted
from twingraph.dispatch.celery.messages import (
    BodiesGone,
    HasRoom,
    Spoke,
)
from twingraph.dispatch.celery.posts import POST, End, Here, More, Open, Say, post_text
from twingraph.dispatch.celery.signing import Seal


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.hosts.close()
    made.loop.advance(hosted.SILENCE_SECONDS + 5)
    assert all(process.over for worker in made.workers.values() if worker.alive for process in worker.processes)


def test_who_has_room_runs_it_and_what_is_said_comes_in_order(wire: Wire) -> None:
    worker = wire.worker()
    asked = Asked(wire)
    asked.process.say(["open", "e"])
    asked.process.say(["page", "e"])
    wire.loop.settle()
    assert worker.process.told == []  # nothing, before it says that it is there
    worker.process.speak("hello")
    wire.loop.settle()
    assert worker.process.told == [["open", "e"], ["page", "e"]]
    worker.process.speak("feed", "e", 1)
    worker.process.speak("feed", "e", "ü")
    asked.process.say(["ended", "e"])
    wire.loop.settle()
    assert asked.heard == [["hello"], ["feed", "e", 1], ["feed", "e", "ü"]]
    assert worker.process.told[-1] == ["ended", "e"]
    assert wire.near == []


def test_who_is_not_needed_any_more_is_ended_and_nobody_is_told(wire: Wire) -> None:
    worker = wire.worker()
    asked = begun(wire, worker)
    asked.process.stop()
    wire.loop.settle()
    assert worker.process.over
    assert (asked.gone, asked.stranded) == ([], [])


def test_what_is_long_goes_in_parts(wire: Wire) -> None:
    worker = wire.worker()
    asked = begun(wire, worker)
    long = "x" * (far_hosts.MOST_CHARACTERS // 3)
    for number in range(8):
        asked.process.say([number, long])
    wire.loop.settle()
    assert [number for number, _ in worker.process.told] == list(range(8))
    parts = [len(post_text(DESK, [post])) for post in wire.down_log if isinstance(post, Say)]
    assert len(parts) >= 4
    assert max(parts) < far_hosts.MOST_CHARACTERS


# -- finding a place -------------------------------------------------------------------------------


def test_where_nobody_answers_it_is_on_this_machine_with_all_that_was_said(wire: Wire) -> None:
    asked = Asked(wire)
    asked.process.say(["open", "e"])
    wire.loop.advance(far_hosts.NOBODY_SECONDS - 0.1)
    assert wire.near == []
    wire.loop.advance(0.2)
    asked.process.say(["page", "e"])
    assert wire.near[0].told == [["open", "e"], ["page", "e"]]
    assert asked.process.pid == 7
    asked.process.stop()
    assert wire.near[0].over


def test_a_question_that_is_lost_is_asked_again(wire: Wire) -> None:
    asked = Asked(wire)
    worker = wire.worker()  # it comes after the question
    wire.loop.advance(far_hosts.ASK_SECONDS + 0.1)
    worker.process.speak("hello")
    wire.loop.settle()
    assert asked.heard == [["hello"]]
    assert len(worker.processes) == 1


def test_where_all_are_full_it_is_on_this_machine_soon(wire: Wire) -> None:
    wire.worker("v", most=0)
    wire.worker("w", most=1)
    wire.worker("x", most=0)
    begun(wire, wire.workers["w"])
    Asked(wire)
    wire.loop.advance(far_hosts.FULL_SECONDS + 0.1)
    assert len(wire.near) == 1


def test_who_answers_later_than_one_that_is_full_has_it(wire: Wire) -> None:
    wire.worker("v", most=0)
    Asked(wire)
    wire.loop.settle()
    worker = wire.worker("w")
    wire.loop.advance(far_hosts.ASK_SECONDS + 0.1)
    assert len(worker.processes) == 1
    worker.process.speak("hello")
    wire.loop.advance(far_hosts.NOBODY_SECONDS)
    assert wire.near == []


def test_a_worker_answers_once_it_hears_what_is_said_to_it(wire: Wire) -> None:
    worker = wire.worker()
    before, Ear.connected_since = Ear.connected_since, None
    try:
        Asked(wire)
        wire.loop.advance(1)
        assert not any(isinstance(said, HasRoom) for said in wire.up_log)
        assert worker.ear is not None
        assert worker.ear.begun
    finally:
        Ear.connected_since = before
    wire.loop.advance(hosted.LOOK_SECONDS)
    assert wire.up_log == [HasRoom("c:bodies-1", free=True)]


def test_what_cannot_be_started_on_one_worker_is_on_the_next_and_then_here(wire: Wire) -> None:
    first, second = wire.worker("v"), wire.worker("w")
    first.lacks = "there is no such code"
    Asked(wire)
    wire.loop.settle()
    assert (len(first.processes), len(second.processes)) == (0, 1)
    second.process.gone("it cannot be started")  # before it said anything
    wire.loop.settle()
    assert len(wire.near) == 1
    assert [said.why for said in wire.up_log if isinstance(said, BodiesGone)] == [
        "PermanentError: there is no such code",
        "it cannot be started",
    ]


def test_a_worker_that_was_killed_before_it_began_is_not_waited_for(wire: Wire) -> None:
    first = wire.worker("v")
    wire.lost = [Open]
    asked = Asked(wire)
    wire.loop.settle()
    first.alive = False
    second = wire.worker("w")
    wire.loop.advance(7.5)
    assert (len(second.processes), len(wire.near)) == (0, 1)  # who came after the question was not asked
    assert (asked.gone, asked.stranded) == ([], [])


def test_one_that_does_not_come_to_say_anything_is_given_up(wire: Wire) -> None:
    worker = wire.worker()
    Asked(wire)
    wire.loop.advance(far_hosts.START_SECONDS + 0.1)
    assert worker.process.over
    assert len(wire.near) == 1


# -- ends ------------------------------------------------------------------------------------------


def test_the_death_of_a_process_is_its_own(wire: Wire) -> None:
    worker = wire.worker()
    asked = opened(wire, worker)
    worker.process.speak("feed", "e", 1)
    worker.process.gone("it was ended by SIGSEGV")
    wire.loop.settle()
    assert asked.heard[-1] == ["feed", "e", 1]  # what it said before
    assert (asked.gone, asked.stranded) == (["it was ended by SIGSEGV"], [])


def test_a_process_that_somebody_else_ends_is_lost_as_with_its_worker(wire: Wire) -> None:
    """A service manager ends all of a group together: it may be gone before its worker hears of that."""
    worker = wire.worker()
    asked = opened(wire, worker)
    worker.process.is_taken = True
    worker.process.gone("it was ended by SIGTERM")
    wire.loop.settle()
    assert (asked.gone, asked.stranded) == ([], ["it was ended by SIGTERM"])


def test_the_death_of_a_worker_is_told_from_silence_and_is_not_their_doing(wire: Wire) -> None:
    worker = wire.worker()
    asked = opened(wire, worker)
    worker.alive = False
    wire.loop.advance(5.9)
    assert asked.stranded == []
    wire.loop.advance(1.1)
    assert (asked.gone, asked.stranded) == ([], ["the worker w fell silent"])


def test_a_worker_that_was_only_cut_off_ends_what_runs_elsewhere_by_now(wire: Wire) -> None:
    worker = wire.worker()
    asked = opened(wire, worker)
    worker.alive = False
    wire.loop.advance(8)
    assert asked.stranded
    worker.alive = True
    worker.process.speak("feed", "e", "nobody wants to know")
    wire.loop.settle()
    assert worker.process.over
    assert asked.heard == [["hello"]]


def test_who_answers_and_does_not_have_it_any_more_has_lost_it(wire: Wire) -> None:
    worker = wire.worker()
    first, second = opened(wire, worker), opened(wire, worker)
    del worker.hosted._sessions["c:bodies-1"]
    worker.processes[0].stop()
    wire.loop.advance(2 * far_hosts.MISSES + 0.1)
    assert first.stranded == ["the worker w does not have them any more"]
    assert second.stranded == []


@pytest.mark.parametrize("line", ["{}", "7", '["', "[" * 100_000])
def test_what_is_babbled_ends_the_process_alone(wire: Wire, line: str) -> None:
    worker = wire.worker()
    asked = opened(wire, worker)
    worker.process.babble(line)
    wire.loop.settle()
    assert worker.process.over
    assert len(asked.gone) == 1
    assert "cannot be read" in asked.gone[0]


def test_a_worker_that_is_to_end_lets_bodies_say_their_last_and_gives_them_back(wire: Wire) -> None:
    worker = wire.worker()
    asked = opened(wire, worker)
    worker.hosted.drain()
    wire.loop.settle()
    assert worker.process.told[1:] == [["stop", "e", "the worker was asked to end", None], ["leave"]]
    asked.process.say(["ended", "e"])
    worker.process.speak("feed", "e", "the side effect is done")
    wire.loop.settle()
    assert len(worker.process.told) == 3  # nothing more begins
    worker.process.gone("it ended itself with exit code 0")
    wire.loop.settle()
    assert asked.heard[-1] == ["feed", "e", "the side effect is done"]
    assert (asked.gone, asked.stranded) == ([], ["the worker was asked to end"])
    Asked(wire)
    wire.loop.settle()
    assert wire.up_log[-1] == HasRoom("c:bodies-2", free=False)


def test_a_worker_that_is_to_end_does_not_wait_for_ever(wire: Wire) -> None:
    worker = wire.worker()
    asked = opened(wire, worker)
    worker.hosted.drain()
    wire.loop.advance(hosted.LEAVE_SECONDS + 0.1)
    assert worker.process.over
    assert asked.stranded == ["the worker was asked to end"]


def test_the_bodies_of_a_conductor_that_is_gone_end(wire: Wire) -> None:
    worker = wire.worker()
    opened(wire, worker)
    wire.killed = True
    wire.loop.advance(hosted.SILENCE_SECONDS + 2.1)
    assert worker.process.over


def test_the_bodies_of_an_execution_that_was_taken_over_are_stopped(wire: Wire) -> None:
    worker = wire.worker()
    asked = opened(wire, worker)
    asked.process.say(["open", "f", "", "entry", [], None])
    wire.loop.settle()
    before = len(worker.process.told)
    worker.hosted.leave("e", DESK)
    assert len(worker.process.told) == before
    worker.hosted.leave("e", "another desk")
    worker.hosted.leave("e", "another desk")
    assert worker.process.told[before:] == [["stop", "e", "another conductor has taken the execution over", None]]
    assert not worker.process.over


# -- the broker ------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [False, True], ids=["in the middle", "the last"])
def test_what_was_lost_on_the_way_to_the_conductor_is_missed(wire: Wire, last: bool) -> None:
    worker = wire.worker()
    asked = opened(wire, worker)
    wire.lost = [Spoke]
    worker.process.speak("feed", "e", 1)
    wire.loop.settle()
    if not last:
        worker.process.speak("feed", "e", 2)
    wire.loop.advance(2.1)
    assert asked.heard == [["hello"]]
    assert (asked.gone, len(asked.stranded)) == ([], 1)
    assert worker.process.over


@pytest.mark.parametrize("last", [False, True], ids=["in the middle", "the last"])
def test_what_was_lost_on_the_way_to_the_worker_is_missed(wire: Wire, last: bool) -> None:
    worker = wire.worker()
    asked = opened(wire, worker)
    wire.lost = [Say]
    asked.process.say(["ended", 1])
    wire.loop.settle()
    if not last:
        asked.process.say(["ended", 2])
    wire.loop.advance(2.6)
    assert worker.process.over
    assert len(worker.process.told) == 1
    assert (asked.gone, len(asked.stranded)) == ([], 1)


def test_what_comes_twice_is_taken_once(wire: Wire) -> None:
    worker = wire.worker()
    asked = opened(wire, worker)
    worker.process.speak("feed", "e", 1)
    wire.loop.settle()
    for said in [said for said in wire.up_log if isinstance(said, Spoke)]:
        wire.hosts.take("w", said)
    for post in [post for post in wire.down_log if isinstance(post, Open | Say)]:
        text = post_text(DESK, [post])
        worker.hear(text, SEAL.sign(POST + "w", text))
    wire.loop.settle()
    assert asked.heard == [["hello"], ["feed", "e", 1]]
    assert (len(worker.processes), len(worker.process.told)) == (1, 1)


def test_a_broker_that_was_away_brings_all_that_was_said_meanwhile(wire: Wire) -> None:
    worker = wire.worker()
    asked = opened(wire, worker)
    wire.away = True
    for number in range(3):
        worker.process.speak("feed", "e", number)
        asked.process.say(["ended", number])
        wire.loop.advance(10)
    wire.back()
    wire.loop.advance(10)
    assert asked.heard[1:] == [["feed", "e", 0], ["feed", "e", 1], ["feed", "e", 2]]
    assert worker.process.told[1:] == [["ended", 0], ["ended", 1], ["ended", 2]]
    assert (asked.gone, asked.stranded) == ([], [])


def test_what_the_broker_never_takes_is_lost(wire: Wire) -> None:
    asked = opened(wire, wire.worker())
    wire.hosts.refused("c:bodies-1", ValueError("too long"))
    wire.hosts.refused("c:7", ValueError("a lane"))
    assert asked.stranded == ["the broker does not take a message: too long"]
    wire.loop.advance(5)
    assert wire.workers["w"].process.over  # the worker named it, and was told


def test_what_is_forged_or_for_another_worker_is_not_heard(wire: Wire) -> None:
    worker = wire.worker()
    opened(wire, worker)
    text = post_text(DESK, [End("c:bodies-1")])
    for signature in ("", Seal(b"other").sign(POST + "w", text), SEAL.sign(POST + "v", text)):
        worker.hear(text, signature)
    worker.hear("[]", SEAL.sign(POST + "w", "[]"))
    worker.hear(None, "")
    other = post_text("another desk", [End("c:bodies-1")])
    worker.hear(other, SEAL.sign(POST + "w", other))
    wire.loop.settle()
    assert not worker.process.over
    assert worker.ear is not None
    assert len(worker.ear.acknowledged) >= 6


def test_nobody_says_more_than_is_taken_in_and_word_of_that_may_be_lost(wire: Wire) -> None:
    worker = wire.worker()
    asked = opened(wire, worker)
    wire.crowded = True
    for number in range(hosted.WINDOW):
        assert not worker.process.crowded()
        worker.process.speak("feed", "e", number)
        wire.loop.settle()
    assert worker.process.crowded()
    assert len(asked.heard) == 1 + hosted.WINDOW  # it was heard, and is not done yet
    wire.lost = [More] * 10
    wire.crowded = False
    wire.loop.advance(0.1)
    assert worker.process.crowded()
    wire.loop.advance(2.5)
    assert not worker.process.crowded()
    assert any(isinstance(post, Here) for post in wire.down_log)


def test_with_too_much_waiting_for_the_broker_no_process_is_listened_to(wire: Wire) -> None:
    worker = wire.worker()
    opened(wire, worker)
    worker.behind = hosted.MOST_WAITING + 1
    assert worker.process.crowded()
