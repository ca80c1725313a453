"""One process of the system: a real conductor, with doubles for everything that it touches."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from tests.simulation.system.bodies import BodyHost
from tests.simulation.system.pool import Pool
from tests.simulation.system.time import Killed, ProcessLoop
from tests.support.conducting import named_hash
from twingraph.core.errors import StoreError
from twingraph.dispatch.base import CodeRef
from twingraph.engine.clock import Clock
from twingraph.engine.conductor import Conductor
from twingraph.engine.handle import Handle
from twingraph.engine.held import Held
from twingraph.store.blobs.memory import MemoryBlobs

if TYPE_CHECKING:
    from tests.simulation.system.world import System

WRITES = frozenset({"create", "append", "claim", "release", "ask_cache"})


class WatchedConductor(Conductor):
    """Tells the world of every error that it takes for a defect or for the end."""

    world: System

    def _break(self, error: BaseException) -> None:
        if not isinstance(error, StoreError):
            self.world.broken(f"{self.name} broke down: {error!r}", error)
        super()._break(error)

    def _give_up(self, held: Held, error: BaseException) -> None:
        self.world.broken(f"{self.name} gave {held.state.execution} up: {error!r}", error)
        super()._give_up(held, error)

    def held(self) -> list[Held]:
        return self._roster.all()


class Process:
    def __init__(self, world: System, name: str) -> None:
        self.world = world
        self.name = name
        self.skew = 0.0  # of its clock
        self.dead = False
        self._worked = 0.0
        self.asleep_since: float | None = None
        self.handles: list[Handle] = []
        self.loop = ProcessLoop(world.agenda, lambda: world.chance.choice((0.0, 0.0, 0.001)), self._stopped)
        self.pool = Pool(self)
        self.host = BodyHost(self)
        self.conductor = WatchedConductor(
            name,
            make_journal=lambda: world.journal(world.store, self),
            sizes=world.sizes,
            dispatch=self.pool,
            blobs=MemoryBlobs(),
            code_of=_no_code,
            hosts=lambda execution, code: self.host,
            hash_of=named_hash,
            clock=Clock(self.clock, lambda: world.agenda.now),
            pace=self.pace,
            committed=self.pool.committed,
            began=self.handles.append,
        )
        self.conductor.world = world
        assert self.conductor.begin_on(cast(asyncio.AbstractEventLoop, self.loop))

    def clock(self) -> float:
        return self.world.agenda.now + self.skew

    def pace(self) -> float:
        """As if everything took long, or nothing: where it makes a pause is decided by chance."""
        self._worked += self.world.chance.choice((0.0, 0.0, 0.004))
        return self._worked

    @property
    def awake(self) -> bool:
        return not self.dead and self.asleep_since is None

    # -- bad days --------------------------------------------------------------------------------

    def before(self, what: str) -> None:
        """Something is about to be done. Now and then the process dies, sleeps, or fails right here."""
        if self.dead:
            raise Killed
        if not self.world.hostile:
            return
        chance = self.world.chance
        luck = chance.random() * (4 if what in WRITES else 20) / self.world.harsh
        if luck < 0.006:
            self._die_inside(f"before {what}")
        elif luck < 0.014:
            self._sleep_inside(chance.choice((0.01, 1.0, 4.0, 8.0, 30.0)), f"before {what}")
        elif luck < 0.018 and what in WRITES:
            self.world.tell(self.name, f"cannot {what}: the store fails")
            raise StoreError("the disk is full")

    def after(self, what: str) -> None:
        """Something was written, and the process does not know it yet."""
        if not self.world.hostile:
            return
        chance = self.world.chance
        luck = chance.random() * 4 / self.world.harsh
        if luck < 0.006:
            self._die_inside(f"after {what}")
        elif luck < 0.012:
            self._sleep_inside(chance.choice((0.01, 1.0, 8.0, 30.0)), f"after {what}")
        elif luck < 0.015:
            self.world.tell(self.name, f"is told that {what} failed, which it did not")
            raise StoreError("nobody knows whether that was written")

    def _die_inside(self, when: str) -> None:
        self.die(when)
        raise Killed

    def _sleep_inside(self, seconds: float, when: str) -> None:
        """It stands still inside a call while the others go on."""
        self.world.tell(self.name, f"sleeps for {seconds} s {when}")
        self.asleep_since = self.world.agenda.now
        self.world.agenda.pass_until(self.world.agenda.now + seconds)
        self.asleep_since = None
        if self.dead:
            raise Killed
        self.world.tell(self.name, "wakes")

    def sleep(self, seconds: float) -> None:
        """Stopped from outside between two things that it does."""
        if not self.awake or self.loop.inside:
            return
        agenda = self.world.agenda
        self.world.tell(self.name, f"sleeps for {seconds} s")
        self.asleep_since = agenda.now
        self.loop.asleep_until = agenda.now + seconds
        agenda.after(seconds, self._wake)

    def _wake(self) -> None:
        if not self.dead:
            self.asleep_since = None
            self.world.tell(self.name, "wakes")
            self.loop.wake()

    def die(self, why: str) -> None:
        if not self.dead:
            self.world.tell(self.name, f"dies {why}")
            self.dead = self.loop.dead = True

    def shut_down(self) -> None:
        self.world.tell(self.name, "is asked to stop")
        self.loop.stop()

    def _stopped(self, fault: BaseException | None) -> None:
        """Its loop has ended by itself."""
        if fault is None:
            self.loop.inside = True
            try:
                self.conductor.end()
            except Killed:
                pass
            finally:
                self.loop.inside = False
        self.die("by itself")


def _no_code(version: str) -> CodeRef:
    raise StoreError(f"no code is recorded in these tests ({version})")
