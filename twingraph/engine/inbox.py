"""What processes leave for the conductor that holds an execution, in the words of the journal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from twingraph.core.codec import hash_text
from twingraph.core.events import CancelRequested, Event, PauseRequested, ResumeRequested, SignalReceived
from twingraph.store.base import Message

_WISHES: Mapping[str, Event] = {
    "cancel": CancelRequested(),
    "pause": PauseRequested(),
    "resume": ResumeRequested(),
}


def signal_body(name: str, text: str) -> str:
    """A signal with its value, as it lies in the inbox."""
    size = len(text.encode("utf-8", "surrogatepass"))
    return json.dumps({"name": name, "text": text, "hash": hash_text(text), "size": size})


def event_of(message: Message) -> tuple[Event, Sequence[str] | None] | None:
    """The event that a message asks for, with the lines of its data; None for one that cannot be read here."""
    if message.kind == "signal":
        return _signal(message.body)
    wish = _WISHES.get(message.kind)
    return None if wish is None else (wish, None)


def _signal(body: str) -> tuple[Event, Sequence[str]] | None:
    """What nobody can read must not stop those who can be helped: it is None."""
    try:
        raw = json.loads(body)
        name, text, digest, size = raw["name"], raw["text"], raw["hash"], raw["size"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not (isinstance(name, str) and isinstance(text, str) and isinstance(digest, str) and type(size) is int):
        return None
    return SignalReceived(name, ("output", digest, size)), [text]
