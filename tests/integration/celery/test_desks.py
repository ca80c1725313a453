"""What is said to a conductor that is gone does not stay with the broker for ever."""

from __future__ import annotations

import threading

import pytest
import redis
from kombu import Connection

from tests.support.brokers import only_with_redis, own_broker, url_of
from twingraph.dispatch.base import Returned
from twingraph.dispatch.celery.application import DESK_EXPIRES_SECONDS
from twingraph.dispatch.celery.outbox import Outbox
from twingraph.dispatch.celery.signing import Seal


@only_with_redis
@pytest.mark.timeout(60)
def test_what_is_said_to_a_desk_that_nobody_has_expires() -> None:
    with own_broker("redis") as broker, redis.Redis.from_url(url_of(broker)) as client:
        outbox = Outbox("w", Seal(b"k" * 32), lambda: Connection(url_of(broker)))
        outbox.start()
        try:
            for _ in range(2):  # the second comes after the first has been removed
                client.delete("desk")
                said = threading.Event()
                outbox.say("desk", Returned("e", [("a", 1)]))
                outbox.after("desk", said.set)
                assert said.wait(20)
                assert client.llen("desk") == 1
                assert 0 < client.ttl("desk") <= DESK_EXPIRES_SECONDS
        finally:
            outbox.close(10)
