"""What a conductor sends while its blob store does not answer; the broker is kombu's own, in memory."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from twingraph.dispatch.celery.application import make_app, queue_name
from twingraph.dispatch.celery.errands import PREPARE_SECONDS, WAITS_SECONDS, Errand, Errands
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


class App:
    """A real one whose remote control is noted."""

    def __init__(self) -> None:
        self.app = make_app(replace(load({}), broker_url="memory://"))
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


class Scene:
    def __init__(self, prepare: Callable[[], object], patience: float) -> None:
        self.app = app = App()
        self.now = 0.0
        self.said: list[str] = []
        self.connection: Any = app.connection_for_write()
        self.empty: list[set[str]] = []
        self.channel.queue_delete(QUEUE)
        self.errands = Errands(
            app,
            Seal(b"key"),
            prepare,
            lambda: self.now,
            seen=self.empty.append,
            refused=list,
            is_over=bool,
            patience=patience,
        )

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


def test_workers_hear_now_and_then_where_something_waits(store: Store) -> None:
    store.answers.set()
    scene = Scene(store.prepare, 10)
    scene.send(LANE)
    look: Errand = ("look", [QUEUE, queue_name("nothing")])
    said = []
    for now in (0, WAITS_SECONDS, WAITS_SECONDS + 1):
        scene.now = now
        scene.send(look)
        said.append(list(scene.app.wishes))
    waits = ["waits", "", [QUEUE], None]
    assert said == [[waits], [waits], [waits, waits]]
    assert scene.empty == [{queue_name("nothing")}] * 3
