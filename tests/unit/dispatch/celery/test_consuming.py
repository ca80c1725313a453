"""What Celery's consumer does with messages that are no lanes."""

from __future__ import annotations

from typing import Any

import pytest
from kombu import Connection
from kombu.exceptions import DecodeError
from kombu.transport.virtual import Message

from twingraph.dispatch.celery.application import make_app
from twingraph.dispatch.celery.consuming import Careful
from twingraph.settings import load


def undecoded(*given: object) -> None:
    raise DecodeError("no JSON")


def listening() -> Any:
    """What the consumer of a worker does with a message."""
    made = Careful.__new__(Careful)  # without a worker
    made.strategies = Careful.Strategies(ours=undecoded)
    made.connection_errors = ()
    made.on_task_message, made._maximum_prefetch_restored = set(), True
    return made.create_task_handler()


@pytest.mark.parametrize("body", [5, b"5", b"[", None])
@pytest.mark.parametrize(
    "headers", [{}, {"task": []}, {"task": {}}, {"task": None}, {"task": "nobody"}, {"task": "ours"}]
)
def test_what_is_no_lane_is_refused_and_harms_nobody(
    headers: dict[str, object], body: object, caplog: pytest.LogCaptureFixture
) -> None:
    with Connection("memory://") as connection:
        channel = connection.channel()
        payload = {"body": None, "headers": headers, "content-type": "application/json", "content-encoding": "utf-8"}
        message = Message({**payload, "properties": {"delivery_tag": "1"}}, channel)
        message.body = body
        message.accept = {"application/json"}
        listening()(message)
        assert message.acknowledged
    assert caplog.text.count("refused: a message that is no lane") == 1


def test_every_worker_listens_in_this_way() -> None:
    app = make_app(load({"broker_url": "redis://127.0.0.1:1/0"}))
    assert app.conf.worker_consumer == f"{Careful.__module__}:{Careful.__name__}"
