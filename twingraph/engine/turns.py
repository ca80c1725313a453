"""What happens to executions, in turns of the conductor's loop.

An event is applied to the kernel at once and noted for the journal; when the loop has nothing else at hand, everything
noted is committed in one transaction, and only then are the kernel's commands carried out. What arrives during a commit
is the next batch. Whatever takes longer than a moment is done in several turns, with those of others between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from twingraph.core.errors import BlobsUnavailable, DamagedError, StoreError
from twingraph.core.events import Event, is_long, writing
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus
from twingraph.engine.effects import Effects
from twingraph.engine.ground import Ground
from twingraph.engine.held import PROGRESS_SECONDS, Held
from twingraph.engine.kernel import begin, commands, conclude
from twingraph.engine.leaving import Leaving
from twingraph.engine.link import Bodies
from twingraph.engine.outcomes import ending_of
from twingraph.engine.outside import Outside
from twingraph.engine.writing import Writing


class Faults(NamedTuple):
    """Whom errors are told: what harms one execution, and what ends the conductor."""

    give_up: Callable[[Held, BaseException], None]
    break_down: Callable[[BaseException], None]


class Turns:
    def __init__(
        self,
        ground: Ground,
        writing: Writing,
        outside: Outside,
        effects: Effects,
        bodies: Bodies,
        leaving: Leaving,
        faults: Faults,
        told: Callable[[Collection[str]], None] | None = None,
    ) -> None:
        """`told` is called after each commit, with the executions of which something that was reported may not be
        written yet."""
        self._roster = ground.roster
        self._granting, self._sharing = outside
        self._moments = ground.moments
        self._clock = ground.clock
        self._writing = writing
        self._effects = effects
        self._bodies = bodies
        self._leaving = leaving
        self._garbage = ground.garbage
        self._dispatch = ground.dispatch
        self._faults = faults
        self._told = told
        self._flushing = False
        self._refreshing = False

    # -- one execution -----------------------------------------------------------------------------

    def about(self, held: Held, act: Callable[[], None]) -> None:
        """Do something about one execution. A defect that shows there must not harm the others."""
        if held.waiting is not None:
            held.waiting.append(act)
            return
        try:
            act()
        except (BlobsUnavailable, DamagedError) as error:
            self._faults.give_up(held, error)
        except StoreError as error:
            self._faults.break_down(error)
        except Exception as error:
            self._faults.give_up(held, error)

    def in_moments(self, held: Held, steps: Iterator[None]) -> None:
        """A long piece of work about one execution, with turns of others between. Whatever else happens to it comes
        after, and nothing of it is committed before all is done."""
        if held.waiting is not None:
            held.waiting.append(lambda: self.in_moments(held, steps))
            return
        held.waiting = deque()
        self._one_moment(held, steps)

    def _one_moment(self, held: Held, steps: Iterator[None]) -> None:
        if self._roster.has(held):
            self._writing.add(held)  # what comes meanwhile is written after that
            waiting, held.waiting = held.waiting or deque(), None
            self.about(held, lambda: self._steps(held, steps, waiting))

    def _steps(self, held: Held, steps: Iterator[None], waiting: deque[Callable[[], None]]) -> None:
        end = self._moments.end()
        for _ in steps:
            if held.waiting is not None:  # a step led to a long piece of work itself: the others come after that
                held.waiting.append(lambda: self._steps(held, steps, waiting))
                return
            if self._moments.over(end):
                held.waiting = waiting
                self._garbage.holds(held.number, len(held.state.nodes))
                self._moments.soon(self._one_moment, held, steps)
                return
        self.soon(held)
        self._catch_up(held, waiting, end)

    def _catch_up(self, held: Held, waiting: deque[Callable[[], None]], end: float) -> None:
        """What came meanwhile, in its order; when that is much, in moments too."""
        while waiting and self._roster.has(held):
            self.about(held, waiting.popleft())
            if held.waiting is not None:  # it led to a long piece of work itself: the others come after that
                held.waiting.extend(waiting)
                return
            if waiting and self._moments.over(end):
                held.waiting = waiting
                self._moments.soon(self._one_moment, held, iter(()))
                return

    # -- events ------------------------------------------------------------------------------------

    def bring(self, held: Held, event: Event, lines: Sequence[str] | None) -> None:
        """An event that follows from something else, in its turn."""
        if held.waiting is None:
            self.apply_lines(held, event, lines)
        else:
            held.waiting.append(lambda: self.apply_lines(held, event, lines))

    def bring_all(self, held: Held, events: Iterable[tuple[Event, Sequence[str] | None]]) -> None:
        """Several that belong together, each of which may be much: by and by, and all in one commit."""
        self.in_moments(held, self._apply_all(held, events))

    def _apply_all(self, held: Held, events: Iterable[tuple[Event, Sequence[str] | None]]) -> Iterator[None]:
        for event, lines in events:
            self.apply_lines(held, event, lines)
            yield

    def apply_lines(self, held: Held, event: Event, lines: Sequence[str] | None) -> None:
        if lines is None:
            self.apply(held, event)
            return
        held.values.keep(held.seq + 1, lines)
        self.apply(held, event, "\n".join(lines))

    def apply(self, held: Held, event: Event, data: str | None = None) -> None:
        """Take one event in; it is committed as soon as the loop has nothing else at hand."""
        state = held.state
        if state.status not in EXECUTION_OVER:
            at = self._clock.now() + held.ahead
            if is_long(event):
                self.in_moments(held, self.noting(held, event, data, at))
                return
            begin(state, event, at, held.add(event, at, data))
            if state.chores:
                self.in_moments(held, self._conclude(held, at))
                return
            finish = self._sort(held, conclude(state), at)
            if finish is not None:
                self.in_moments(held, self._finish(held, finish, at))
                return
        self.soon(held)

    def note(self, held: Held, event: Event, data: str | None, at: float) -> None:
        """Apply one event and note it, with what it commands, for the next commit. For what is sure to be short."""
        if held.state.status not in EXECUTION_OVER:
            begin(held.state, event, at, held.add(event, at, data))
            for _ in self._conclude(held, at):
                pass

    def noting(self, held: Held, event: Event, data: str | None, at: float) -> Iterator[None]:
        """The same by and by, for what may be long."""
        body = yield from writing(event)
        begin(held.state, event, at, held.add(event, at, data, body))
        yield from self._conclude(held, at)

    def _conclude(self, held: Held, at: float) -> Iterator[None]:
        """The rest of an event that has begun."""
        state, finish = held.state, None
        while state.chores:
            for _ in state.chores.popleft():
                if state.commands:  # of tens of thousands of nodes they come to as many
                    so_far, state.commands = state.commands, []
                    finish = self._sort(held, so_far, at) or finish
                yield
        finish = self._sort(held, conclude(state), at) or finish
        if finish is not None:
            yield from self._finish(held, finish, at)

    def _sort(self, held: Held, todo: Iterable[commands.Command], at: float) -> commands.Finish | None:
        """By when they are carried out: with the commit, after it, or, the end of everything, before it."""
        finish: commands.Finish | None = None
        for command in todo:
            if type(command) is commands.Finish:
                finish = command
            elif type(command) is commands.AskLimit:
                held.limits.asked[command.node] = command
            elif type(command) is commands.ReleaseLimit:
                self._granting.give_back(held, command.node)
            elif type(command) is commands.SettleCache:
                self._sharing.settle(held, command, held.seq, at)
            else:
                held.commands.append(command)
        return finish

    def _finish(self, held: Held, command: commands.Finish, at: float) -> Iterator[None]:
        """Put the result together and write the last event in the same commit as what led to it."""
        if command.status is ExecutionStatus.COMPLETED:
            yield from held.values.before_result()
        ended, data = ending_of(held, command)
        yield
        self.note(held, ended, data, at)

    # -- commits -----------------------------------------------------------------------------------

    def soon(self, held: Held) -> None:
        """It has something to write."""
        self._writing.add(held)
        self.flush_soon()

    def flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._moments.soon(self._flush)

    def _flush(self) -> None:
        """Commit what was noted, as much as makes up a transaction, then carry out what it commanded."""
        self._flushing = False
        for held in self._writing.keeping():
            self.about(held, partial(self._take_over, held))
        try:
            written = self._write()
        except StoreError as error:
            self._faults.break_down(error)
            return
        if self._told is not None:
            self._told(self._writing.unwritten())
        # Doing what one commands may bring events to another: those are not in this commit.
        with self._dispatch:
            for held, todo in [(held, held.committed()) for held in written]:
                self._garbage.holds(held.number, len(held.state.nodes))
                if self._roster.has(held):
                    self.about(held, lambda held=held, todo=todo: self.committed(held, todo))  # type: ignore[misc]
        self._granting.tell()
        if self._writing.due or self._granting.due:
            self.flush_soon()
        self._sharing.wrote(written)
        self._bodies.tell_soon()
        if not self._refreshing and any(held.stale for held in written):
            self._refreshing = True
            self._moments.later(PROGRESS_SECONDS, self._refresh)

    def _take_over(self, held: Held) -> None:
        """What is known of nodes that are to run now goes into this very commit."""
        self._effects.take_over(held)

    def _write(self) -> list[Held]:
        """One transaction; those of which everything that was taken is durable now."""
        parts = self._writing.turn(self._clock.now())
        if not (parts or self._granting.due):
            return []
        written = list(dict.fromkeys(held for held, _ in parts))
        for held in written:
            if held.limits_due and not held.pieces:
                self._granting.take(held)
        refused = self._granting.append([part for _, part in parts])
        for number in refused:
            if (lost := self._roster.at(number)) is not None:
                self._leaving.lost(lost)
        return [held for held in written if not held.pieces and held.number not in refused]

    def write_all(self) -> None:
        """Everything that is still unwritten, because nothing comes after."""
        while self._writing.due:
            for held in self._write():
                self._leaving.if_over(held)
        self._granting.close()

    def _refresh(self) -> None:
        """Bring the list of executions up to date where nothing else has done it meanwhile."""
        self._refreshing = False
        for held in self._roster.all():
            if held.stale:
                self.soon(held)

    # -- commands ----------------------------------------------------------------------------------

    def begun(self, held: Held) -> None:
        """Its first events are durable already, or the first of them."""
        if held.pieces:
            self._writing.go_on(held)
            self.flush_soon()
            return
        if held.limits_due:
            self._granting.take(held)
            self.flush_soon()
        if held.kept:  # what is known comes before anything is carried out
            self.soon(held)
        else:
            self.about(held, lambda: self.committed(held, held.commanded()))

    def committed(self, held: Held, todo: Sequence[commands.Command]) -> None:
        """What commanded this is durable: do it, and tell who waits."""
        held.recorded()
        held.todo.extend(todo)
        if not held.carrying:
            self._carry_out(held)

    def _carry_out(self, held: Held) -> None:
        """For a moment, then it is the turn of others."""
        end = self._moments.end()
        held.carrying = True
        while held.todo or (held.waiting is None and self._effects.take_over(held)):
            if held.todo:
                command = held.todo.popleft()
                steps = self._effects.before(held, command)
                if steps is not None:
                    self.in_moments(held, self._carry_out_after(held, steps, command))
                    return
                self._effects.carry_out(held, command)
            if (held.todo or held.kept) and self._moments.over(end):
                self._moments.soon(self._carry_on, held)
                return
        held.carrying = False
        self._leaving.if_over(held)
        if held.wants_snapshot and self._roster.has(held):
            self.in_moments(held, held.take_snapshot())

    def _carry_out_after(self, held: Held, steps: Iterator[None], command: commands.Command) -> Iterator[None]:
        yield from steps
        self._effects.carry_out(held, command)
        self._moments.soon(self._carry_on, held)

    def _carry_on(self, held: Held) -> None:
        if self._roster.has(held):
            with self._dispatch:
                self.about(held, lambda: self._carry_out(held))
