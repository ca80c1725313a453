"""What a worker says comes whole and once: a message that failed goes again as it was, whatever was said meanwhile."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from kombu import Connection, Producer, Queue

from twingraph.dispatch.base import Returned
from twingraph.dispatch.celery.outbox import Outbox
from twingraph.dispatch.celery.signing import Seal


def returned(node: str) -> Returned:
    return Returned("e", [(node, 1)])


def test_a_message_that_may_have_come_is_repeated_word_for_word(monkeypatch: pytest.MonkeyPatch) -> None:
    published: list[str] = []
    second_is_said, over = threading.Event(), threading.Event()
    publish = Producer.publish

    def breaks_once(producer: Producer, body: bytes, **more: Any) -> Any:
        published.append(body.decode())
        if len(published) == 1:  # it came there, and the connection broke before that was known
            second_is_said.wait(10)
            raise ConnectionResetError
        return publish(producer, body, **more)

    monkeypatch.setattr(Producer, "publish", breaks_once)
    with Connection("memory://") as connection:
        Queue("desk", routing_key="desk")(connection.default_channel).declare()
        outbox = Outbox("w", Seal(b"k" * 32), lambda: connection.clone())
        outbox.start()
        outbox.say("desk", returned("a"))
        while not published:
            pass
        outbox.say("desk", returned("b"))
        outbox.after("desk", over.set)
        second_is_said.set()
        assert over.wait(10)
        outbox.close(10)
    assert published[0] == published[1]
    assert len(published) == 3
    assert ["a" in text for text in published] == [True, True, False]
    assert all(json.loads(text) for text in published)
