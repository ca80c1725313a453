"""What bodies print and log: lines of the execution's log, and silence while a body is replayed.

Streams belong to a process and bodies are threads of it, so that the process's streams are replaced, while any body is
alive, by ones that look who writes.
"""

from __future__ import annotations

import sys
import threading
from functools import cache
from time import time
from typing import TYPE_CHECKING, Any

from twingraph.core.bodies import BodyLog
from twingraph.sdk.body.active import active
from twingraph.sdk.body.body import Body

if TYPE_CHECKING:
    import logging

_STREAMS = {"stdout": "info", "stderr": "warning"}


class Stream:
    """Stands in the place of `sys.stdout` or `sys.stderr`."""

    def __init__(self, under: Any, name: str) -> None:
        self._under = under
        self._name = name
        self._begun: dict[Body, str] = {}  # a line that has no end yet

    def write(self, text: str) -> int:
        body = active.caller
        if not isinstance(body, Body):
            return int(self._under.write(text) or 0)
        if not body.speaks_anew():
            return len(text)
        *lines, rest = (self._begun.pop(body, "") + text).split("\n")
        if rest:
            self._begun[body] = rest
        self._say(body, lines)
        if body.prints_are_shown():
            self._under.write(text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def end(self, body: Body) -> None:
        """The body has ended: what it began to write is a line too."""
        rest = self._begun.pop(body, "")
        if rest:
            self._say(body, [rest])

    def _say(self, body: Body, lines: list[str]) -> None:
        if lines:
            level, moment = _STREAMS[self._name], time()
            body.say([BodyLog(moment, level, self._name, line) for line in lines])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._under, name)


# `print` of another thread may be writing to one when it is taken out, and holds no reference to it.
_made: list[Stream] = []


class Speaking:
    """In place while bodies are alive, of whichever host: hosts whose bodies come and go together would else put
    back the streams of one another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alive = 0
        self._streams: dict[str, Stream] = {}
        self._known: dict[tuple[int, str], Stream] = {}  # few, since a program seldom changes its streams
        self._handler: logging.Handler | None = None

    def begin(self) -> None:
        with self._lock:
            self._alive += 1
            for name in _STREAMS:
                under = getattr(sys, name)
                if under is not None and not isinstance(under, Stream):
                    self._streams[name] = self._over(under, name)
                    setattr(sys, name, self._streams[name])
        if "logging" in sys.modules:
            self.listen()

    def listen(self) -> None:
        """To what bodies log; also when `logging` has come only now, while some are alive."""
        with self._lock:
            if self._alive and self._handler is None:
                self._handler = _listening()

    def _over(self, under: Any, name: str) -> Stream:
        stream = self._known.get((id(under), name))
        if stream is None:
            stream = self._known[id(under), name] = Stream(under, name)
            _made.append(stream)  # and so `under` stays, whose id is asked for
        return stream

    def end(self, body: Body | None) -> None:
        with self._lock:
            if body is not None:
                for stream in self._streams.values():
                    stream.end(body)
            self._alive -= 1
            if self._alive:
                return
            for name, stream in self._streams.items():
                if getattr(sys, name) is stream:
                    setattr(sys, name, stream._under)
            self._streams.clear()
            if self._handler is not None:
                sys.modules["logging"].getLogger().removeHandler(self._handler)
                self._handler = None


speaking = Speaking()  # of this process


def _listening() -> logging.Handler:
    ear = _ear()
    sys.modules["logging"].getLogger().addHandler(ear)
    return ear


@cache
def _ear() -> logging.Handler:
    """A handler of the root logger for what bodies log. Made when somebody else has loaded `logging`."""
    import logging

    class Ear(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            """Without the lock: one body may wait in here for its history, and others log meanwhile."""
            self.emit(record)
            return True

        def emit(self, record: logging.LogRecord) -> None:
            body = active.caller
            if isinstance(body, Body) and body.speaks_anew():
                level = record.levelname.lower()
                body.say([BodyLog(record.created, level, "logging", self.format(record))])

    return Ear()
