"""What a receiver does with messages that are none; its broker is kombu's own, in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection, Producer
from kombu.message import Message

from twingraph.dispatch.celery.application import desk_queue
from twingraph.dispatch.celery.messages import UnreadableError, text_in
from twingraph.dispatch.celery.threads import Receiver

DESK = "twingraph.desk.receiver"


class Noting(Receiver):
    def __init__(self) -> None:
        self.heard: list[object] = []
        self.acknowledged: list[Message] = []
        self.connections = 0
        self.came = threading.Event()
        super().__init__("test-receiver", self._made, desk_queue(DESK), self._take)

    def _made(self) -> Connection:
        self.connections += 1
        return Connection("memory://")

    def _take(self, message: Message) -> None:
        self.heard.append(message.body)
        self.acknowledge(message)
        self.came.set()

    def acknowledge(self, message: Message) -> None:
        self.acknowledged.append(message)
        super().acknowledge(message)


@pytest.fixture
def receiver() -> Iterator[Noting]:
    made = Noting()
    yield made
    made.close(10)


def publish(body: bytes, **headers: Any) -> None:
    with Connection("memory://") as connection:
        channel = connection.default_channel
        Producer(channel).publish(
            body,
            routing_key=DESK,
            exchange="",
            content_type="application/json",
            content_encoding="utf-8",
            headers=headers,
            declare=[desk_queue(DESK)],
        )


@pytest.mark.parametrize("compression", ["nonsense", "gzip"])
def test_what_cannot_be_unpacked_is_refused_and_does_not_come_again(
    receiver: Noting, compression: str, caplog: pytest.LogCaptureFixture
) -> None:
    publish(b"no gzip", compression=compression)
    publish(b"good")
    receiver.start()
    assert receiver.came.wait(10)
    receiver.close(10)
    assert (receiver.heard, len(receiver.acknowledged), receiver.connections) == ([b"good"], 2, 1)
    assert "refused: a message that cannot be unpacked" in caplog.text


def test_text_is_read_whatever_holds_it() -> None:
    assert [text_in(body) for body in ("é", "é".encode(), bytearray(b"e"), memoryview(b"e"))] == ["é", "é", "e", "e"]


@pytest.mark.parametrize("body", [10**10, None, [1], {"a": 1}, b"\xff"])
def test_what_is_no_text_is_refused_before_anything_is_made_of_it(body: object) -> None:
    with pytest.raises(UnreadableError, match="no text"):
        text_in(body)
