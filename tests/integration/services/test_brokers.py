"""Brokers of our own: they keep what they were given through kills, forget when told to, and leave nothing behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection, Exchange, Queue
from kombu.simple import SimpleQueue

from tests.support.brokers import BROKERS, own_broker, url_of
from tools.services.base import Service
from twingraph.dispatch.broker import look

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module", params=BROKERS)
def broker(request: pytest.FixtureRequest) -> Iterator[Service]:
    with own_broker(request.param) as service:
        yield service


def queue(connection: Connection) -> SimpleQueue:
    """A durable one, as ours are."""
    kept = Queue("kept", Exchange("kept", type="direct"), routing_key="kept", durable=True)
    return SimpleQueue(connection, kept)


def put(broker: Service, *values: int) -> None:
    sure = {"confirm_publish": True}
    with Connection(url_of(broker), transport_options=sure) as connection, queue(connection) as numbers:
        for value in values:
            numbers.put(value)


def taken(broker: Service, count: int) -> list[int]:
    """So many are waited for, and then a moment for what should not be there."""
    found: list[int] = []
    with Connection(url_of(broker)) as connection, queue(connection) as numbers:
        while True:
            try:
                message = numbers.get(timeout=30 if len(found) < count else 0.5)
            except numbers.Empty:
                return found
            message.ack()
            found.append(message.payload)


def processes_that_name(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if os.fsencode(folder) in words:
                found.append(entry.name)
    return found


def test_a_second_start_changes_nothing(broker: Service) -> None:
    first = broker.pid()
    broker.start()
    assert broker.pid() == first


def test_it_answers_to_a_doctor_with_its_version(broker: Service) -> None:
    found = look(url_of(broker))
    assert found.server.startswith({"redis": "Redis ", "rabbitmq": "RabbitMQ "}[broker.name])
    assert (found.wrong, found.risk) == (None, None)


def test_it_keeps_what_it_was_given_through_a_kill_and_comes_back_on_its_port(broker: Service) -> None:
    put(broker, 1, 2)
    port = broker.port()
    os.kill(broker.pid(), signal.SIGKILL)
    while broker.running():
        pass
    assert "refused" in str(look(url_of(broker)).wrong)
    broker.start()
    assert broker.port() == port
    assert taken(broker, 2) == [1, 2]


def test_a_reset_forgets_and_a_stop_leaves_no_process(broker: Service) -> None:
    put(broker, 3)
    broker.reset()
    assert taken(broker, 0) == []
    broker.stop()
    assert broker.standing().state == "installed"
    assert processes_that_name(broker.folder) == []
