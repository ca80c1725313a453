"""What workers said that is applied and not written yet: it is acknowledged once it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from kombu.message import Message

Name = tuple[str, int]  # a worker, and its own number of what it said


class _Applied(NamedTuple):
    messages: list[Message]  # it comes again when the connection breaks before the commit
    about: set[str]  # executions


class Owing:
    """Belongs to the conductor's loop."""

    def __init__(self, acknowledge: Callable[[Message], None]) -> None:
        self._acknowledge = acknowledge
        self._applied: dict[Name, _Applied] = {}

    @property
    def messages(self) -> int:
        """How many of them a broker keeps until then."""
        return sum(len(applied.messages) for applied in self._applied.values())

    def heard(self, name: Name, message: Message, about: Iterable[str] = ()) -> None:
        """Something about these executions is to be journaled because of it. When it came before, and that is not
        written yet, it waits for that."""
        before = self._applied.get(name)
        if before is not None:
            before.messages.append(message)
            before.about.update(about)
        elif fresh := set(about):
            self._applied[name] = _Applied([message], fresh)
        else:
            self._acknowledge(message)

    def committed(self, unwritten: Collection[str]) -> None:
        """Everything that was applied is durable, but for what is about these executions."""
        for name, (messages, about) in list(self._applied.items()):
            if about.isdisjoint(unwritten):
                del self._applied[name]
                for message in messages:
                    self._acknowledge(message)
