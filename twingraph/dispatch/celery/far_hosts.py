"""Processes of bodies on workers, as their conductor sees them. On the conductor's loop.

Somebody who has room is asked for by a broadcast; who answers first is told to start the process. Nothing is said to it
before it has said that it is there, so that until then it can be had elsewhere without a body having run twice: with
another worker that answered, else on this machine. After that, whatever goes wrong ends the process, and its bodies
are run again from the top.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any

from twingraph.dispatch.base import CodeRef
from twingraph.dispatch.celery.errands import Errand
from twingraph.dispatch.celery.holding import SILENCE_SECONDS
from twingraph.dispatch.celery.messages import Alive, BodiesGone, HasRoom, OfBodies, Spoke, Wish
from twingraph.dispatch.celery.posts import End, Here, More, Open, Post, Say, post_text
from twingraph.dispatch.embedded.protocol import GARBLED
from twingraph.dispatch.host_process import Owner, Spoken

LOG = logging.getLogger("twingraph.celery")

# Who is asked says at once whether it has room. A question may be lost, so it is asked again this often; when for so
# long nobody has room, or nobody answers at all, the process is one of this machine.
ASK_SECONDS = 1.5
FULL_SECONDS = 2.0
NOBODY_SECONDS = 10.0
NOBODY = "no worker answers"
# A worker has so long to fetch the code and to start the process.
START_SECONDS = 30.0
HERE_SECONDS = 2.0
# A worker that names the sessions that it has, and not this one, so often does not have it.
MISSES = 2
# A worker hears after so many messages that they were taken in: see `hosted.WINDOW`.
TELL = 32
ROOM_SECONDS = 0.005
# Of one message, unless something that is said alone is longer.
MOST_CHARACTERS = 500_000


class Phase(Enum):
    ASKING = auto()
    STARTING = auto()
    SPEAKING = auto()
    NEAR = auto()
    OVER = auto()


class FarProcess:
    """See `host_process.Spoken`."""

    def __init__(
        self,
        hosts: FarHosts,
        session: str,
        code: CodeRef,
        near: Callable[[], Spoken],
        owner: Owner,
    ) -> None:
        self.session, self.code, self.owner = session, code, owner
        self.phase = Phase.ASKING
        self.worker: str | None = None
        self.others: list[str] = []  # who has room too
        self.known: set[str] = set()  # who has answered
        self.missed = 0
        self.heard_to = self.said_to = self.taken_to = 0  # numbers
        self._hosts = hosts
        self._start_near = near
        self._near: Spoken | None = None
        self._waiting: list[Any] = []
        self._flushing = False

    @property
    def pid(self) -> int | None:
        return self._near.pid if self._near is not None else None

    def say(self, message: Any) -> None:
        if self._near is not None:
            self._near.say(message)
        elif self.phase is not Phase.OVER:
            self._waiting.append(message)
            self._flush_soon()

    def stop(self) -> None:
        phase, self.phase = self.phase, Phase.OVER
        if self._near is not None:
            self._near.stop()
        elif phase is not Phase.OVER:
            self._hosts.end(self)

    # -- for the owner -----------------------------------------------------------------------------

    def start(self, worker: str) -> None:
        self.worker, self.phase = worker, Phase.STARTING
        self.said_to = self.heard_to = self.taken_to = self.missed = 0

    def be_near(self, why: str) -> None:
        """Nothing was said to another process yet."""
        LOG.info("bodies run on this machine: %s", why)
        self.phase = Phase.NEAR
        self._near = self._start_near()
        waiting, self._waiting = self._waiting, []
        for message in waiting:
            self._near.say(message)

    def take(self, said: Sequence[str]) -> None:
        """The process is there, and says something."""
        if self.phase is Phase.STARTING:
            self.phase = Phase.SPEAKING
            self._flush_soon()
        for line in said:
            if self.phase is not Phase.SPEAKING:
                return
            try:
                self.owner.heard(json.loads(line))
            except GARBLED as error:  # the author's code wrote to its descriptor
                self._hosts.end(self)
                self.die(f"what it says cannot be read: {type(error).__name__}: {error}")

    def die(self, why: str) -> None:
        self.phase = Phase.OVER
        self.owner.gone(why)

    def strand(self, why: str) -> None:
        LOG.warning("bodies are run again from the top: %s", why)
        self.phase = Phase.OVER
        self.owner.stranded(why)

    def _flush_soon(self) -> None:
        if self._waiting and self.phase is Phase.SPEAKING and not self._flushing:
            self._flushing = True
            self._hosts.loop().call_soon(self._flush)

    def _flush(self) -> None:
        """All that was said in one turn is one message."""
        self._flushing = False
        waiting, self._waiting = self._waiting, []
        self._post(waiting)

    def _post(self, said: Sequence[Any]) -> None:
        if self.phase is not Phase.SPEAKING or not said:
            return
        text = self._hosts.text(Say(self.session, self.said_to + 1, said))
        if len(text) > MOST_CHARACTERS and len(said) > 1:
            half = len(said) // 2
            self._post(said[:half])
            self._post(said[half:])
        else:
            self.said_to += 1
            self._hosts.send(self, text)


class FarHosts:
    """`put` takes errands to the thread that sends. `elsewhere` is a `host_process.Elsewhere`."""

    def __init__(
        self,
        name: str,
        desk: str,
        place: str,
        key: str,
        put: Callable[[Errand], None],
        clock: Callable[[], float],
        loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.get_running_loop,
    ) -> None:
        self._name, self._desk, self._place, self._key = name, desk, place, key
        self._put = put
        self._clock = clock
        self.loop = loop
        self._count = 0
        self._sessions: dict[str, FarProcess] = {}
        self._seen: dict[str, float] = {}  # workers that have some of these
        self._said_here = 0.0
        self.unanswered = False  # nobody has said anything to the last question

    def elsewhere(self, code: CodeRef, near: Callable[[], Spoken], owner: Owner) -> Spoken:
        self._count += 1
        session = f"{self._name}:bodies-{self._count}"
        process = self._sessions[session] = FarProcess(self, session, code, near, owner)
        self._ask(process)
        self._later(NOBODY_SECONDS, process, Phase.ASKING, NOBODY)
        return process

    def _ask(self, process: FarProcess) -> None:
        if process.phase is Phase.ASKING:
            self._put(("wishes", [Wish("host", process.session, [self._desk])]))
            self.loop().call_later(ASK_SECONDS, self._ask, process)

    def _later(self, seconds: float, process: FarProcess, phase: Phase, why: str) -> None:
        """Unless it has come further by then."""
        worker = process.worker

        def look() -> None:
            if process.phase is phase and process.worker == worker:
                self.unanswered = why is NOBODY
                self._try_next(process, why)

        self.loop().call_later(seconds, look)

    # -- for the processes -------------------------------------------------------------------------

    def text(self, post: Post) -> str:
        return post_text(self._desk, [post])

    def send(self, process: FarProcess, text: str) -> None:
        self._put(("post", (process.session, process.worker, text)))

    def post(self, process: FarProcess, post: Post) -> None:
        kind = "open" if isinstance(post, Open) else "post"
        self._put((kind, (process.session, process.worker, self.text(post))))

    def end(self, process: FarProcess) -> None:
        if self._sessions.pop(process.session, None) is not None and process.worker is not None:
            self.post(process, End(process.session))

    # -- what workers say --------------------------------------------------------------------------

    def take(self, worker: str, word: OfBodies) -> None:
        self._seen[worker] = self._clock()
        self.unanswered = False
        if isinstance(word, Alive):
            self._take_alive(worker, word)
            return
        process = self._sessions.get(word.session)
        if process is None:
            if not isinstance(word, BodiesGone | HasRoom):
                self._end_strange(worker, word.session)
        elif isinstance(word, HasRoom):
            self._take_room(process, worker, word)
        elif process.worker != worker:
            if isinstance(word, Spoke):
                self._end_strange(worker, word.session)
        elif isinstance(word, Spoke):
            self._take_spoken(process, word)
        else:
            self._lost(process, word.why, died=word.died)

    def _take_room(self, process: FarProcess, worker: str, word: HasRoom) -> None:
        if worker in process.known:
            return
        if not process.known and not word.free:
            self._later(FULL_SECONDS, process, Phase.ASKING, "no worker has room")
        process.known.add(worker)
        if word.free:
            process.others.append(worker)
            if process.phase is Phase.ASKING:
                self._try_next(process, "")

    def _take_spoken(self, process: FarProcess, word: Spoke) -> None:
        if word.number <= process.heard_to:
            return
        if word.number > process.heard_to + 1:
            self._lose_words(process)
            return
        process.heard_to = word.number
        process.take(word.said)
        if word.number % TELL == 0:
            self._tell_taken(process, word.number)

    def _tell_taken(self, process: FarProcess, number: int) -> None:
        """Not while the conductor has not heard what came before: then the worker does not listen to the process."""
        if process.phase is Phase.SPEAKING and process.owner.crowded():
            self.loop().call_later(ROOM_SECONDS, self._tell_taken, process, number)
        elif process.phase is Phase.SPEAKING:
            process.taken_to = number
            self.post(process, More(process.session, number))

    def _take_alive(self, worker: str, word: Alive) -> None:
        for process in [process for process in self._of(worker) if process.phase is Phase.SPEAKING]:
            said_to = word.sessions.get(process.session)
            process.missed = 0 if said_to is not None else process.missed + 1
            if process.missed >= MISSES:
                self._lost(process, f"the worker {worker} does not have them any more")
            elif said_to is not None and said_to > process.heard_to:
                self._lose_words(process)
        for session in word.sessions:
            known = self._sessions.get(session)
            if known is None or known.worker != worker:
                self._end_strange(worker, session)

    def _lose_words(self, process: FarProcess) -> None:
        self.end(process)
        process.strand(f"something that was said on {process.worker} was lost on the way")

    def _end_strange(self, worker: str, session: str) -> None:
        self._put(("post", (session, worker, self.text(End(session)))))

    def _lost(self, process: FarProcess, why: str, *, died: bool = False) -> None:
        if process.phase is Phase.STARTING:
            self._try_next(process, why)
            return
        self._sessions.pop(process.session, None)
        if died:
            process.die(why)
        else:
            process.strand(why)

    def _try_next(self, process: FarProcess, why: str) -> None:
        """Nothing has begun yet."""
        if process.worker is not None:
            LOG.info("the worker %s does not run bodies: %s", process.worker, why)
            self.post(process, End(process.session))
        if not process.others:
            self._sessions.pop(process.session, None)
            process.be_near(why)
            return
        worker = process.others.pop(0)
        process.start(worker)
        self._seen[worker] = self._clock()
        code = process.code
        opening = Open(
            session=process.session,
            place=self._place,
            key=self._key,
            version=code.version,
            description=code.description,
        )
        self.post(process, opening)
        self._later(START_SECONDS, process, Phase.STARTING, f"no process was there within {START_SECONDS:g} s")

    def refused(self, session: str, error: Exception) -> None:
        """The broker does not take what is said to it."""
        process = self._sessions.get(session)
        if process is not None:
            self._lost(process, f"the broker does not take a message: {error}")

    # -- time --------------------------------------------------------------------------------------

    def _of(self, worker: str) -> list[FarProcess]:
        return [process for process in self._sessions.values() if process.worker == worker]

    def begin_anew(self, now: float) -> None:
        """We could not hear for a while."""
        self._seen = dict.fromkeys(self._seen, now)

    def tick(self, now: float) -> None:
        for worker, seen in list(self._seen.items()):
            mine = self._of(worker)
            if not mine:
                del self._seen[worker]
            elif now - seen > SILENCE_SECONDS:
                del self._seen[worker]
                for process in mine:
                    self._lost(process, f"the worker {worker} fell silent")
        if now - self._said_here >= HERE_SECONDS:
            self._said_here = now
            self._say_here()

    def _say_here(self) -> None:
        workers: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        for session, process in self._sessions.items():
            if process.worker is not None:
                workers[process.worker][session] = process.said_to, process.taken_to
        for worker, sessions in workers.items():
            self._put(("post", ("", worker, self.text(Here(sessions)))))

    def close(self) -> None:
        """The loop ends. What is there has nobody any more to speak to."""
        for process in list(self._sessions.values()):
            self.end(process)
