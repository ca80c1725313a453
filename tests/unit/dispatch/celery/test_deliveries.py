"""No lane is owed to RabbitMQ for long, and what finds no room goes back; Celery's consumer is a double."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from celery.worker import state

from twingraph.dispatch.celery.deliveries import MOST_BESIDE, OWED_SECONDS, Deliveries


class Message:
    def __init__(self, lane: str) -> None:
        self.lane = lane
        self.became: list[str] = []

    def ack(self) -> None:
        self.became.append("acknowledged")

    def requeue(self) -> None:
        self.became.append("back")


class Link:
    """Of Celery's consumer what is used here, all in one: a queue's consumer, a pool of two, timer and channel."""

    num_processes = 2

    def __init__(self) -> None:
        self.task_consumer = self.pool = self.timer = self
        self.connection = self.default_channel = self.qos = self
        self.can_consume: Callable[[], bool] = lambda: True
        self.now = 0.0
        self.soon: list[Callable[[], None]] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.did: list[str] = []
        self.broken = False

    def call_soon(self, act: Callable[[], None]) -> None:
        self.soon.append(act)

    def call_after(self, seconds: float, act: Callable[[], None]) -> None:
        self.later.append((self.now + seconds, act))

    def cancel(self) -> None:
        if self.broken:
            raise AttributeError("no channel")
        self.did.append("cancel")

    def consume(self) -> None:
        self.did.append("consume")

    def turn(self, seconds: float = 0.0) -> None:
        self.now += seconds
        soon, self.soon = self.soon, []
        due = [act for at, act in self.later if at <= self.now]
        self.later = [(at, act) for at, act in self.later if at > self.now]
        for act in [*soon, *due]:
            act()


@pytest.fixture
def link() -> Link:
    return Link()


@pytest.fixture
def given(link: Link) -> Deliveries:
    made = Deliveries(link, lambda: link.now)
    made.connected()
    return made


def test_a_lane_is_acknowledged_once_at_its_end(link: Link, given: Deliveries) -> None:
    message = Message("a")
    assert given.accept(message)
    link.turn(1)
    assert message.became == []
    given.end(message)
    link.turn(2 * OWED_SECONDS)
    assert message.became == ["acknowledged"]


def test_a_long_lane_is_acknowledged_before_it_is_overdue_and_not_again(link: Link, given: Deliveries) -> None:
    first, second = Message("a"), Message("b")
    given.accept(first)
    link.turn(10)
    given.accept(second)
    link.turn(OWED_SECONDS - 10)
    assert (first.became, second.became) == (["acknowledged"], [])
    link.turn(10)
    assert second.became == ["acknowledged"]
    given.end(first)
    assert first.became == ["acknowledged"]
    assert link.later == []


def test_what_finds_no_room_goes_back_and_more_is_asked_for_when_a_lane_ends(link: Link, given: Deliveries) -> None:
    held, more = [Message("a"), Message("b")], [Message("c"), Message("d")]
    assert all(given.accept(message) for message in held)
    link.turn(OWED_SECONDS)
    assert not given.accept(more[0])
    assert more[0].became == []  # not before the broker was told to give no more
    link.turn()
    assert (link.did, more[0].became) == (["cancel"], ["back"])
    assert not given.accept(more[1])  # it was under way
    link.turn()
    assert (link.did, more[1].became) == (["cancel"], ["back"])
    given.end(held[0])
    assert link.did == ["cancel", "consume"]
    assert given.accept(Message("c"))


def test_lanes_that_wait_beside_each_other_have_room_of_their_own(link: Link, given: Deliveries) -> None:
    held = [Message("a"), Message("b")]
    assert all(given.accept(message) for message in held)
    waiting = [Message("w") for _ in range(MOST_BESIDE)]
    assert all(given.accept(message, beside=True) for message in waiting)
    for message in waiting:
        given.told(message)
    assert all(message.became == ["acknowledged"] for message in waiting)
    assert not given.accept(Message("more"), beside=True)
    link.turn()
    given.end(held[0])
    assert link.did == ["cancel"]  # there is room for one kind alone
    given.end(waiting[0])
    assert link.did == ["cancel", "consume"]
    assert waiting[0].became == ["acknowledged"]
    given.end(held[1])
    assert held[1].became == ["acknowledged"]


def test_on_a_broker_that_gives_one_at_a_time_no_more_is_asked_for_without_room(link: Link) -> None:
    given = Deliveries(link, lambda: link.now, owes=False)
    given.connected()
    held = [Message("a"), Message("b")]
    assert link.can_consume()
    assert given.accept(Message("w"), beside=True)
    assert link.can_consume()
    assert all(given.accept(message) for message in held)
    assert not link.can_consume()
    given.refuse(Message("c"))
    given.end(held[0])
    assert link.can_consume()
    assert held[0].became == []


def test_what_is_no_lane_is_acknowledged(given: Deliveries) -> None:
    message = Message("a")
    given.refuse(message)
    assert message.became == ["acknowledged"]


def test_a_lane_that_ends_before_the_broker_was_told_leaves_nobody_waiting(link: Link, given: Deliveries) -> None:
    held = [Message("a"), Message("b")]
    assert all(given.accept(message) for message in held)
    given.accept(Message("c"))
    given.end(held[0])
    link.turn()
    assert link.did == ["cancel", "consume"]


def test_after_a_new_connection_what_runs_still_counts_and_is_not_acknowledged(link: Link, given: Deliveries) -> None:
    held = [Message("a"), Message("b")]
    assert all(given.accept(message) for message in held)
    given.connected()
    assert not given.accept(Message("a"))
    given.end(held[0])
    assert held[0].became == []


def test_a_broker_that_does_not_hear_is_connected_to_anew(link: Link, given: Deliveries) -> None:
    for lane in "abc":
        given.accept(Message(lane))
    link.broken = True
    with pytest.raises(ConnectionResetError, match="no channel"):
        link.turn()


def test_who_is_to_end_asks_for_no_more(link: Link, given: Deliveries, monkeypatch: pytest.MonkeyPatch) -> None:
    held = [Message("a"), Message("b")]
    assert all(given.accept(message) for message in held)
    given.accept(Message("c"))
    link.turn()
    monkeypatch.setattr(state, "should_stop", 0)  # as Celery does
    given.end(held[0])
    assert link.did == ["cancel"]
