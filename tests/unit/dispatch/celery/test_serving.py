"""A lane on its way from Celery's consumer to the carrier and back; both are doubles."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from twingraph.dispatch.base import RunSettings
from twingraph.dispatch.celery.messages import Offer
from twingraph.dispatch.celery.serving import Intake


class Message:
    def __init__(self, payload: object, *, redelivered: bool = False) -> None:
        self.payload = payload
        self.delivery_info = {"redelivered": redelivered}
        self.became: list[str] = []

    def ack(self) -> None:
        self.became.append("acknowledged")

    def requeue(self) -> None:
        self.became.append("back")


def lane(number: str, *, redelivered: bool = False) -> Message:
    return Message(((number, "signature"), {}, {}), redelivered=redelivered)


class Consumer:
    """Celery's: its loop, its pool of one, its connection, all in one."""

    num_processes = 1

    def __init__(self) -> None:
        self.hub = self.task_consumer = self.pool = self.timer = self
        self.soon: list[Callable[[], None]] = []
        self.reader: tuple[int, Callable[[], None]] | None = None
        self.did: list[str] = []

    def add_reader(self, reading: int, act: Callable[[], None]) -> None:
        self.reader = reading, act

    def call_soon(self, act: Callable[[], None]) -> None:
        self.soon.append(act)

    def call_after(self, seconds: float, act: Callable[[], None]) -> None: ...

    def cancel(self) -> None:
        self.did.append("cancel")

    def consume(self) -> None:
        self.did.append("consume")

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for act in soon:
            act()
        assert self.reader is not None
        self.reader[1]()


class Carrier:
    """It reads every text but `forged`, and those that begin with `async` may wait beside each other."""

    def __init__(self) -> None:
        self.carried: list[tuple[str, bool]] = []
        self.ended: dict[str, Callable[[], None]] = {}
        self.told: dict[str, Callable[[], None] | None] = {}
        self.back: list[str] = []

    def read(self, text: str, given: object) -> Offer | None:
        if text == "forged":
            return None
        settings = RunSettings(component="c", entry="c", asynchronous=text.startswith("async"))
        return Offer(
            id=text,
            desk="d",
            place="p",
            key="k",
            execution="e",
            version="v",
            description="",
            settings=settings,
            runs=[],
        )

    def carry(
        self,
        offer: Offer,
        *,
        redelivered: bool,
        shared: bool,
        ended: Callable[[], None],
        told: Callable[[], None] | None,
    ) -> None:
        assert shared
        self.carried.append((offer.id, redelivered))
        self.ended[offer.id], self.told[offer.id] = ended, told

    def give_back(self, offer: Offer) -> None:
        self.back.append(offer.id)


class Scene:
    def __init__(self) -> None:
        self.consumer, self.carrier = Consumer(), Carrier()
        carrier: Any = self.carrier
        self.intake = Intake(carrier, self.consumer, owes=True)
        self.intake.connected()


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.intake.close()


def test_a_lane_is_acknowledged_on_celerys_loop_when_it_has_ended(scene: Scene) -> None:
    message = lane("1", redelivered=True)
    scene.intake.hear(message)
    assert scene.carrier.carried == [("1", True)]
    scene.carrier.ended["1"]()  # on another thread
    assert message.became == []
    scene.consumer.turn()
    assert message.became == ["acknowledged"]


def test_the_end_of_a_lane_wakes_celerys_loop(scene: Scene) -> None:
    scene.intake.hear(lane("1"))
    assert scene.consumer.reader is not None
    reading, _ = scene.consumer.reader
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    scene.carrier.ended["1"]()
    assert os.read(reading, 1) == b"."


def test_a_lane_that_waits_beside_others_is_acknowledged_when_its_conductor_knows(scene: Scene) -> None:
    message = lane("async")
    scene.intake.hear(message)
    told = scene.carrier.told["async"]
    assert told is not None
    told()
    scene.consumer.turn()
    assert message.became == ["acknowledged"]


def test_what_finds_no_room_goes_back_and_its_conductor_hears_of_it(scene: Scene) -> None:
    first, second = lane("1"), lane("2")
    scene.intake.hear(first)
    scene.intake.hear(second)
    scene.consumer.turn()
    assert second.became == ["back"]
    assert scene.carrier.back == ["2"]
    assert scene.carrier.carried == [("1", False)]


@pytest.mark.parametrize("payload", [(("forged", ""), {}, {}), ((), {}, {}), "text", None])
def test_what_is_no_lane_is_acknowledged_and_never_carried(scene: Scene, payload: object) -> None:
    message = Message(payload)
    scene.intake.hear(message)
    assert message.became == ["acknowledged"]
    assert scene.carrier.carried == []
