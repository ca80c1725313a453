"""Containers that serve many runs of one kind, one after another: those of a component whose container is the same.

Each run is a process of its own, forked from one that has seen no other run; what it leaves behind is ended before the
next begins. The engine removes such a container as soon as it ends: when nothing has come for a while, when this
process is gone (its standard input ends then), or when a run in it was cancelled.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from twingraph.core.codec_base import dumps_sorted
from twingraph.core.hashing import content_hash
from twingraph.core.recordclass import recordclass
from twingraph.executors.base import Task
from twingraph.executors.docker.client import EngineError, Line
from twingraph.executors.docker.request import Request, RequestError

WARM = "twingraph.warm"
IDLE_SECONDS = 60.0
# When all are busy and there are as many as the engine has cores, so long passes before one more is started.
PATIENCE_SECONDS = 0.25


@recordclass(frozen=False, kw_only=False)
class WarmPlace:
    """A container that waits for a run, or carries one out."""

    kind: str
    name: str
    id: str
    line: Line
    runs: int = 0


class HasCores(Protocol):
    address: str

    def cores(self) -> int: ...


class WarmPlaces:
    """Any thread may call it."""

    def __init__(self, patience: float = PATIENCE_SECONDS, now: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._now = now
        self._idle: dict[str, list[WarmPlace]] = {}
        self._alive: Counter[str] = Counter()
        self._moved: dict[str, float] = {}  # when one was last given back, or one more was begun
        self._cores: dict[str, int] = {}
        self._changed = threading.Condition()
        self._closed = False

    def take(self, kind: str, engine: HasCores) -> WarmPlace | bool:
        """An idle one; or True: one more is to be started, which counts as alive until `left`; or False: ask again.

        As many as the engine has cores are started at once; over that, one more whenever none came free for a while.
        """
        most = self._most(engine)
        with self._changed:
            for last in (False, True):
                self._forget_ended()
                if self._idle.get(kind):
                    return self._idle[kind].pop()  # the one that was used last, so that the others may end
                now = self._now()
                if self._alive[kind] < most or now - self._moved.get(kind, 0.0) >= self._patience:
                    self._alive[kind] += 1
                    self._moved[kind] = now
                    return True
                if not last:
                    self._changed.wait(self._patience)
            return False

    def _forget_ended(self) -> None:
        """Of every kind: nobody may ask for one of theirs again, and each holds a connection to the engine."""
        for kind, idle in list(self._idle.items()):
            still = []
            for place in idle:
                if place.line.is_still:
                    still.append(place)
                else:
                    place.line.close()
                    self._alive[kind] -= 1
            if still:
                self._idle[kind] = still
            else:
                del self._idle[kind]

    def _most(self, engine: HasCores) -> int:
        if engine.address not in self._cores:
            with suppress(EngineError):
                self._cores[engine.address] = max(1, engine.cores())
        return self._cores.get(engine.address, 1)

    def give(self, place: WarmPlace) -> None:
        place.runs += 1
        with self._changed:
            self._moved[place.kind] = self._now()
            self._forget_ended()
            if not self._closed:
                self._idle.setdefault(place.kind, []).append(place)
                self._changed.notify()
                return
        place.line.close()

    def left(self, kind: str) -> None:
        """One that was taken is no more."""
        with self._changed:
            self._alive[kind] -= 1
            self._changed.notify()

    def close(self) -> None:
        """Who hears nothing any more ends by itself."""
        with self._changed:
            self._closed = True
            places = [place for idle in self._idle.values() for place in idle]
            self._idle.clear()
        for place in places:
            place.line.close()


def idle_seconds(task: Task) -> float:
    """`config={'warm': True}`, or a number of seconds."""
    given = task.config.get("warm")
    if given is True:
        return IDLE_SECONDS
    if isinstance(given, bool) or not isinstance(given, int | float) or given <= 0:
        raise RequestError(f"config.warm: must be True, or for how many seconds an idle one waits, not {given!r}")
    return float(given)


def warm_kind(task: Task, request: Request) -> str:
    """Equal for runs that may use one container after another: nothing of it shows which of them it is."""
    own = {name: value for name, value in request.labels.items() if not name.startswith("twingraph.")}
    parts = [
        task.component, task.entry, task.code_version, request.image, list(request.entrypoint), request.user,
        dict(request.environment), own, dict(request.host), task.config.get("host"), idle_seconds(task),
    ]  # fmt: skip
    return content_hash(dumps_sorted(parts).encode())[:12]


def warm_request(request: Request, kind: str, home: str, component: str) -> Request:
    own = {name: value for name, value in request.labels.items() if not name.startswith("twingraph.")}
    labels = {**own, "twingraph.home": home, "twingraph.component": component, WARM: kind}
    name = f"twingraph-{home[:8]}-warm-{kind}-{secrets.token_hex(4)}"
    return replace(request, name=name, labels=labels, host={**request.host, "auto_remove": True})
