"""The sender outlives whatever a broken connection raises, and sends then what it could not."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import pytest
from kombu.exceptions import OperationalError

from twingraph.dispatch.celery.threads import NotYetError, Sender


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


def test_what_could_not_be_sent_yet_counts_as_waiting() -> None:
    failed, end = threading.Event(), threading.Event()

    def send(connection: Any, batch: deque[int]) -> None:
        if end.is_set():
            batch.clear()
            return
        failed.set()
        raise OSError

    sender: Sender[int] = Sender("a sender", Link, send)
    for number in range(5):
        sender.put(number)
    sender.start()
    assert failed.wait(10)
    assert sender.waiting() == 5
    end.set()
    sender.close(10)
    assert sender.waiting() == 0


def test_what_can_never_be_sent_is_let_go_of_and_the_rest_goes() -> None:
    sent: list[int] = []
    over = threading.Event()

    def send(connection: Any, batch: deque[int]) -> None:
        while batch:
            if batch[0] == 1:
                raise ValueError("too long")
            sent.append(batch.popleft())
        over.set()

    def give_up(batch: deque[int], error: Exception) -> bool:
        assert str(error) == "too long"
        batch.popleft()
        return True

    sender: Sender[int] = Sender("a sender", Link, send, give_up)
    sender.put(1)
    sender.put(2)
    sender.start()
    assert over.wait(10)
    sender.close(10)
    assert sent == [2]


def test_what_is_not_ready_keeps_its_connection_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    used: list[Any] = []
    over = threading.Event()

    def send(connection: Any, batch: deque[int]) -> None:
        used.append(connection)
        if len(used) == 1:
            raise NotYetError("the store is full")
        batch.clear()
        over.set()

    sender: Sender[int] = Sender("a sender", Link, send)
    sender.put(1)
    sender.start()
    assert over.wait(10)
    sender.close(10)
    assert used[0] is used[1]
    assert "the store is full; trying until that is mended" in caplog.text
    assert "the broker cannot be reached" not in caplog.text
