"""How a worker looks for a broker that is away."""

from __future__ import annotations

from typing import Any

from twingraph.dispatch.celery.application import SAID_EVERY, Persistent, make_app
from twingraph.settings import load


class Away(Persistent):
    """It is reached after so many tries that it was said twice that it is away."""

    again_seconds = 0.0

    def __init__(self) -> None:
        super().__init__("memory://")
        self.tries = 0

    def _connection_factory(self) -> Any:
        self.tries += 1
        if self.tries <= SAID_EVERY + 1:
            raise self.recoverable_connection_errors[0]("refused")
        return super()._connection_factory()


def test_it_looks_again_and_again_and_says_so_now_and_then() -> None:
    broker = Away()
    said: list[float] = []
    broker.ensure_connection(lambda error, seconds: said.append(seconds), None, interval_max=30)
    assert broker.connected
    assert broker.tries == SAID_EVERY + 2
    assert said == [0.0, 0.0]  # kombu's pace would have grown
    broker.release()


def test_a_worker_is_connected_in_this_way() -> None:
    app = make_app(load({"broker_url": "redis://127.0.0.1:1/0"}))
    connection = app.connection_for_read()  # it is not opened
    assert type(connection) is Persistent
    assert connection.again_seconds <= 1.0
