"""Processes of bodies that a worker has, each for one conductor and one code version. They hold no lane.

All on the worker's loop, but for what is fetched. A worker that has no room says nothing; what it cannot start it
gives back, and the conductor has it elsewhere. What is to be said to a process comes by the worker's own queue, which
is heard from the first question on.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from twingraph.dispatch.base import CodeRef
from twingraph.dispatch.celery.carried import Over
from twingraph.dispatch.celery.messages import Alive, BodiesGone, HasRoom, Spoke, UnreadableError, Word, text_in
from twingraph.dispatch.celery.posts import POST, End, Here, More, Open, Post, Say, posts_of
from twingraph.dispatch.celery.signing import ForgedError, Seal
from twingraph.dispatch.host_process import HostProcess, Spoken

LOG = logging.getLogger("twingraph.celery")

# A conductor that has said nothing for so long has gone; it would have taken that of us for granted long before.
SILENCE_SECONDS = 60.0
# Who is asked before its queue is heard looks again so often, and so many times.
LOOK_SECONDS, LOOKS = 0.05, 100
# With so many words waiting for the broker no process is listened to.
MOST_WAITING = 20_000
# So much may be said that the conductor has not taken in; it tells of each 32 messages.
WINDOW = 128
# Whoever ends because the worker does, has so long: see `sdk/body/process`.
LEAVE_SECONDS = 6.0
CLOSE_SECONDS = 2.0
ASKED_TO_END = "the worker was asked to end"


class World(NamedTuple):
    """What a process needs of this machine."""

    code: CodeRef
    hello: dict[str, Any]


class Says(Protocol):
    """An `outbox.Outbox`."""

    def say(self, desk: str, said: Word) -> None: ...

    def waiting(self) -> int: ...


class Ear(Protocol):
    """A `threads.Receiver` of the worker's own queue."""

    @property
    def connected_since(self) -> float | None: ...

    def start(self) -> None: ...

    def acknowledge(self, message: Any) -> None: ...

    def close(self, timeout: float) -> None: ...


def _on_a_thread(act: Callable[[], None]) -> None:
    """What a machine lacks may be far away; a thread for each keeps nobody waiting."""
    threading.Thread(target=act, name="twingraph-fetches-bodies", daemon=True).start()


class Ended(Spoken, Protocol):
    """A `host_process.HostProcess`."""

    @property
    def is_taken(self) -> bool:
        """Whether its end, once it is told, was none of its own doing."""


class Session:
    def __init__(self, session: str, desk: str, now: float) -> None:
        self.id, self.desk, self.seen = session, desk, now
        self.process: Ended | None = None
        self.executions: set[str] = set()
        self.heard_to = self.said_to = self.taken_to = 0  # numbers
        self.leaving = False
        self.saying: list[str] = []


