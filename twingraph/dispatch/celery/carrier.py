"""What a worker holds: lanes come in on Celery's thread, the pool runs them on a loop of its own, outcomes go out.

Everything marked 'loop' runs on that loop's thread; nothing there blocks.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from twingraph.core.wire import time_to_wire
from twingraph.dispatch.base import CodeRef, Dispatch
from twingraph.dispatch.celery.carried import Backlogs, Carried, Desks, Unwanted
from twingraph.dispatch.celery.fetching import Fetching
from twingraph.dispatch.celery.ground import Ground
from twingraph.dispatch.celery.hosted import Hosted
from twingraph.dispatch.celery.lanes import Lanes
from twingraph.dispatch.celery.messages import (
    LANE,
    WISHES,
    Beat,
    Claim,
    Misdirected,
    Offer,
    Requeued,
    UnreadableError,
    Wish,
    offer_of,
    wishes_of,
)
from twingraph.dispatch.celery.outbox import Outbox
from twingraph.dispatch.celery.room import AGAIN_SECONDS, NoRoomError, Room
from twingraph.dispatch.celery.signing import ForgedError, Seal
from twingraph.dispatch.celery.telling import Telling

LOG = logging.getLogger("twingraph.celery")

BEAT_SECONDS = 2.0
# A claim that nobody answers for so long is given up: its conductor is gone, and its heir begins the next attempt.
CLAIM_SECONDS = 30.0
# What runs when the worker is asked to end has so long; the rest is handed back.
GRACE_SECONDS = 20.0
STOP_SECONDS = 10.0
MOST_OF_A_CHALLENGE = 64
# With a broker that is away nobody can be told; so long after that the worker ends all the same.
UNTOLD_SECONDS = 5.0


class Carrier:
    def __init__(
        self,
        name: str,
        seal: Seal,
        ground: Ground,
        outbox: Outbox,
        queues: Callable[[], Sequence[str]],
        bodies: Hosted,
        *,
        grace: float = GRACE_SECONDS,
        untold: float = UNTOLD_SECONDS,
        room: Room | None = None,
    ) -> None:
        self.name = name
        self._grace, self._untold = grace, untold
        self._room = room or Room(None)
        self._seal = seal
        self._ground = ground
        self._outbox = outbox
        self._queues = queues
        self._bodies = bodies
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, name="twingraph-carrier", daemon=True)
        self._telling = Telling(self._loop, outbox)
        self._lanes = Lanes(name, self._loop, self._telling, self._room)
        self._fetching = Fetching(self._loop, ground)
        self._unwanted = Unwanted()
        self._desks = Desks()
        self._backlogs = Backlogs()
        self._draining = False
        self._here: dict[Carried, None] = {}  # somebody waits for the end of each
        self._waits = True  # for the broker to hear what came of them
        self._since = time_to_wire(datetime.now(UTC))

    # -- any thread --------------------------------------------------------------------------------

    def start(self) -> None:
        self._outbox.start()
        self._bodies.begin(self._loop)
        self._thread.start()
        self._soon(self._beat)

    def read(self, text: object, given: object) -> Offer | None:
        """A lane; None where it is none of ours."""
        try:
            return offer_of(self._seal.check(LANE, text, given))
        except (ForgedError, UnreadableError) as error:
            LOG.error("refused: %s", error)
            return None

    def carry(
        self,
        offer: Offer,
        *,
        redelivered: bool,
        shared: bool,
        ended: Callable[[], None],
        told: Callable[[], None] | None = None,
    ) -> None:
        """Take a lane. `shared`: another worker may be given it while nobody knows that it is here. On any thread
        `told` is called once its conductor hears who has it, `ended` when its outcomes are with the broker. A worker
        that does not wait for that any more takes nothing."""
        if self._waits:
            carried = Carried(offer)
            carried.shared, carried.told = shared, told
            carried.waiting += [ended, lambda: self._here.pop(carried, None)]
            self._here[carried] = None
            self._soon(self._take, carried, redelivered)

    def give_back(self, offer: Offer) -> None:
        """There is no room for it here: it goes back to its queue. Any thread."""
        self._outbox.say(offer.desk, Requeued(offer.id))

    @property
    def has_lanes(self) -> bool:
        return bool(self._here)

    def wish(self, text: str, given: str) -> None:
        try:
            wishes = wishes_of(self._seal.check(WISHES, text, given))
        except (ForgedError, UnreadableError) as error:
            LOG.error("refused: %s", error)
            return
        self._soon(self._take_wishes, wishes)

    def drain(self) -> None:
        """Begin nothing more: what has not begun goes back, what runs has a moment. Called in a signal handler too."""
        self._soon(self._drain)

    def stop(self) -> None:
        """After the last lane, or in place of it."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._stop_pools(), self._loop).result(STOP_SECONDS)
            self._outbox.close(STOP_SECONDS)
            self._soon(self._loop.stop)
            self._thread.join(STOP_SECONDS)

    def status(self, challenge: str = "") -> Mapping[str, Any]:
        """Read from another thread: a picture of a moment. Who asks tells from the proof whether the key is its own."""
        return {
            "worker": self.name,
            "proof": self._seal.proof(self.name, str(challenge)[:MOST_OF_A_CHALLENGE]),
            "queues": list(self._queues()),
            "backlogs": self._backlogs.names(),
            "since": self._since,
            "draining": self._draining,
            "bodies": self._bodies.count(),
            **self._lanes.picture(),
        }

    def _soon(self, act: Callable[..., object], *args: object) -> None:
        self._loop.call_soon_threadsafe(act, *args)

    # -- the loop ----------------------------------------------------------------------------------

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _take(self, carried: Carried, redelivered: bool) -> None:
        offer = carried.offer
        known = self._lanes.get(offer.id)
        if not self._waits:
            carried.release()
        elif known is not None:  # it came again while it is here: after the broker had lost us
            known.waiting += carried.waiting
        elif self._lanes.is_over(offer.id):
            carried.release()
        elif self._desks.has_left(offer.execution, offer.desk):
            self._lanes.say(carried, Misdirected(offer.id))
            self._telling.after(offer.desk, carried.release)
        elif redelivered and not self._draining:
            self._lanes.hold(carried)
            carried.claimed_at = time.monotonic()
            self._lanes.say(carried, Claim(offer.id))
        else:
            self._lanes.hold(carried)
            self._telling.taken(offer, at_once=carried.shared)
            if any(run.attempt > 1 for run in offer.runs):  # it may end us: first it must be known who had it
                self._telling.after(offer.desk, partial(self._soon, self._want, carried))
            else:
                self._want(carried)

    def _want(self, carried: Carried) -> None:
        """It is ours."""
        carried.claimed_at = None
        self._ground.spoke(carried.offer.place, carried.offer.desk)
        if carried.told is not None:
            self._telling.after(carried.offer.desk, carried.told)
        if self._draining:
            self._lanes.hand_back(carried)
        elif carried.open:
            back, refuse = partial(self._lanes.hand_back, carried), partial(self._lanes.refuse, carried)
            self._fetching.use(carried.offer, partial(self._begin, carried), failed=refuse, late=back)

    def _begin(self, carried: Carried, code: CodeRef, pool: Dispatch) -> None:
        if self._draining:
            self._lanes.hand_back(carried)
            return
        for wish in self._unwanted.take(carried.offer.id):
            self._fulfil(carried, wish)
        if carried.open and self._has_room(carried, lambda: self._begin(carried, code, pool)):
            self._lanes.begin(carried, code, pool)

    def _has_room(self, carried: Carried, again: Callable[[], object]) -> bool:
        """Else it asks again, until others shall have it."""
        try:
            given = self._room.take(carried.offer.id, carried.offer.settings)
        except NoRoomError as error:
            self._lanes.refuse(carried, error)
            return False
        if not given and self._room.was_long(carried.offer.id):
            self._lanes.hand_back(carried)
        elif not given:
            self._loop.call_later(AGAIN_SECONDS, again)
        return given

    # -- wishes ------------------------------------------------------------------------------------

    def _take_wishes(self, wishes: Sequence[Wish]) -> None:
        for wish in wishes:
            if wish.worker is not None and wish.worker != self.name:
                continue
            carried = self._lanes.get(wish.lane)
            if wish.act == "leave":
                self._leave(wish.lane, *(wish.nodes or ()))
            elif wish.act == "host":
                self._bodies.asked(wish.lane, *(wish.nodes or ()))
            elif wish.act == "over":
                for place in wish.nodes or ():
                    self._ground.clear(place, wish.lane)
            elif wish.act == "waits":
                self._backlogs.hear(wish.nodes or ())
            elif carried is None:
                if wish.act != "grant" and not self._lanes.is_over(wish.lane):
                    self._unwanted.keep(wish)
            elif wish.act == "grant":
                if carried.claimed_at is not None:
                    self._want(carried)
            else:
                self._fulfil(carried, wish)

    def _leave(self, execution: str, desk: str = "", epoch: str = "0") -> None:
        """Another conductor has taken the execution over."""
        if self._desks.moves(execution, desk, int(epoch)):
            self._bodies.leave(execution, desk)
            for carried in self._lanes:
                if carried.offer.execution == execution and carried.offer.desk != desk:
                    self._fulfil(carried, Wish("drop", carried.offer.id))

    def _fulfil(self, carried: Carried, wish: Wish) -> None:
        nodes = [
            node for node in (wish.nodes if wish.nodes is not None else list(carried.open)) if node in carried.open
        ]
        if carried.claimed_at is not None or carried.pool is None:
            runs = [carried.open[node] for node in nodes]
            if wish.act == "cancel":
                self._lanes.call_off(carried, runs)
            elif wish.act == "return":
                self._lanes.hand_back(carried, runs)
            else:
                self._lanes.forget(carried, runs)
            return
        pool = carried.pool
        if wish.act == "return":
            self._lanes.recall(carried, pool, nodes)
            return
        if wish.act == "drop":  # of what ends already, a newer attempt may be here
            nodes = [node for node in nodes if node not in carried.silent]
            carried.silent.update(nodes)
        self._lanes.cancel(carried, pool, nodes)

    # -- time --------------------------------------------------------------------------------------

    def _beat(self) -> None:
        self._loop.call_later(BEAT_SECONDS, self._beat)
        desks: dict[str, dict[str, list[str]]] = {}
        now = time.monotonic()
        for carried in self._lanes:
            if carried.claimed_at is None:
                desks.setdefault(carried.offer.desk, {})[carried.offer.id] = list(carried.begun)
            elif now - carried.claimed_at > CLAIM_SECONDS:
                self._lanes.forget(carried, list(carried.open.values()))
            else:
                self._lanes.say(carried, Claim(carried.offer.id))
        for desk, lanes in desks.items():
            self._telling.say(desk, Beat(lanes))
        self._bodies.beat()

    def _drain(self) -> None:
        if self._draining:
            return
        self._draining = True
        self._bodies.drain()
        for carried in self._lanes:
            if carried.claimed_at is None:
                self._fulfil(carried, Wish("return", carried.offer.id))
        self._loop.call_later(self._grace, self._hand_back_begun)
        self._loop.call_later(self._grace + self._untold, self._let_go)

    def _let_go(self) -> None:
        """Nobody waits for the broker any more: who is told nothing will hear the silence."""
        self._waits = False
        for carried in list(self._here):
            carried.release()

    def _hand_back_begun(self) -> None:
        """What did not end in time is ended, and goes again elsewhere without being charged."""
        for carried in self._lanes:
            carried.given_up.update(carried.open)
            if carried.pool is not None:
                self._lanes.cancel(carried, carried.pool, list(carried.open))

    async def _stop_pools(self) -> None:
        await asyncio.gather(self._lanes.stop(), self._bodies.end())
        for carried in self._lanes:
            carried.release()
