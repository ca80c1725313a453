"""When items leave, and that none is lost or late."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

import pytest

from twingraph.core.codec import CodecError, Encoded, encode
from twingraph.executors import handing
from twingraph.executors.handing import Handing


class Taken:
    def __init__(self, gather: float = handing.GATHER_SECONDS) -> None:
        self.messages: list[tuple[int, list[object]]] = []
        self.came = threading.Event()
        self.handing = Handing(store, self.send, None, gather)

    def send(self, start: int, texts: Sequence[str]) -> None:
        self.messages.append((start, [json.loads(text) for text in texts]))
        if len(self.messages) > 1:
            self.came.set()


def store(value: object, path: str) -> Encoded:
    return encode(value, path=path)


def test_the_first_leaves_at_once_and_the_others_together() -> None:
    taken = Taken(gather=3600.0)
    for number in range(1000):
        taken.handing.give(number)
    assert taken.messages == [(0, [0])]
    taken.handing.finish()
    assert taken.messages == [(0, [0]), (1, list(range(1, 1000)))]


def test_what_comes_seldom_leaves_at_once() -> None:
    taken = Taken(gather=0.0)
    for number in range(3):
        taken.handing.give(number)
    assert taken.messages == [(0, [0]), (1, [1]), (2, [2])]


def test_what_was_gathered_leaves_while_the_generator_is_busy() -> None:
    taken = Taken()
    taken.handing.give("a")
    taken.handing.give("b")
    assert taken.came.wait(10)
    assert taken.messages == [(0, ["a"]), (1, ["b"])]


def test_nothing_is_sent_twice_at_the_end() -> None:
    taken = Taken()
    taken.handing.give("a")
    taken.handing.finish()
    taken.handing.finish()
    assert taken.messages == [(0, ["a"])]


def test_an_unfit_item_is_refused_by_its_place() -> None:
    taken = Taken()
    taken.handing.give(1)
    with pytest.raises(CodecError, match=r"output\[1\]"):
        taken.handing.give(threading.Lock())
