"""The sender outlives whatever a broken connection raises, and sends then what it could not."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import pytest
from kombu.exceptions import OperationalError

from twingraph.dispatch.celery.threads import Sender


class Link:
    """A connection that can only be given up."""

    connection_errors = channel_errors = ()

    def release(self) -> None:
        return


@pytest.mark.parametrize("trouble", [OperationalError("refused"), AttributeError("no attribute 'hostname'"), OSError()])
def test_what_was_not_sent_goes_again_whatever_went_wrong(trouble: Exception) -> None:
    sent: list[int] = []
    troubles = [trouble]
    both = threading.Event()

    def send(connection: Any, batch: deque[int]) -> None:
        if troubles:
            raise troubles.pop()
        while batch:
            sent.append(batch.popleft())
        if len(sent) == 2:
            both.set()

    sender: Sender[int] = Sender("a sender", Link, send)
    sender.start()
    sender.put(1)
    sender.put(2)
    assert both.wait(10)
    sender.close(10)
    assert sent == [1, 2]
