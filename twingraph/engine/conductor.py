"""The conductor: drives executions in one asyncio loop in its own thread.

It is the thread, the ways in for other threads, and the joining of what works on the loop: executions arrive and leave,
things are heard about them, and they have their turns. User code is never imported here.

Everything but the methods marked 'any thread' runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from twingraph.core.errors import HomeError, StoreError, TwinGraphError
from twingraph.core.events import CancelRequested, Event, ResumeRequested
from twingraph.dispatch.base import CodeRef, Dispatch
from twingraph.engine.adopting import Adopting
from twingraph.engine.arriving import Arriving, Hosts, Sources
from twingraph.engine.clock import Clock
from twingraph.engine.detached import Around, Detached
from twingraph.engine.door import Door
from twingraph.engine.effects import Effects
from twingraph.engine.garbage import Garbage
from twingraph.engine.granting import Granting
from twingraph.engine.ground import Ground
from twingraph.engine.handing import Handing
from twingraph.engine.handle import Handle
from twingraph.engine.hearing import Hearing
from twingraph.engine.held import Held, KeptOf, Submission
from twingraph.engine.keying import Keying
from twingraph.engine.leaving import Leaving
from twingraph.engine.link import Bodies, HashOf, LoopLink
from twingraph.engine.moments import Moments
from twingraph.engine.outside import Outside
from twingraph.engine.roster import Roster
from twingraph.engine.sharing import Sharing
from twingraph.engine.sizes import USUAL, Sizes
from twingraph.engine.timers import Timers
from twingraph.engine.turns import Faults, Turns
from twingraph.engine.writing import Writing
from twingraph.store.base import Journal
from twingraph.store.blobs.base import BlobStore


class Conductor:
    """Drives many executions. `make_journal` is called on the conductor's thread, where the journal stays."""

    _journal: Journal
    _loop: asyncio.AbstractEventLoop
    _effects: Effects
    _turns: Turns
    _leaving: Leaving
    _arriving: Arriving
    _hearing: Hearing

    def __init__(
        self,
        name: str,
        *,
        make_journal: Callable[[], Journal],
        dispatch: Dispatch,
        blobs: BlobStore,
        code_of: Callable[[str], CodeRef],
        kept_of: KeptOf | None = None,
        hosts: Hosts | None = None,
        hash_of: HashOf | None = None,
        began: Callable[[Handle], None] = lambda handle: None,
        committed: Callable[[Collection[str]], None] | None = None,
        adopted: Callable[[str, int], None] = lambda execution, epoch: None,
        left: Callable[[str, bool], None] = lambda execution, over: None,
        platforms: Collection[str] | None = None,
        adopts: Collection[str] = (),
        clock: Clock | None = None,
        pace: Callable[[], float] = time.perf_counter,
        sizes: Sizes = USUAL,
        make_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    ) -> None:
        """`committed` is called on the loop after each commit, with the executions of which something that was reported
        may not be durable yet; `adopted` when an execution was taken over, with its epoch, and `left` when it is not
        this conductor's any more, and whether it is over."""
        self.name = name
        self._sizes = sizes
        self._make_loop = make_loop
        self._pace = pace
        self._clock = clock or Clock()
        self._make_journal = make_journal
        self._dispatch = Handing(dispatch, self._not_taken)
        self._sources = Sources(blobs=blobs, code_of=code_of, kept_of=kept_of, hosts=hosts)
        self._hash_of = hash_of
        self._platforms = platforms
        self._began = began
        self._committed = committed
        self._adopted = adopted
        self._left = left
        self._roster = Roster()
        self.garbage = Garbage()
        self._door = Door(lambda: self._arriving.record_due())
        self.link = LoopLink(lambda act: self._door.ask(act, lambda: None), sizes.words_waiting)
        self._adopts = adopts
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="twingraph-conductor", daemon=True)

    # -- any thread ------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    @property
    def usable(self) -> bool:
        """Whether it still takes work: it has not been stopped and nothing broke it."""
        return self._fault is None and self._thread.is_alive()

    def submit(self, submission: Submission) -> Handle:
        """Carry this out. The handle tells when it is recorded, and how it ended."""
        handle = Handle(submission.id, self)
        self._ask(lambda: self._arriving.begin(submission, handle), handle)
        return handle

    def adopt(self, execution_id: str, *, resume: bool = True) -> Handle:
        """Take over an execution that nobody alive holds, and go on with it."""
        handle = Handle(execution_id, self)
        self._call(lambda: self._arriving.adopt(execution_id, handle, ResumeRequested() if resume else None), handle)
        return handle

    def feed(self, execution_id: str, event: Event, data: Sequence[str] | None = None) -> None:
        """Bring an event about an execution: what drivers and callers do."""
        self._call(lambda: self._hearing.feed(execution_id, event, data), None)

    def interrupt(self, execution_id: str, *, kill: bool) -> None:
        """Ctrl-C: start nothing new; what runs has a moment, or none. The execution is left paused."""
        self._call(lambda: self._hearing.interrupt(execution_id, kill), None)

    def cancel(self, execution_id: str) -> Handle:
        """Stop an execution that this conductor holds, or that nobody alive holds. The handle tells when it is over."""
        handle = Handle(execution_id, self)
        self._call(lambda: self._arriving.adopt(execution_id, handle, CancelRequested()), handle)
        return handle

    def stop(self, timeout: float = 10.0) -> None:
        """Let go of everything and end. What was not over can be resumed."""
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._door.end_loop(timeout)
            self._thread.join(timeout)

    def forked(self) -> None:
        """In a forked child, which has no thread of this conductor: the process is as if there had been none."""
        self.garbage.end()

    def _call(self, act: Callable[[], None], handle: Handle | None) -> None:
        """What may be about an execution that was begun just before."""

        def after_what_was_begun() -> None:
            self._arriving.record_due()
            act()

        self._ask(after_what_was_begun, handle)

    def _ask(self, act: Callable[[], None], handle: Handle | None) -> None:
        def refuse() -> None:
            if handle is not None:
                handle.fail(self._why_ended())

        self._door.ask(lambda: self._serve(act, handle), refuse)

    def _why_ended(self) -> BaseException:
        return self._fault or TwinGraphError("the engine of this process has been stopped; `twingraph resume` goes on")

    # -- the thread ------------------------------------------------------------------------------

    def _main(self) -> None:
        loop = self._make_loop()
        if self.begin_on(loop):
            try:
                loop.run_forever()
            finally:
                self.end()

    def begin_on(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whatever this conductor does is done on this loop; False when it cannot begin. Its thread calls this, and
        `end` when the loop has stopped; whoever has a loop of another kind calls them instead of `start` and `stop`."""
        self._loop = loop
        self.link.listen()
        try:
            self._journal = self._make_journal()
            self._assemble()
            loop.run_until_complete(self._dispatch.start(self._hearing.report))
        except BaseException as error:  # whoever waits for this thread must learn why it died
            self._fault = error
            self._door.close()
            with suppress(AttributeError):
                self._journal.close()
            loop.close()
            return False
        loop.set_exception_handler(self._unforeseen)
        self._door.open(loop)
        loop.call_later(self._sizes.inbox_seconds, self._look_into_inbox)
        Adopting(
            origins=self._adopts,
            orphans=lambda origins, limit: self._journal.orphans(self.name, origins, limit),
            adopt=self._adopt_orphan,
            later=loop.call_later,
            now=loop.time,
        ).begin()
        return True

    def _assemble(self) -> None:
        """Make everything that works on the loop, each with those that it needs. What one command leads to are events,
        and those bring commands: this circle is closed here."""
        moments, writing = Moments(self._loop, self._pace), Writing(self._sizes.rows)
        ground = Ground(
            self.name, self._roster, self._journal, self._dispatch, self._clock, moments, self.garbage, self._sizes
        )
        bodies = Bodies(
            self.link,
            apply=self._bring,
            about=lambda held, act: self._turns.about(held, act),
            in_moments=lambda held, steps: self._turns.in_moments(held, steps),
            wrote=lambda held: self._turns.soon(held),
            soon=moments.soon,
            hash_of=self._hash_of,
        )
        detached = Detached(self._around())
        code_of, find = self._sources.code_of, self._roster.at
        keying = Keying(ground, lambda held, spec, runs: effects.run_keys(held, spec, runs))
        sharing = Sharing(
            ground,
            self._sources.blobs,
            self._bring,
            lambda held, act: self._turns.about(held, act),
            lambda held, steps: self._turns.in_moments(held, steps),
            keying,
        )
        effects = Effects(
            self._dispatch,
            self._bring,
            lambda held, events: self._turns.bring_all(held, events),
            find,
            code_of,
            bodies,
            detached,
            sharing.ask,
            self._platforms,
        )
        effects.timers = Timers(self._loop, lambda number, timer: self._hearing.timer_fired(number, timer))
        granting = Granting(
            ground,
            about=lambda held, act: self._turns.about(held, act),
            apply=lambda held, event: self._turns.apply(held, event),
            soon=lambda: self._turns.flush_soon(),
        )
        outside = Outside(granting, sharing)
        leaving = Leaving(ground, writing, effects, outside, self._left)
        faults = Faults(self._give_up, self._break)
        turns = Turns(ground, writing, outside, effects, bodies, leaving, faults, self._committed)
        hearing = Hearing(ground, turns, effects.timers, outside, keying)
        self._arriving = Arriving(ground, turns, bodies, self._sources, hearing.read_inbox, self._break, self._adopted)
        self._effects, self._leaving, self._turns, self._hearing = effects, leaving, turns, hearing
        self._bodies = bodies

    def _bring(self, held: Held, event: Event, lines: Sequence[str] | None) -> None:
        self._turns.bring(held, event, lines)

    def _around(self) -> Around:
        return Around(
            find=self._roster.at,
            standing=lambda execution: self._journal.standing(execution, self.name),
            begin=lambda new: self._own(new.id, lambda handle: self._arriving.begin_at_once(new, handle)),
            take_over=lambda known: self._own(
                known, lambda handle: self._arriving.adopt(known, handle, ResumeRequested())
            ),
            bring=self._bring,
            about=lambda held, act: self._turns.about(held, act),
            later=self._loop.call_later,
        )

    def _adopt_orphan(self, execution_id: str) -> Handle | None:
        held = self._roster.named(execution_id)
        if held is not None:  # somebody took it from us while we slept, and has died since
            self._leaving.lost(held)
        if execution_id in self._roster.coming:
            return None
        return self._own(execution_id, lambda handle: self._arriving.adopt(execution_id, handle, None))

    def _own(self, execution_id: str, act: Callable[[Handle], None]) -> Handle:
        """The handle of an execution that another one has to do with."""
        handle = Handle(execution_id, self)
        self._serve(lambda: act(handle), handle)
        self._began(handle)
        return handle

    def _serve(self, act: Callable[[], None], handle: Handle | None) -> None:
        """Do one thing that another thread asked for."""
        try:
            act()
        except Exception as error:
            if handle is None:
                self._break(error)
            else:
                handle.fail(error)
            if isinstance(error, HomeError):
                self._break(error)

    def _look_into_inbox(self) -> None:
        self._loop.call_later(self._sizes.inbox_seconds, self._look_into_inbox)
        try:
            self._hearing.look_around()
        except TwinGraphError as error:
            self._break(error)

    # -- the end ---------------------------------------------------------------------------------

    def end(self) -> None:
        """Write what is left, let go of everything, and end what this conductor has begun."""
        self._door.close()
        self._arriving.refuse_due(self._why_ended())
        self.link.close()
        self._loop.set_exception_handler(None)
        with ExitStack() as last:  # whichever of these fails: the others are done
            last.callback(self._loop.close)
            last.callback(self._journal.close)
            last.callback(lambda: self._loop.run_until_complete(self._dispatch.stop()))
            last.callback(lambda: self._leaving.all(self._why_ended()))
            last.callback(self._bodies.end)
            self._let_go()

    def _let_go(self) -> None:
        """Write what is still unwritten, and leave everything to whoever resumes it."""
        if isinstance(self._fault, StoreError):
            return  # the end of this process frees what it holds
        try:
            self._turns.write_all()
            self._journal.release(self._roster.numbers(), self.name)
        except TwinGraphError as error:
            self._fault = self._fault or error

    def _break(self, error: BaseException) -> None:
        """The conductor cannot go on: tell every caller, and let the process that holds us decide."""
        self._fault = self._fault or error
        self._roster.fail(error)
        if self._door.is_open:  # else it is ending already, and needs its loop for that
            self._loop.stop()

    def _give_up(self, held: Held, error: BaseException) -> None:
        """One execution cannot go on, because of a defect or damage."""
        try:
            self._leaving.give_up(held, error)
        except TwinGraphError as fault:
            self._break(fault)

    def _not_taken(self, execution: str, error: Exception) -> None:
        held = self._roster.named(execution)
        if held is not None:
            self._give_up(held, error)

    def _unforeseen(self, _: object, context: Mapping[str, Any]) -> None:
        self._break(context.get("exception") or TwinGraphError(str(context.get("message"))))
