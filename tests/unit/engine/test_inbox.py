"""What processes leave for a conductor."""

from __future__ import annotations

import pytest

from twingraph.core.codec import encode
from twingraph.core.events import CancelRequested, SignalReceived
from twingraph.engine.inbox import event_of, signal_body
from twingraph.store.base import Message


def test_a_signal_comes_with_its_value() -> None:
    value = encode({"ä": 1})
    message = Message(1, 1, "signal", signal_body("go", value.text))
    assert event_of(message) == (SignalReceived("go", ("output", value.hash, value.size)), [value.text])


def test_a_wish_is_an_event() -> None:
    assert event_of(Message(1, 1, "cancel", "{}")) == (CancelRequested(), None)


@pytest.mark.parametrize(("kind", "body"), [("wave", "{}"), ("signal", "{"), ("signal", "{}"), ("signal", "[]")])
def test_what_cannot_be_read_is_nobodys(kind: str, body: str) -> None:
    assert event_of(Message(1, 1, kind, body)) is None
