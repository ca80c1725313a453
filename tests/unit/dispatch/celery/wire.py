"""A wire between conductors and the workers that run bodies: both ends are real, the processes and time are not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tests.support.hand_loop import HandLoop
from twingraph.core.errors import PermanentError
from twingraph.dispatch.base import CodeRef
from twingraph.dispatch.celery.errands import Errand
from twingraph.dispatch.celery.far_hosts import FarHosts
from twingraph.dispatch.celery.hosted import Hosted, World
from twingraph.dispatch.celery.messages import (
    OfBodies,
    Word,
    reports_of,
    reports_text,
    word,
)
from twingraph.dispatch.celery.posts import POST, Open, posts_of
from twingraph.dispatch.celery.signing import Seal
from twingraph.dispatch.host_process import Owner, Spoken

SEAL = Seal(b"key")
DESK = "desk"
CODE = CodeRef(version="v", bundle_path="", interpreter="", working_dir="", description="{}")


class Process:
    """See `host_process.HostProcess`; it says only what a test has it say."""

    def __init__(
        self,
        code: CodeRef,
        hello: Mapping[str, Any],
        heard: Callable[[Any], None],
        gone: Callable[[str], None],
        crowded: Callable[[], bool],
        read: Callable[[bytes], Any] = json.loads,
    ) -> None:
        self.code, self.gone, self.crowded = code, gone, crowded
        self._heard, self._read = heard, read
        self.told: list[Any] = []
        self.over = self.is_taken = False
        self.pid: int | None = 7

    def speak(self, *message: object) -> None:
        self.babble(json.dumps(message))

    def babble(self, line: str) -> None:
        self._heard(self._read(line.encode()))

    def say(self, message: Any) -> None:
        self.told.append(message)

    def stop(self) -> None:
        self.over = True


class Message:
    def __init__(self, body: object, signature: str) -> None:
        self.body = body.encode() if isinstance(body, str) else body
        self.headers = {"signature": signature}


class Ear:
    connected_since: float | None = 0.0

    def __init__(self, heard: Callable[[Any], None]) -> None:
        self.heard = heard
        self.begun = False
        self.acknowledged: list[Any] = []

    def start(self) -> None:
        self.begun = True

    def acknowledge(self, message: Any) -> None:
        self.acknowledged.append(message)

    def close(self, timeout: float) -> None: ...


class Worker:
    """Its outbox too."""

    def __init__(self, wire: Wire, name: str, most: int) -> None:
        self.wire, self.name = wire, name
        self.processes: list[Process] = []
        self.lacks = ""
        self.alive = True
        self.behind = 0
        self.ear: Ear | None = None
        self.hosted = Hosted(name, SEAL, self, self.world_of, self.make_ear, most=most, spawn=self.spawn, aside=_now)
        loop: Any = wire.loop
        self.hosted.begin(loop)
        self._beat()

    def _beat(self) -> None:
        if self.alive:
            self.hosted.beat()
        self.wire.loop.call_later(2.0, self._beat)

    def world_of(self, opening: Open) -> World:
        if self.lacks:
            raise PermanentError(self.lacks)
        return World(CODE, {"version": opening.version})

    def make_ear(self, heard: Callable[[Any], None]) -> Ear:
        self.ear = Ear(heard)
        return self.ear

    def spawn(self, *given: Any) -> Process:
        self.processes.append(Process(*given))
        return self.processes[-1]

    @property
    def process(self) -> Process:
        return self.processes[-1]

    def say(self, desk: str, said: Word) -> None:
        assert desk == DESK
        self.wire.up(self, said)

    def waiting(self) -> int:
        return self.behind

    def hear(self, body: object, signature: str) -> None:
        if self.ear is not None and self.alive:
            self.ear.heard(Message(body, signature))


def _now(act: Callable[[], None]) -> None:
    act()


class Wire:
    """A conductor, its workers, and a broker that may be away or lose something."""

    def __init__(self) -> None:
        self.loop = HandLoop()
        self.workers: dict[str, Worker] = {}
        self.lost: list[type] = []  # the next of these does not arrive
        self.away = self.killed = False
        self.held: list[Callable[[], None]] = []
        self.up_log: list[OfBodies] = []
        self.down_log: list[Any] = []
        loop: Any = self.loop
        self.hosts = FarHosts("c", DESK, "place", "key", self.down, self.loop.time, lambda: loop)
        self.near: list[Process] = []
        self.crowded = False
        self._tick()

    def _tick(self) -> None:
        if not self.away and not self.killed:
            self.hosts.tick(self.loop.time())
        self.loop.call_later(0.5, self._tick)

    def worker(self, name: str = "w", most: int = 2) -> Worker:
        self.workers[name] = Worker(self, name, most)
        return self.workers[name]

    def up(self, worker: Worker, said: Word) -> None:
        text = reports_text(worker.name, 1, [word(said)])
        _, _, (come,) = reports_of(text)
        assert come == said
        assert isinstance(come, OfBodies)
        taken = come
        if not self._is_lost(type(said)):
            self._carry(lambda: self._heard(worker.name, taken))

    def _heard(self, worker: str, said: OfBodies) -> None:
        self.up_log.append(said)
        if not self.killed:
            self.hosts.take(worker, said)

    def down(self, errand: Errand) -> None:
        kind, what = errand
        if kind == "wishes":
            for wish in what:
                assert wish.act == "host"
                for worker in list(self.workers.values()):
                    if worker.alive:
                        self._carry(partial(worker.hosted.asked, wish.lane, *wish.nodes))
            return
        _, name, text = what
        _, (post,) = posts_of(text)
        assert kind == ("open" if isinstance(post, Open) else "post")
        self.down_log.append(post)
        if not self._is_lost(type(post)):
            self._carry(lambda: self.workers[name].hear(text, SEAL.sign(POST + name, text)))

    def _is_lost(self, kind: type) -> bool:
        if kind in self.lost:
            self.lost.remove(kind)
            return True
        return False

    def _carry(self, act: Callable[[], None]) -> None:
        if self.away:
            self.held.append(act)
        else:
            self.loop.call_soon(act)

    def back(self) -> None:
        self.away = False
        self.hosts.begin_anew(self.loop.time())
        held, self.held = self.held, []
        for act in held:
            self.loop.call_soon(act)

    def start_near(self) -> Spoken:
        self.near.append(Process(CODE, {}, lambda message: None, lambda why: None, lambda: False))
        return self.near[-1]


class Asked:
    """Who wants a process."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.heard: list[Any] = []
        self.gone: list[str] = []
        self.stranded: list[str] = []
        owner = Owner(self._take, self.gone.append, self.stranded.append, lambda: wire.crowded)
        self.process = wire.hosts.elsewhere(CODE, wire.start_near, owner)

    def _take(self, message: Any) -> None:
        kind, *rest = message
        self.heard.append([kind, *rest])


def begun(wire: Wire, worker: Worker) -> Asked:
    asked = Asked(wire)
    wire.loop.settle()
    worker.process.speak("hello")
    wire.loop.settle()
    return asked


def opened(wire: Wire, worker: Worker) -> Asked:
    asked = begun(wire, worker)
    asked.process.say(["open", "e", "", "entry", [], None])
    wire.loop.settle()
    return asked
