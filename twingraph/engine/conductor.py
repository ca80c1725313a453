"""The conductor: drives executions in one asyncio loop in its own thread.

Whatever happens is an event. An event is applied to the kernel at once and noted for the journal; when the loop has
nothing else at hand, everything noted is committed in one transaction, and only then are the kernel's commands carried
out. What arrives during a commit is the next batch. User code is never imported here.

Everything but the methods marked 'any thread' runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from twingraph.core.bodies import Host
from twingraph.core.errors import DamagedError, HomeError, LeaseLost, StoreError, TwinGraphError
from twingraph.core.events import (
    Adopted,
    CancelRequested,
    Event,
    ItemsGiven,
    NodeBegun,
    NodesReturned,
    PauseRequested,
    ResumeRequested,
    TimerFired,
)
from twingraph.core.statuses import EXECUTION_OVER
from twingraph.dispatch.base import Begun, CodeRef, Dispatch, ItemsOut, LogLines, Outcome, Report, Returned
from twingraph.engine import inbox
from twingraph.engine.beginning import first_events, new_execution
from twingraph.engine.clock import Clock
from twingraph.engine.detached import Around, Detached
from twingraph.engine.door import Door
from twingraph.engine.effects import Effects
from twingraph.engine.handle import Handle
from twingraph.engine.held import PROGRESS_SECONDS, Held, KeptOf, Submission
from twingraph.engine.kernel import State, apply, commands
from twingraph.engine.link import Bodies, HashOf, LoopLink
from twingraph.engine.outcomes import ending_of, events_of, log_rows
from twingraph.engine.recovery import Coming, changes_of, ended_of, restored
from twingraph.engine.timers import Timers
from twingraph.engine.values import Values
from twingraph.engine.writing import Writing
from twingraph.store.base import Claim, Journal, Message
from twingraph.store.blobs.base import BlobStore

# Where the bodies of an execution with this code run; raises when there is no such place.
Hosts = Callable[[str, CodeRef | None], Host]

# How often the inbox is looked at when nothing else happens. Asking whether it changed costs microseconds.
INBOX_SECONDS = 0.05
# How long something may keep all executions waiting before it is the turn of others.
MOMENT_SECONDS = 0.005
# What a first Ctrl-C gives to what runs.
GRACE_SECONDS = 10.0


class Conductor:
    """Drives many executions. `make_journal` is called on the conductor's thread, where the journal stays."""

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
        platforms: Collection[str] | None = None,
        clock: Clock | None = None,
        pace: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.name = name
        self._pace = pace
        self._clock = clock or Clock()
        self._make_journal = make_journal
        self._dispatch = dispatch
        self._blobs = blobs
        self._code_of = code_of
        self._kept_of = kept_of
        self._hosts = hosts
        self._began = began
        self._journal: Journal
        self._held: dict[str, Held] = {}
        self._by_number: dict[int, Held] = {}
        self._coming: dict[str, Coming] = {}  # those that are being taken over
        self._writing = Writing()
        self._flushing = False
        self._loop: asyncio.AbstractEventLoop
        self._refreshing = False
        self._door = Door()
        self.link = LoopLink(lambda act: self._door.ask(act, lambda: None))
        self._bodies = Bodies(
            self.link,
            apply=self._bring,
            about=self._about,
            wrote=self._soon,
            soon=lambda act: self._loop.call_soon(act),
            hash_of=hash_of,
        )
        around = Around(
            find=self._by_number.get,
            standing=lambda execution: self._journal.standing(execution, self.name),
            begin=lambda new: self._own(new.id, lambda handle: self._begin(new, handle)),
            take_over=lambda known: self._own(known, lambda handle: self._adopt(known, handle, ResumeRequested())),
            bring=self._bring,
            later=lambda seconds, act: self._loop.call_later(seconds, act),
        )
        self._effects = Effects(
            dispatch, self._bring, self._by_number.get, code_of, self._bodies, Detached(around), platforms
        )
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
        self._call(lambda: self._begin(submission, handle), handle)
        return handle

    def adopt(self, execution_id: str, *, resume: bool = True) -> Handle:
        """Take over an execution that nobody alive holds, and go on with it."""
        handle = Handle(execution_id, self)
        self._call(lambda: self._adopt(execution_id, handle, ResumeRequested() if resume else None), handle)
        return handle

    def feed(self, execution_id: str, event: Event, data: Sequence[str] | None = None) -> None:
        """Bring an event about an execution: what drivers and callers do."""
        self._call(lambda: self._feed_known(execution_id, event, data), None)

    def interrupt(self, execution_id: str, *, kill: bool) -> None:
        """Ctrl-C: start nothing new; what runs has a moment, or none. The execution is left paused."""
        self._call(lambda: self._interrupt(execution_id, kill), None)

    def cancel(self, execution_id: str) -> Handle:
        """Stop an execution that this conductor holds, or that nobody alive holds. The handle tells when it is over."""
        handle = Handle(execution_id, self)
        self._call(lambda: self._adopt(execution_id, handle, CancelRequested()), handle)
        return handle

    def stop(self, timeout: float = 10.0) -> None:
        """Let go of everything and end. What was not over can be resumed."""
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._door.end_loop(timeout)
            self._thread.join(timeout)

    def _call(self, act: Callable[[], None], handle: Handle | None) -> None:
        def refuse() -> None:
            if handle is not None:
                handle.fail(self._why_ended())

        self._door.ask(lambda: self._serve(act, handle), refuse)

    def _why_ended(self) -> BaseException:
        return self._fault or TwinGraphError("the engine of this process has been stopped; `twingraph resume` goes on")

    # -- the thread ------------------------------------------------------------------------------

    def _main(self) -> None:
        loop = asyncio.new_event_loop()
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
        self._effects.timers = Timers(loop, self._timer_fired)
        try:
            self._journal = self._make_journal()
            loop.run_until_complete(self._dispatch.start(self._report))
        except BaseException as error:  # whoever waits for this thread must learn why it died
            self._fault = error
            self._door.close()
            with suppress(AttributeError):
                self._journal.close()
            loop.close()
            return False
        loop.set_exception_handler(self._unforeseen)
        self._door.open(loop)
        loop.call_later(INBOX_SECONDS, self._look_into_inbox)
        return True

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

    def end(self) -> None:
        """Write what is left, let go of everything, and end what this conductor has begun."""
        self._door.close()
        self.link.close()
        self._loop.set_exception_handler(None)
        try:
            self._let_go()
            for held in list(self._held.values()):
                self._drop(held, "stopped")
                held.fail(self._why_ended())
            self._fail_those_coming(self._why_ended())
            self._loop.run_until_complete(self._dispatch.stop())
        finally:
            self._journal.close()
            self._loop.close()

    def _let_go(self) -> None:
        """Write what is still unwritten, and leave everything to whoever resumes it."""
        if isinstance(self._fault, StoreError):
            return  # the end of this process frees what it holds
        try:
            while self._writing.due:
                for held in self._write():
                    self._tell(held)
            ours = [held.number for held in self._held.values()]
            self._journal.release(ours + [coming.claim.number for coming in self._coming.values()], self.name)
        except TwinGraphError as error:
            self._fault = self._fault or error

    def _break(self, error: BaseException) -> None:
        """The conductor cannot go on: tell every caller, and let the process that holds us decide."""
        self._fault = self._fault or error
        for held in list(self._held.values()):
            held.fail(error)
        self._fail_those_coming(error)
        if self._door.is_open:  # else it is ending already, and needs its loop for that
            self._loop.stop()

    def _fail_those_coming(self, error: BaseException) -> None:
        for coming in self._coming.values():
            for handle in coming.handles:
                handle.fail(error)
        self._coming.clear()

    def _unforeseen(self, _: object, context: Mapping[str, Any]) -> None:
        self._break(context.get("exception") or TwinGraphError(str(context.get("message"))))

    def _about(self, held: Held, act: Callable[[], None]) -> None:
        """Do something about one execution. A defect that shows there must not harm the others."""
        if held.waiting is not None:
            held.waiting.append(act)
            return
        try:
            act()
        except DamagedError as error:
            self._give_up(held, error)
        except StoreError as error:
            self._break(error)
        except Exception as error:
            self._give_up(held, error)

    def _in_moments(self, held: Held, steps: Iterator[None]) -> None:
        """A long piece of work about one execution, with turns of others between. Whatever else happens to it comes
        after, and nothing of it is committed before all is done."""
        held.waiting = deque()
        self._one_moment(held, steps)

    def _one_moment(self, held: Held, steps: Iterator[None]) -> None:
        if self._by_number.get(held.number) is not held:
            return
        waiting, held.waiting = held.waiting or deque(), None
        self._about(held, lambda: self._steps(held, steps, waiting))

    def _steps(self, held: Held, steps: Iterator[None], waiting: deque[Callable[[], None]]) -> None:
        until = self._pace() + MOMENT_SECONDS
        for _ in steps:
            if self._pace() > until:
                held.waiting = waiting
                self._loop.call_soon(self._one_moment, held, steps)
                return
        self._soon(held)
        for act in waiting:
            self._about(held, act)

    def _give_up(self, held: Held, error: BaseException) -> None:
        """Let go of one execution as its journal has it; whoever resumes it starts from there."""
        self._drop(held, "given up")
        held.fail(error)
        try:
            self._dispatch.cancel(held.state.execution)
            self._journal.release([held.number], self.name)
        except TwinGraphError as fault:
            self._break(fault)

    # -- beginning and taking over -----------------------------------------------------------------

    def _begin(self, submission: Submission, handle: Handle) -> None:
        if not self._held:
            self._clock.adjust()
        now = self._clock.now()
        events = first_events(submission)
        host = self._host_for(submission.id, submission.code) if submission.body is not None else None
        held = Held(Claim(number=0, epoch=1, seq=0), State(submission.id), submission.code, handle)
        held.values = self._values(held)
        held.values.keep(1, tuple(submission.inputs.values()))
        held.kept = submission.kept or {}
        held.changes["started_at"] = now
        for event, data in events:
            self._note(held, event, data, now)
        new = new_execution(submission, self.name, now)
        held.number = self._surely(lambda: self._journal.create(new, held.take(now))).number
        self._hold(held, host)
        self._about(held, lambda: self._committed(held, held.commanded()))

    def _surely(self, write: Callable[[], Claim]) -> Claim:
        """After a failed write nobody knows whether we hold the execution. It must not stay with one who does not
        know: whatever we hold is free once this conductor has ended."""
        try:
            return write()
        except StoreError as error:
            self._break(error)
            raise

    def _values(self, held: Held) -> Values:
        return Values(
            held.state,
            lambda seq: self._journal.data(held.number, seq),
            self._blobs,
            lambda seqs: self._journal.data_of(held.number, seqs),
            lambda execution, seqs: self._journal.values_of(execution, seqs),
        )

    def _host_for(self, execution_id: str, code: CodeRef | None) -> Host:
        if self._hosts is None:
            raise TwinGraphError(
                f"{execution_id} is driven by the body of a pipeline, and no host for it is known here"
            )
        return self._hosts(execution_id, code)

    def _own(self, execution_id: str, act: Callable[[Handle], None]) -> Handle:
        """The handle of an execution that another one has to do with."""
        handle = Handle(execution_id, self)
        self._serve(lambda: act(handle), handle)
        self._began(handle)
        return handle

    def _hold(self, held: Held, host: Host | None) -> None:
        self._held[held.state.execution] = held
        self._by_number[held.number] = held
        if host is not None:
            self._bodies.drive(held, host)

    def _adopt(self, execution_id: str, handle: Handle, wish: Event | None) -> None:
        held = self._held.get(execution_id)
        if held is not None:
            self._join(held, handle, wish)
        elif (coming := self._coming.get(execution_id)) is not None:
            coming.handles.append(handle)
            coming.after.append(lambda held: self._join(held, handle, wish, known=True))
        else:
            claim = self._surely(lambda: self._journal.claim(execution_id, self.name))
            coming = self._coming[execution_id] = Coming(execution_id, claim, handle)
            self._come(coming, self._restore(coming, wish))

    def _join(self, held: Held, handle: Handle, wish: Event | None, *, known: bool = False) -> None:
        if not known:
            held.handles.append(handle)
        handle.recorded()
        self._wish(held, wish)

    def _wish(self, held: Held, wish: Event | None) -> None:
        if wish is not None and self._by_number.get(held.number) is held:
            held.interrupted = False
            self._about(held, lambda: self._apply(held, wish))

    def _come(self, coming: Coming, steps: Iterator[None]) -> None:
        """Take an execution over, for a moment; then it is the turn of others."""
        if self._coming.get(coming.id) is not coming:
            return
        until = self._pace() + MOMENT_SECONDS
        try:
            for _ in steps:
                if self._pace() > until:
                    self._loop.call_soon(self._come, coming, steps)
                    return
        except Exception as error:
            self._coming.pop(coming.id, None)
            for handle in coming.handles:
                handle.fail(error)
            self._journal.release([coming.claim.number], self.name)

    def _restore(self, coming: Coming, wish: Event | None) -> Iterator[None]:
        """The execution comes under our control, or turns out to be over."""
        claim, execution_id, handle = coming.claim, coming.id, coming.handles[0]
        goes_on = not isinstance(wish, CancelRequested)
        held = yield from restored(self._journal, claim, execution_id, handle, self._code_of, needs_code=goes_on)
        held.handles = coming.handles
        held.values = self._values(held)
        if not self._held:
            self._clock.adjust()
        held.ahead = max(0.0, held.state.now - self._clock.now())
        if claim.replay_of is not None and self._kept_of is not None:
            held.kept = self._kept_of(claim.replay_of, *changes_of(self._journal, claim.number))
        if held.state.status in EXECUTION_OVER:
            self._journal.release([claim.number], self.name)
            del self._coming[execution_id]
            data = self._journal.data(claim.number, held.state.seq)  # others may have written since the claim
            held.end(held.state.status, held.state.ending_error, *ended_of(held.last, data))
            return
        host = self._host_for(execution_id, held.code) if held.state.body is not None and goes_on else None
        del self._coming[execution_id]
        self._hold(held, host)
        self._about(held, lambda: self._apply(held, Adopted(self.name, claim.epoch)))
        for message in self._journal.messages(self.name):
            self._answer(message)
        self._wish(held, wish)
        for act in coming.after:
            act(held)

    # -- events ----------------------------------------------------------------------------------

    def _feed_known(self, execution_id: str, event: Event, data: Sequence[str] | None) -> None:
        if (coming := self._coming.get(execution_id)) is not None:
            coming.after.append(lambda held: self._feed_known(execution_id, event, data))
        held = self._held.get(execution_id)
        if held is not None:
            self._about(held, lambda: self._apply_lines(held, event, data))

    def _bring(self, held: Held, event: Event, lines: Sequence[str] | None) -> None:
        """An event that follows from something else, in its turn."""
        if held.waiting is None:
            self._apply_lines(held, event, lines)
        else:
            held.waiting.append(lambda: self._apply_lines(held, event, lines))

    def _apply_lines(self, held: Held, event: Event, lines: Sequence[str] | None) -> None:
        if lines is None:
            self._apply(held, event)
            return
        held.values.keep(held.seq + 1, lines)
        self._apply(held, event, "\n".join(lines))

    def _apply(self, held: Held, event: Event, data: str | None = None) -> None:
        """Take one event in; it is committed as soon as the loop has nothing else at hand."""
        self._note(held, event, data, self._clock.now() + held.ahead)
        self._soon(held)

    def _note(self, held: Held, event: Event, data: str | None, at: float) -> None:
        """Apply one event and note it, with what it commands, for the next commit."""
        state = held.state
        if state.status in EXECUTION_OVER:
            return
        seq = held.add(event, at, data)
        for command in apply(state, event, at, seq):
            if type(command) is commands.Finish:
                self._finish(held, command, at)
            else:
                held.commands.append(command)

    def _soon(self, held: Held) -> None:
        self._writing.add(held)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _finish(self, held: Held, command: commands.Finish, at: float) -> None:
        """Put the result together and write the last event in the same commit as what led to it."""
        ended, data = ending_of(held, command)
        self._note(held, ended, data, at)

    def _flush(self) -> None:
        """Commit what was noted, as much as makes up a transaction, then carry out what it commanded."""
        self._flushing = False
        try:
            written = self._write()
        except StoreError as error:
            self._break(error)
            return
        # Doing what one commands may bring events to another: those are not in this commit.
        for held, todo in [(held, held.committed()) for held in written]:
            if held.number in self._by_number:
                self._about(held, lambda held=held, todo=todo: self._committed(held, todo))  # type: ignore[misc]
        if self._writing.due:
            self._flush_soon()
        self._bodies.tell_soon()
        if not self._refreshing and any(held.stale for held in written):
            self._refreshing = True
            self._loop.call_later(PROGRESS_SECONDS, self._refresh)

    def _write(self) -> list[Held]:
        """One transaction; those of which everything that was taken is durable now."""
        parts = self._writing.turn(self._clock.now())
        if not parts:
            return []
        refused = self._journal.append([part for _, part in parts])
        written = list(dict.fromkeys(held for held, _ in parts))
        for held in written:
            if held.number in refused:
                self._lost_lease(held)
        return [held for held in written if not held.pieces and held.number not in refused]

    def _refresh(self) -> None:
        """Bring the list of executions up to date where nothing else has done it meanwhile."""
        self._refreshing = False
        for held in self._held.values():
            if held.stale:
                self._soon(held)

    def _committed(self, held: Held, todo: Sequence[commands.Command]) -> None:
        """What commanded this is durable: do it, and tell who waits."""
        held.recorded()
        held.todo.extend(todo)
        if not held.carrying:
            self._carry_out(held)

    def _carry_out(self, held: Held) -> None:
        """For a moment, then it is the turn of others."""
        until = self._pace() + MOMENT_SECONDS
        held.carrying = True
        while held.todo or self._effects.take_over(held):
            if held.todo:
                self._effects.carry_out(held, held.todo.popleft())
            if (held.todo or held.kept) and self._pace() > until:
                self._loop.call_soon(self._carry_on, held)
                return
        held.carrying = False
        self._tell(held)
        if held.wants_snapshot and self._by_number.get(held.number) is held:
            self._in_moments(held, held.take_snapshot())

    def _carry_on(self, held: Held) -> None:
        if self._by_number.get(held.number) is held:
            self._about(held, lambda: self._carry_out(held))

    def _tell(self, held: Held) -> None:
        """Let the caller know when the execution is over, or at rest after an interrupt."""
        state = held.state
        if held.unwritten:
            return  # how it stands now, nobody may know before it is durable
        if state.status in EXECUTION_OVER:
            result, outputs = held.ended or (None, {})
            self._drop(held, "over")
            held.end(state.status, state.ending_error, result, outputs)
        elif held.at_rest:
            self._drop(held, "interrupted")
            self._journal.release([held.number], self.name)
            held.end(state.status)

    def _drop(self, held: Held, why: str) -> None:
        self._held.pop(held.state.execution, None)
        self._by_number.pop(held.number, None)
        self._writing.forget(held)
        held.todo.clear()
        self._effects.forget(held, why)

    def _lost_lease(self, held: Held) -> None:
        self._drop(held, "lost")
        self._dispatch.cancel(held.state.execution)
        held.fail(LeaseLost(f"another conductor took {held.state.execution} over"))

    # -- reports ---------------------------------------------------------------------------------

    def _report(self, report: Report) -> None:
        held = self._held.get(report.execution)
        if held is not None:
            self._about(held, lambda: self._take(held, report))

    def _take(self, held: Held, report: Report) -> None:
        if type(report) is Outcome:
            self._ended(held, report)
        elif type(report) is Begun:
            self._apply(held, NodeBegun(report.node, report.attempt, report.worker))
        elif type(report) is Returned:
            self._apply(held, NodesReturned(tuple((node, attempt) for node, attempt in report.runs)))
        elif type(report) is ItemsOut:
            given = ItemsGiven(report.node, report.attempt, report.start, len(report.texts))
            self._apply_lines(held, given, report.texts)
        elif type(report) is LogLines:
            self._log(held, report)

    def _ended(self, held: Held, outcome: Outcome) -> None:
        """All pages of a map go into one commit, so that a crash leaves all of them or none."""
        self._in_moments(held, self._apply_all(held, events_of(held.state.nodes.get(outcome.node), outcome)))

    def _apply_all(self, held: Held, events: Iterable[tuple[Event, Sequence[str] | None]]) -> Iterator[None]:
        for event, lines in events:
            self._apply_lines(held, event, lines)
            yield

    def _log(self, held: Held, report: LogLines) -> None:
        held.logs.extend(log_rows(held.state, report))
        self._soon(held)

    # -- time and wishes -------------------------------------------------------------------------

    def _timer_fired(self, number: int, timer: str) -> None:
        held = self._by_number.get(number)
        if held is None:
            return
        if timer == "grace":
            self._dispatch.cancel(held.state.execution)
        else:
            self._about(held, lambda: self._apply(held, TimerFired(timer)))

    def _interrupt(self, execution_id: str, kill: bool) -> None:
        if (coming := self._coming.get(execution_id)) is not None:
            coming.after.append(lambda held: self._interrupt(execution_id, kill))
        held = self._held.get(execution_id)
        if held is None:
            return
        held.interrupted = True
        self._about(held, lambda: self._apply(held, PauseRequested("interrupted")))
        if kill:
            self._dispatch.cancel(execution_id)
        else:
            self._effects.timers.set(held.number, "grace", GRACE_SECONDS)

    def _look_into_inbox(self) -> None:
        self._loop.call_later(INBOX_SECONDS, self._look_into_inbox)
        try:
            if self._held and self._journal.changed():
                for message in self._journal.messages(self.name):
                    self._answer(message)
        except TwinGraphError as error:
            self._break(error)

    def _answer(self, message: Message) -> None:
        held = self._by_number.get(message.number)
        if held is not None and message.id not in held.answering:
            held.answering.add(message.id)
            self._about(held, lambda: self._take_message(held, message))

    def _take_message(self, held: Held, message: Message) -> None:
        held.taken.append((message.id, held.seq + 1))
        said = inbox.event_of(message)
        if said is None:  # from a newer version: nobody here can answer it, ever
            self._soon(held)
        else:
            self._apply_lines(held, *said)
