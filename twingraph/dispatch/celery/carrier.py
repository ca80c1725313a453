"""What a worker holds: lanes come in on threads of Celery, the pool runs them on a loop of its own, outcomes go out.

Everything marked 'loop' runs on that loop's thread; nothing there blocks.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from twingraph.dispatch.base import Begun, CodeRef, Dispatch, NodeRun, Outcome, Report, Returned
from twingraph.dispatch.celery.carried import Carried, cancelled, handed_back, not_begun, refused, remember
from twingraph.dispatch.celery.ground import Ground
from twingraph.dispatch.celery.messages import (
    LANE,
    WISHES,
    Beat,
    Claim,
    Misdirected,
    Taken,
    UnreadableError,
    Wish,
    Word,
    offer_of,
    wishes_of,
)
from twingraph.dispatch.celery.outbox import Outbox
from twingraph.dispatch.celery.pools import Pools
from twingraph.dispatch.celery.room import AGAIN_SECONDS, NoRoomError, Room
from twingraph.dispatch.celery.signing import ForgedError, Seal

LOG = logging.getLogger("twingraph.celery")

BEAT_SECONDS = 2.0
# A claim that nobody answers for so long is given up: its conductor is gone, and its heir begins the next attempt.
CLAIM_SECONDS = 30.0
# What runs when the worker is asked to end has so long; the rest is handed back.
GRACE_SECONDS = 20.0
STOP_SECONDS = 10.0
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
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, name="twingraph-carrier", daemon=True)
        self._lanes: dict[str, Carried] = {}
        self._runs: dict[tuple[str, str, int], Carried] = {}
        self._pools = Pools(self._loop, self._report)
        self._over: OrderedDict[str, None] = OrderedDict()
        self._unwanted: OrderedDict[str, dict[str, frozenset[str] | None]] = OrderedDict()  # by act: which nodes
        self._desks: OrderedDict[str, tuple[str, int]] = OrderedDict()  # of executions that were taken over, by epoch
        self._draining = False
        self._here: set[Carried] = set()  # a thread of Celery waits for each
        self._waits = True  # for the broker to hear what came of them
        self._ran = 0
        self._since = time.time()

    # -- any thread --------------------------------------------------------------------------------

    def start(self) -> None:
        self._outbox.start()
        self._thread.start()
        self._soon(self._beat)

    def carry(self, text: str, given: str, *, redelivered: bool) -> None:
        """Take a lane; returns when it has ended and its outcomes are with the broker."""
        try:
            offer = offer_of(self._seal.check(LANE, text, given))
        except (ForgedError, UnreadableError) as error:
            LOG.error("refused: %s", error)
            return
        carried = Carried(offer)
        done = threading.Event()
        carried.waiting.append(done)
        self._here.add(carried)
        try:
            if self._waits:
                self._carry(carried, redelivered)
                done.wait()
        finally:
            self._here.discard(carried)

    def _carry(self, carried: Carried, redelivered: bool) -> None:
        offer = carried.offer
        self._soon(self._take, carried, redelivered)
        carried.due.wait()
        if carried.wanted and self._waits:
            try:
                code, pool = self._ground.code_of(offer), self._ground.pool_of(offer)
            except Exception as error:  # whatever keeps it from running here, its conductor must hear of it
                self._soon(self._refuse, carried, error)
            else:
                self._soon(self._begin, carried, code, pool)

    def wish(self, text: str, given: str) -> None:
        try:
            wishes = wishes_of(self._seal.check(WISHES, text, given))
        except (ForgedError, UnreadableError) as error:
            LOG.error("refused: %s", error)
            return
        self._soon(self._take_wishes, wishes)

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """On the loop, unless that has ended."""
        with suppress(RuntimeError):
            self._soon(self._loop.call_later, seconds, act)

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

    def status(self) -> Mapping[str, Any]:
        """Read from another thread: a picture of a moment."""
        lanes = list(self._lanes.values())
        return {
            "worker": self.name,
            "queues": list(self._queues()),
            "since": self._since,
            "ran": self._ran,
            "draining": self._draining,
            "lanes": len(lanes),
            "runs": sum(len(carried.open) for carried in lanes),
            "running": [[carried.offer.execution, node] for carried in lanes for node in list(carried.begun)][:200],
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
        if known is not None:  # it came again while it is here: after the broker had lost us
            known.waiting += carried.waiting
            carried.due.set()
        elif offer.id in self._over:
            carried.release()
        elif self._desks.get(offer.execution, (offer.desk, 0))[0] != offer.desk:
            self._say(carried, Misdirected(offer.id))
            self._outbox.after(offer.desk, carried.release)
        elif redelivered and not self._draining:
            self._lanes[offer.id] = carried
            carried.claimed_at = time.monotonic()
            self._say(carried, Claim(offer.id))
        else:
            self._lanes[offer.id] = carried
            self._say(carried, Taken(offer.id))
            self._want(carried)

    def _want(self, carried: Carried) -> None:
        """It is ours. What it needs may have to be fetched, which its own thread does."""
        carried.claimed_at = None
        if self._draining:
            self._hand_back(carried, list(carried.open.values()))
            return
        carried.wanted = True
        carried.due.set()

    def _begin(self, carried: Carried, code: CodeRef, pool: Dispatch) -> None:
        offer = carried.offer
        if self._draining:
            self._hand_back(carried, list(carried.open.values()))
            return
        for act, nodes in self._unwanted.pop(offer.id, {}).items():
            self._fulfil(carried, Wish(act, offer.id, None if nodes is None else list(nodes)))
        runs = list(carried.open.values())
        if not runs or not self._has_room(carried, lambda: self._begin(carried, code, pool)):
            return
        carried.pool = pool
        for run in runs:
            self._end_older(offer.execution, run)
            self._runs[offer.execution, run.node, run.attempt] = carried
        lane = offer.lane(code)
        lane.runs = runs
        self._with_pool(carried, pool, lambda: pool.submit(lane))

    def _has_room(self, carried: Carried, again: Callable[[], object]) -> bool:
        """Else it asks again, until others shall have it."""
        try:
            given = self._room.take(carried.offer.id, carried.offer.settings)
        except NoRoomError as error:
            self._refuse(carried, error)
            return False
        if not given and self._room.was_long(carried.offer.id):
            self._hand_back(carried, list(carried.open.values()))
        elif not given:
            self._loop.call_later(AGAIN_SECONDS, again)
        return given

    def _with_pool(self, carried: Carried, pool: Dispatch, act: Callable[[], None]) -> None:
        """Where that fails, what it was to do for this lane cannot be done here."""
        self._pools.use(pool, act, lambda error: self._refuse(carried, error))

    def _end_older(self, execution: str, run: NodeRun) -> None:
        """An attempt of the same node that the conductor gave up while it could not be heard."""
        for attempt in range(run.attempt - 1, max(0, run.attempt - 4), -1):
            older = self._runs.get((execution, run.node, attempt))
            if older is not None and older.pool is not None:
                older.silent.add(run.node)
                self._cancel(older, older.pool, [run.node])

    def _cancel(self, carried: Carried, pool: Dispatch, nodes: Sequence[str]) -> None:
        self._with_pool(carried, pool, lambda: pool.cancel(carried.offer.execution, nodes))

    def _report(self, report: Report) -> None:
        """Of a pool."""
        if type(report) is Returned:
            for node, attempt in report.runs:
                carried = self._runs.get((report.execution, node, attempt))
                if carried is not None:
                    self._hand_back(carried, [carried.open[node]])
            return
        assert not isinstance(report, Returned)
        carried = self._runs.get((report.execution, report.node, report.attempt))
        if carried is None:
            return
        if type(report) is Outcome:
            report.worker = f"{self.name}/{report.worker}" if report.worker else self.name
            if report.status == "cancelled" and report.node in carried.given_up:
                report.status, report.begun, report.error = "lost", False, handed_back(report.node)
            self._ended(carried, report)
            return
        if type(report) is Begun:
            carried.begun[report.node] = None
            report.worker = f"{self.name}/{report.worker}"
        if report.node not in carried.silent:
            self._say(carried, report)

    def _ended(self, carried: Carried, outcome: Outcome) -> None:
        self._ran += 1
        if outcome.node not in carried.silent:
            self._say(carried, outcome)
        self._close(carried, outcome.node)

    def _hand_back(self, carried: Carried, runs: Sequence[NodeRun]) -> None:
        back = [(run.node, run.attempt) for run in runs if run.node not in carried.silent]
        if back:
            self._say(carried, Returned(carried.offer.execution, back))
        self._forget(carried, runs)

    def _cancelled(self, carried: Carried, runs: Sequence[NodeRun]) -> None:
        for run in runs:
            self._ended(carried, not_begun(carried, run, self.name, cancelled(run)))

    def _refuse(self, carried: Carried, error: Exception) -> None:
        """It cannot be run on this machine."""
        for run in list(carried.open.values()):
            self._ended(carried, not_begun(carried, run, self.name, refused(run, self.name, error)))

    def _forget(self, carried: Carried, runs: Sequence[NodeRun]) -> None:
        for run in runs:
            self._close(carried, run.node)

    def _close(self, carried: Carried, node: str) -> None:
        run = carried.open.pop(node, None)
        if run is None:
            return
        carried.begun.pop(node, None)
        self._runs.pop((carried.offer.execution, node, run.attempt), None)
        if not carried.open:
            del self._lanes[carried.offer.id]
            self._room.give_back(carried.offer.id)
            remember(self._over, carried.offer.id, None)
            self._outbox.after(carried.offer.desk, carried.release)

    def _say(self, carried: Carried, word: Word) -> None:
        self._outbox.say(carried.offer.desk, word)

    # -- wishes ------------------------------------------------------------------------------------

    def _take_wishes(self, wishes: Sequence[Wish]) -> None:
        for wish in wishes:
            if wish.worker is not None and wish.worker != self.name:
                continue
            if wish.act == "leave":
                self._leave(wish.lane, *(wish.nodes or ()))
                continue
            if wish.act == "over":
                for place in wish.nodes or ():
                    self._ground.clear(place, wish.lane)
                continue
            carried = self._lanes.get(wish.lane)
            if carried is None:
                if wish.act != "grant" and wish.lane not in self._over:
                    acts = self._unwanted.get(wish.lane, {})
                    known = acts.get(wish.act, frozenset())
                    acts[wish.act] = None if wish.nodes is None or known is None else known.union(wish.nodes)
                    remember(self._unwanted, wish.lane, acts)
            elif wish.act == "grant":
                if carried.claimed_at is not None:
                    self._want(carried)
            else:
                self._fulfil(carried, wish)

    def _leave(self, execution: str, desk: str = "", epoch: str = "0") -> None:
        """Another conductor has taken the execution over. One that does not know yet that it lost it is not heard."""
        if int(epoch) < self._desks.get(execution, ("", 0))[1]:
            return
        remember(self._desks, execution, (desk, int(epoch)))
        for carried in list(self._lanes.values()):
            if carried.offer.execution == execution and carried.offer.desk != desk:
                self._fulfil(carried, Wish("drop", carried.offer.id))

    def _fulfil(self, carried: Carried, wish: Wish) -> None:
        nodes = [
            node for node in (wish.nodes if wish.nodes is not None else list(carried.open)) if node in carried.open
        ]
        if carried.claimed_at is not None or carried.pool is None:
            runs = [carried.open[node] for node in nodes]
            if wish.act == "cancel":
                self._cancelled(carried, runs)
            elif wish.act == "return":
                self._hand_back(carried, runs)
            else:
                self._forget(carried, runs)
            return
        pool = carried.pool
        if wish.act == "return":
            self._with_pool(carried, pool, lambda: pool.recall(carried.offer.execution, nodes))
            return
        if wish.act == "drop":  # of what ends already, a newer attempt may be here
            nodes = [node for node in nodes if node not in carried.silent]
            carried.silent.update(nodes)
        self._cancel(carried, pool, nodes)

    # -- time --------------------------------------------------------------------------------------

    def _beat(self) -> None:
        self._loop.call_later(BEAT_SECONDS, self._beat)
        desks: dict[str, dict[str, list[str]]] = {}
        now = time.monotonic()
        for carried in list(self._lanes.values()):
            if carried.claimed_at is None:
                desks.setdefault(carried.offer.desk, {})[carried.offer.id] = list(carried.begun)
            elif now - carried.claimed_at > CLAIM_SECONDS:
                self._forget(carried, list(carried.open.values()))
            else:
                self._say(carried, Claim(carried.offer.id))
        for desk, lanes in desks.items():
            self._outbox.say(desk, Beat(lanes))

    def _drain(self) -> None:
        if self._draining:
            return
        self._draining = True
        for carried in list(self._lanes.values()):
            if carried.pool is not None:
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
        for carried in list(self._lanes.values()):
            carried.given_up.update(carried.open)
            if carried.pool is not None:
                self._cancel(carried, carried.pool, list(carried.open))

    async def _stop_pools(self) -> None:
        await self._pools.stop()
        for carried in list(self._lanes.values()):
            carried.release()
