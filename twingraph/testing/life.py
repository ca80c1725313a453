"""One life of an engine in a test's thread: the kernel, the bodies, and a memory of what was committed.

It does what the conductor does, with the same hands, but takes one turn when it is asked to and never waits for time.
Bodies run in threads of their own, one at a time; a turn ends when all of them wait, so that the same test takes the
same turns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from twingraph.core.errors import NotFoundError
from twingraph.core.events import (
    Adopted,
    CacheAnswered,
    CancelRequested,
    Event,
    ItemsGiven,
    NodeBegun,
    NodeEnded,
    NodesReturned,
    ResumeRequested,
    SignalReceived,
    TimerFired,
)
from twingraph.core.statuses import EXECUTION_OVER
from twingraph.dispatch.base import Begun, CodeRef, ItemsOut, Outcome, Report, Returned
from twingraph.engine.ahead import ValuesAhead
from twingraph.engine.beginning import first_events
from twingraph.engine.detached import Around, Detached
from twingraph.engine.effects import Effects
from twingraph.engine.folding import restore
from twingraph.engine.handle import Handle
from twingraph.engine.held import Held, Submission
from twingraph.engine.identity import hashing
from twingraph.engine.kernel import State, apply, commands
from twingraph.engine.kernel.state import at_once
from twingraph.engine.link import Bodies, LoopLink
from twingraph.engine.outcomes import ending_of, events_of, keep_handed_over, ran_again
from twingraph.engine.recovery import ended_of
from twingraph.store.base import Claim, Row, Standing
from twingraph.testing.clock import Timers
from twingraph.testing.hosting import Board, InlineHost
from twingraph.testing.limits import NamedLimits
from twingraph.testing.runs import Runs

if TYPE_CHECKING:
    from twingraph.testing.inline import Inline


@dataclass
class Record:
    """What is left of an execution when its life ends: the events of each commit."""

    id: str
    number: int
    commits: list[list[Row]] = field(default_factory=list)
    lives: int = 1

    @property
    def rows(self) -> list[Row]:
        return [row for commit in self.commits for row in commit]


def _in_one_moment(held: Held, steps: Iterator[None]) -> None:
    for _ in steps:
        pass


class Life:
    """Everything that a crash takes away."""

    def __init__(self, world: Inline, *, evict: bool = False) -> None:
        self._world = world
        self._clock = world.clock
        self._memory = world.memory
        self._words: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._held: dict[str, Held] = {}
        self._by_number: dict[int, Held] = {}
        self._dirty: dict[int, Held] = {}
        self._fault: Exception | None = None
        self._board = Board()
        self._link = LoopLink(self._words.put, waiting=sys.maxsize)  # who is heard after its turn cannot wait for room
        self._host = InlineHost(self._link, self._memory, self._board, self._clock.time, evict=evict)
        self._bodies = Bodies(
            self._link,
            apply=self._apply,
            about=lambda held, act: act(),
            in_moments=_in_one_moment,
            wrote=self._soon,
            soon=self._words.put,
            hash_of=hashing,
        )
        self.runs = Runs(self._memory, world.chosen, self._clock, self._report, self._meanwhile, world.runs)
        around = Around(
            find=self._by_number.get,
            standing=self._standing,
            begin=self._begin_detached,
            take_over=self._take_over_detached,
            bring=self._apply,
            about=lambda held, act: act(),
            later=lambda seconds, act: self._clock.set(object(), seconds, act),
        )
        self._effects = Effects(
            self.runs,
            self._apply,
            self._apply_all,
            self._by_number.get,
            code_of=_code_of,
            bodies=self._bodies,
            detached=Detached(around),
            ask_cache=self._runs_anyway,
            slices=False,
        )
        self._limits = NamedLimits(self._clock, self._by_number.get)
        self._timers = Timers(self._clock, self._timer_fired)
        self._effects.timers = self._timers  # type: ignore[assignment]

    def _runs_anyway(self, held: Held, node: str) -> None:
        """A test wants to see everything run."""
        self._apply(held, CacheAnswered(node, "miss"), None)

    # -- turns -------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Let happen what can happen at this moment."""
        while self.turn():
            pass

    def turn(self) -> bool:
        """See `_step`; what was the test's mistake is raised."""
        done = self._step()
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault
        return done

    def _step(self) -> bool:
        """Hear the bodies, or commit what is new, or grant limits, or carry out one run. False: all wait."""
        if self._hear():
            return True
        if self._dirty:
            self._commit()
            return True
        return self._limits.grant(self._apply) or self._carry_out()

    def _hear(self) -> bool:
        heard = False
        while True:
            try:
                word = self._words.get_nowait()
            except Empty:
                if not self._board.turn():
                    return heard
            else:
                word()
                heard = True

    def _carry_out(self) -> bool:
        try:
            return self.runs.turn()
        except Exception as error:  # the test's mistake; kept, since a generator's turn may be around this one
            self._fault = self._fault or error
            return True

    def _meanwhile(self) -> None:
        """Inside a run. What is wrong is told when that is over."""
        while self._fault is None and self._step():
            pass

    def end(self) -> None:
        """Die: what was not committed is gone, and so is what runs."""
        for execution in list(self._held):
            self._bodies.let_go(execution, "the test let its life end")
        while self._board.turn():  # they come to their ends before another life begins
            pass
        self._held.clear()
        self._by_number.clear()
        self._dirty.clear()
        self._timers.clear_all()
        for one in self.runs.going:
            self._clock.clear(id(one))

    # -- executions --------------------------------------------------------------------------------

    def begin(self, submission: Submission, record: Record, handle: Handle) -> None:
        state = State(submission.id)
        held = Held(Claim(number=record.number, epoch=1, seq=0), state, None, handle)
        held.values = self._values(held, record)
        held.values.keep(1, tuple(submission.inputs.values()))
        self._hold(held)
        for event, data in first_events(submission):
            self._note(held, event, data)
        self._soon(held)

    def adopt(self, record: Record, handle: Handle, wish: Event | None = None) -> None:
        """Take over what another life has left."""
        rows = record.rows
        held = Held(Claim(number=record.number, epoch=1, seq=len(rows)), restore(record.id, None, rows), None, handle)
        held.values = self._values(held, record)
        if held.state.status in EXECUTION_OVER:
            handle.end(held.state.status, held.state.ending_error, *ended_of(rows[-1], rows[-1].data))
            return
        record.lives += 1
        self._hold(held)
        self._apply(held, Adopted(f"life {record.lives}", record.lives), None)
        if wish is not None:
            self._apply(held, wish, None)

    def state(self, execution: str) -> State | None:
        held = self._held.get(execution)
        return None if held is None else held.state

    def _values(self, held: Held, record: Record) -> ValuesAhead:
        def read(seq: int) -> str | None:
            return next((row.data for row in [*record.rows, *held.rows] if row.seq == seq), None)

        return ValuesAhead(held.state, read, self._memory.blobs)

    def _hold(self, held: Held) -> None:
        self._held[held.state.execution] = held
        self._by_number[held.number] = held
        if held.state.body is not None or not held.state.seq:
            self._bodies.drive(held, self._host)

    def _standing(self, execution: str) -> Standing | None:
        record = self._world.records.get(execution)
        return None if record is None else Standing("running", elsewhere=False)

    def _begin_detached(self, submission: Submission) -> Handle:
        handle = Handle(submission.id, self)
        self.begin(submission, self._world.record(submission.id), handle)
        return handle

    def _take_over_detached(self, execution: str) -> Handle:
        handle = Handle(execution, self)
        held = self._held.get(execution)
        if held is not None:
            held.handles.append(handle)
        else:
            self.adopt(self._world.records[execution], handle, ResumeRequested())
        return handle

    # -- what comes from outside -------------------------------------------------------------------

    def interrupt(self, execution_id: str, *, kill: bool) -> None:
        """Ctrl-C ends the test."""

    def cancel(self, execution_id: str) -> object:
        self.feed(execution_id, CancelRequested())
        return None

    def signal(self, execution: str, name: str, value: object) -> None:
        written = self._memory.encode(value, "signal")
        self.feed(execution, SignalReceived(name, ("output", written.hash, written.size)), [written.text])

    def feed(self, execution: str, event: Event, lines: Sequence[str] | None = None) -> None:
        held = self._held.get(execution)
        if held is not None:
            self._apply(held, event, lines)

    def _timer_fired(self, number: int, timer: str) -> None:
        held = self._by_number.get(number)
        if held is not None:
            self._apply(held, TimerFired(timer), None)

    def _report(self, report: Report) -> None:
        self._words.put(lambda: self._take(report))

    def _take(self, report: Report) -> None:
        held = self._held.get(report.execution)
        if held is None:
            return
        match report:
            case Outcome():
                node = held.state.nodes.get(report.node)
                if node is not None and ran_again(node, report):
                    at_once(keep_handed_over(held.values, node, report))
                for event, lines in events_of(held.state, node, report, held.sizes.map_page):
                    self._apply(held, _without_chance(event), lines)
            case ItemsOut():
                given = ItemsGiven(report.node, report.attempt, report.start, len(report.texts))
                self._apply(held, given, report.texts)
            case Begun():
                self._apply(held, NodeBegun(report.node, report.attempt, report.worker), None)
            case Returned():
                self._apply(held, NodesReturned(tuple((node, attempt) for node, attempt in report.runs)), None)

    # -- events ------------------------------------------------------------------------------------

    def _apply(self, held: Held, event: Event, lines: Sequence[str] | None) -> None:
        if lines is not None:
            held.values.keep(held.seq + 1, lines)
        self._note(held, event, None if lines is None else "\n".join(lines))
        self._soon(held)

    def _apply_all(self, held: Held, events: Iterable[tuple[Event, Sequence[str] | None]]) -> None:
        for event, lines in events:
            self._apply(held, event, lines)

    def _note(self, held: Held, event: Event, data: str | None) -> None:
        if held.state.status in EXECUTION_OVER:
            return
        now = self._clock.time()
        for command in _applied(held, event, now, data):
            if type(command) is commands.Finish:
                self._note(held, *ending_of(held, command))
            else:
                held.commands.append(command)

    def _soon(self, held: Held) -> None:
        if held.number in self._by_number:
            self._dirty[held.number] = held

    def _commit(self) -> None:
        dirty, self._dirty = list(self._dirty.values()), {}
        for held in dirty:
            taken = held.take(self._clock.time())
            if taken.rows:
                self._world.records[held.state.execution].commits.append(list(taken.rows))
        for held in dirty:
            self._committed(held)
        self._bodies.tell_soon()

    def _committed(self, held: Held) -> None:
        todo, held.commands = held.commands, []
        for command in todo:
            if type(command) is commands.AskLimit or type(command) is commands.ReleaseLimit:
                self._limits.take(held, command)
            else:
                for _ in self._effects.before(held, command) or ():
                    pass
                self._effects.carry_out(held, command)
        held.recorded()
        if held.state.status in EXECUTION_OVER:
            self._held.pop(held.state.execution, None)
            self._by_number.pop(held.number, None)
            self._effects.forget(held, "over")
            self._limits.drop(held.number)
            held.end(held.state.status, held.state.ending_error, *(held.ended or (None, {})))


def _applied(held: Held, event: Event, now: float, data: str | None) -> Iterable[commands.Command]:
    return apply(held.state, event, now, held.add(event, now, data))


def _without_chance(event: Event) -> Event:
    """The next attempt comes when its policy says, and no jitter spreads it."""
    return event._replace(chance=0.5) if isinstance(event, NodeEnded) else event


def _code_of(version: str) -> CodeRef:
    raise NotFoundError(f"the code version {version[:12]} is not in this process")
