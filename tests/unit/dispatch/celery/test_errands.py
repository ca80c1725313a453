"""What a conductor sends while its blob store does not answer; the broker is kombu's own, in memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from twingraph.dispatch.celery.application import make_app, queue_name
from twingraph.dispatch.celery.errands import PREPARE_SECONDS, Errand, Errands
from twingraph.dispatch.celery.messages import Wish
from twingraph.dispatch.celery.signing import Seal
from twingraph.dispatch.celery.threads import NotYetError
from twingraph.settings import load

QUEUE = queue_name("errands")
LANE: Errand = ("lane", ("c:1", QUEUE, "{}"))
WISH: Errand = ("wishes", [Wish("cancel", "c:0")])


class Store:
    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked = 0

    def prepare(self) -> None:
        self.asked += 1
        assert self.answers.wait(10)


class Scene:
    def __init__(self, prepare: Callable[[], object], patience: float) -> None:
        app = make_app(replace(load({}), broker_url="memory://"))
        self.now = 0.0
        self.said: list[str] = []
        self.connection: Any = app.connection_for_write()
        self.channel.queue_delete(QUEUE)
        self.errands = Errands(app, Seal(b"key"), prepare, lambda: self.now, seen=list, refused=list, patience=patience)

    @property
    def channel(self) -> Any:
        return self.connection.default_channel

    def send(self, *errands: Errand) -> list[Errand]:
        """What is left."""
        batch = deque(errands)
        try:
            self.errands.send(self.connection, batch)
        except NotYetError as error:
            self.said.append(str(error))
        return list(batch)


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store()
    yield made
    made.answers.set()


def test_a_store_that_hangs_holds_up_lanes_and_nothing_else(store: Store) -> None:
    scene = Scene(store.prepare, 0.01)
    assert scene.send(LANE, WISH) == [LANE]
    assert scene.send(LANE, WISH) == [LANE]
    assert scene.said == ["no lane can be sent: the blob store does not answer"] * 2
    store.answers.set()
    while scene.send(LANE):
        assert store.asked == 1  # whatever hangs is not asked again


def test_the_store_is_asked_at_first_and_then_now_and_then(store: Store) -> None:
    store.answers.set()
    scene = Scene(store.prepare, 10)
    for now, asked in ((0, 1), (PREPARE_SECONDS, 1), (PREPARE_SECONDS + 1, 2)):
        scene.now = now
        assert scene.send(LANE) == []
        assert store.asked == asked
