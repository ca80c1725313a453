"""What a worker says comes whole and once, whatever becomes of a message; connection and broker are doubles."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from kombu import Connection

from twingraph.dispatch.base import LogLines, Outcome, Returned
from twingraph.dispatch.celery.outbox import Outbox
from twingraph.dispatch.celery.signing import Seal


class Link:
    """A connection that can only be given up."""

    connection_errors = channel_errors = ()

    def release(self) -> None: ...

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None: ...


class Post:
    """What is published, and the faults with which that ends."""

    def __init__(self, fault: Callable[[str], Exception | None]) -> None:
        self._fault = fault
        self.tried: list[str] = []
        self.came: list[str] = []

    def __call__(self, connection: Connection, desk: str, text: str, signature: str) -> None:
        self.tried.append(text)
        fault = self._fault(text)
        if fault is not None:
            raise fault
        self.came.append(text)

    @property
    def words(self) -> list[list[Any]]:
        return [said for text in self.came for said in json.loads(text)["words"]]


Begin = Callable[[Post], Outbox]


@pytest.fixture
def begin() -> Iterator[Begin]:
    begun: list[Outbox] = []

    def begin_(post: Post) -> Outbox:
        outbox = Outbox("w", Seal(b"k" * 32), cast(Callable[[], Connection], Link), post)
        outbox.start()
        begun.append(outbox)
        return outbox

    yield begin_
    for outbox in begun:
        outbox.close(10)


def returned(node: str) -> Returned:
    return Returned("e", [(node, 1)])


def flush(outbox: Outbox) -> None:
    over = threading.Event()
    outbox.after("desk", over.set)
    assert over.wait(10)


def test_a_message_that_may_have_come_is_repeated_word_for_word(begin: Begin) -> None:
    tried, more_is_said = threading.Event(), threading.Event()

    def breaks_once(text: str) -> Exception | None:
        if tried.is_set():
            return None
        tried.set()  # it came there, and the connection broke before that was known
        assert more_is_said.wait(10)
        return ConnectionResetError()

    post = Post(breaks_once)
    outbox = begin(post)
    outbox.say("desk", returned("a"))
    assert tried.wait(10)
    outbox.say("desk", returned("b"))
    more_is_said.set()
    flush(outbox)
    assert post.tried[0] == post.tried[1]
    assert ["a" in text for text in post.tried] == [True, True, False]
    assert [json.loads(text)["number"] for text in post.came] == [1, 2]


def too_long(text: str) -> Exception | None:
    """A broker that does not take what is `long`."""
    return struct.error("too much") if "long" in text else None


def test_one_word_that_can_never_be_sent_holds_up_no_other(begin: Begin) -> None:
    post = Post(too_long)
    outbox = begin(post)
    outbox.say("desk", returned("a"))
    outbox.say("desk", LogLines("e", "n", 1, [(1.0, "info", "out", "long")]))
    outbox.say("desk", returned("b"))
    flush(outbox)
    assert post.words == [["r", "e", [["a", 1]]], ["r", "e", [["b", 1]]]]


def test_a_run_whose_values_cannot_be_sent_has_failed_and_says_why(begin: Begin) -> None:
    post = Post(too_long)
    outbox = begin(post)
    outbox.say("desk", Outcome("e", "n", 2, "completed", 1.0, 2.0, texts=["long"]))
    flush(outbox)
    ((kind, *run, status, _, _, _, _, worker, _, _, texts, error, begun),) = post.words
    assert (kind, run, status, worker, texts, begun) == ("o", ["e", "n", 2], "failed", "w", [], True)
    assert error["message"].startswith("what n made could not be sent to its conductor")
    assert "too much" in error["message"]


def test_what_not_even_its_failure_can_be_said_of_is_let_go(begin: Begin) -> None:
    post = Post(lambda text: struct.error("no") if '"n"' in text else None)
    outbox = begin(post)
    outbox.say("desk", Outcome("e", "n", 1, "completed", 1.0, 2.0))
    outbox.say("desk", returned("b"))
    flush(outbox)
    assert post.words == [["r", "e", [["b", 1]]]]


def test_what_the_broker_is_to_blame_for_goes_again_for_as_long_as_it_takes(begin: Begin) -> None:
    faults: list[Exception] = [ConnectionResetError(), struct.error("torn"), OSError(), struct.error("torn")]
    post = Post(lambda text: faults.pop() if faults else None)
    outbox = begin(post)
    outbox.say("desk", Outcome("e", "n", 1, "completed", 1.0, 2.0))
    flush(outbox)
    assert [said[4] for said in post.words] == ["completed"]
    assert len(set(post.tried)) == 1