class Hosted:
    """`most` processes; 0: none. `world_of(opening)` may block, and raises what is missing. `ear(heard)` hears the
    worker's own queue. `spawn` starts a process; `aside` does what may block."""

    def __init__(
        self,
        name: str,
        seal: Seal,
        outbox: Says,
        world_of: Callable[[Open], World],
        ear: Callable[[Callable[[Any], None]], Ear],
        *,
        most: int,
        spawn: Callable[..., Ended] = HostProcess,
        aside: Callable[[Callable[[], None]], None] = _on_a_thread,
    ) -> None:
        self._name, self._seal, self._outbox = name, seal, outbox
        self._world_of, self._make_ear, self._most, self._spawn = world_of, ear, most, spawn
        self._aside = aside
        self._ear: Ear | None = None
        self._sessions: dict[str, Session] = {}
        self._over = Over()  # so that a repeated message starts none
        self._draining = False
        self._loop: asyncio.AbstractEventLoop

    # -- for the carrier, on its loop --------------------------------------------------------------

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Before anything else."""
        self._loop = loop

    def asked(self, session: str, desk: str) -> None:
        """Somebody looks for a place for a process of bodies."""
        if not self._has_room():
            self._outbox.say(desk, HasRoom(session, free=False))
            return
        if self._ear is None:
            self._ear = self._make_ear(self._receive)
            self._ear.start()
        self._answer(session, desk, LOOKS)

    def _answer(self, session: str, desk: str, looks: int) -> None:
        """Once what is said to us will be heard."""
        if self._ear is None or not looks:
            return
        if self._ear.connected_since is None:
            self._loop.call_later(LOOK_SECONDS, self._answer, session, desk, looks - 1)
        else:
            self._outbox.say(desk, HasRoom(session, free=True))

    def _has_room(self) -> bool:
        return not self._draining and len(self._sessions) < self._most

    def leave(self, execution: str, desk: str) -> None:
        """It is this desk's now: its bodies for another one end."""
        for session in self._sessions.values():
            if session.desk != desk and execution in session.executions:
                self._stop_bodies(session, [execution], "another conductor has taken the execution over")

    def _stop_bodies(self, session: Session, executions: Sequence[str], why: str) -> None:
        for execution in executions:
            session.executions.discard(execution)
            if session.process is not None:
                session.process.say(["stop", execution, why, None])

    def beat(self) -> None:
        now = self._loop.time()
        desks: dict[str, dict[str, int]] = {}
        for session in list(self._sessions.values()):
            if now - session.seen > SILENCE_SECONDS:
                self._give_back(session, "its conductor has said nothing for long")
            else:
                desks.setdefault(session.desk, {})[session.id] = session.said_to
        for desk, sessions in desks.items():
            self._outbox.say(desk, Alive(sessions))

    def drain(self) -> None:
        """Take nothing more, and give back what is here: bodies that wait can be run again anywhere."""
        self._draining = True
        for session in list(self._sessions.values()):
            if session.process is None:
                self._give_back(session, ASKED_TO_END)
            elif not session.leaving:
                session.leaving = True
                self._stop_bodies(session, list(session.executions), ASKED_TO_END)
                session.process.say(["leave"])
                self._loop.call_later(LEAVE_SECONDS, self._give_back, session, ASKED_TO_END)

    async def end(self) -> None:
        """After `drain`, or in place of it."""
        self.drain()
        deadline = self._loop.time() + LEAVE_SECONDS
        while self._sessions and self._loop.time() < deadline:
            await asyncio.sleep(0.01)
        for session in list(self._sessions.values()):
            self._give_back(session, ASKED_TO_END)
        if self._ear is not None:
            await self._loop.run_in_executor(None, self._ear.close, CLOSE_SECONDS)

    def count(self) -> int:
        return len(self._sessions)

    # -- what conductors say -----------------------------------------------------------------------

    def _receive(self, message: Any) -> None:
        """On the thread of the ear. A repetition is known by its number."""
        try:
            text = text_in(message.body)
            self._seal.check(POST + self._name, text, message.headers.get("signature"))
            desk, posts = posts_of(text)
        except (ForgedError, UnreadableError) as error:
            LOG.error("refused: %s", error)
        else:
            try:
                self._loop.call_soon_threadsafe(self._take, desk, posts)
            except RuntimeError:
                LOG.debug("the worker has ended; nobody hears what was said to its bodies")
        if self._ear is not None:
            self._ear.acknowledge(message)

    def _take(self, desk: str, posts: Sequence[Post]) -> None:
        for post in posts:
            if isinstance(post, Here):
                self._take_here(desk, post)
            elif isinstance(post, Open):
                self._open(desk, post)
            elif isinstance(post, End):
                session = self._of(desk, post.session)
                if session is not None:
                    self._forget(session)
                else:
                    self._over.add(post.session)  # it may come before what it is about
            elif isinstance(post, More):
                session = self._of(desk, post.session)
                if session is not None:
                    session.taken_to = max(session.taken_to, post.number)
            else:
                self._say(desk, post)

    def _of(self, desk: str, session: str) -> Session | None:
        found = self._sessions.get(session)
        return found if found is not None and found.desk == desk else None

    def _take_here(self, desk: str, post: Here) -> None:
        for name, (said_to, taken_to) in post.sessions.items():
            session = self._of(desk, name)
            if session is not None:
                session.seen = self._loop.time()
                session.taken_to = max(session.taken_to, taken_to)
                if said_to > session.heard_to:
                    self._give_back(session, "something that was said to it was lost on the way")

    def _open(self, desk: str, opening: Open) -> None:
        if opening.session in self._sessions or opening.session in self._over:
            return
        if not self._has_room():
            self._outbox.say(desk, BodiesGone(opening.session, "it has no room any more", died=False))
            return
        session = self._sessions[opening.session] = Session(opening.session, desk, self._loop.time())
        self._aside(partial(self._fetch, session, opening))

    def _fetch(self, session: Session, opening: Open) -> None:
        try:
            world = self._world_of(opening)
        except Exception as error:  # whatever keeps it from running here, its conductor must hear of it
            act = partial(self._give_back, session, f"{type(error).__name__}: {error}")
        else:
            act = partial(self._begin, session, world)
        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:
            LOG.debug("the worker has ended; its bodies are run elsewhere")

    def _begin(self, session: Session, world: World) -> None:
        if session.id in self._sessions:
            session.process = self._spawn(
                world.code,
                world.hello,
                partial(self._heard, session),
                partial(self._gone, session),
                partial(self._crowded, session),
                bytes.decode,
            )

    def _say(self, desk: str, post: Say) -> None:
        session = self._of(desk, post.session)
        if session is None or session.process is None or post.number <= session.heard_to:
            return
        session.seen = self._loop.time()
        if post.number > session.heard_to + 1:
            self._give_back(session, "something that was said to it was lost on the way")
            return
        session.heard_to = post.number
        for message in post.said:
            if not session.leaving:
                _note(session.executions, message)
                session.process.say(message)

    # -- what processes say ------------------------------------------------------------------------

    def _crowded(self, session: Session) -> bool:
        return session.said_to - session.taken_to > WINDOW or self._outbox.waiting() > MOST_WAITING

    def _heard(self, session: Session, line: str) -> None:
        """All that is said in one turn goes together."""
        if not session.saying:
            self._loop.call_soon(self._flush, session)
        session.saying.append(line)

    def _flush(self, session: Session) -> None:
        if session.saying and session.id in self._sessions:
            session.said_to += 1
            self._outbox.say(session.desk, Spoke(session.id, session.said_to, session.saying))
            session.saying = []

    def _gone(self, session: Session, why: str) -> None:
        if session.id in self._sessions:
            self._flush(session)
            taken = session.process is not None and session.process.is_taken  # often its worker with it
            left = BodiesGone(session.id, ASKED_TO_END if session.leaving else why, died=not (session.leaving or taken))
            self._outbox.say(session.desk, left)
            self._forget(session)

    def _give_back(self, session: Session, why: str) -> None:
        if session.id in self._sessions:
            self._flush(session)
            self._outbox.say(session.desk, BodiesGone(session.id, why, died=False))
            self._forget(session)

    def _forget(self, session: Session) -> None:
        del self._sessions[session.id]
        self._over.add(session.id)
        if session.process is not None:
            session.process.stop()


def _note(executions: set[str], message: Sequence[Any]) -> None:
    """Whose bodies run in a process, by what is said to it."""
    if message[0] == "open":
        executions.add(str(message[1]))
    elif message[0] == "stop" and message[3] is None:
        executions.discard(str(message[1]))
