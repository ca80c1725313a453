"""What a conductor hears about the executions that it holds: reports, timers, wishes, messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twingraph.core.events import (
    Event,
    ItemsGiven,
    NodeBegun,
    NodesReturned,
    PauseRequested,
    ResumeRequested,
    TimerFired,
)
from twingraph.core.plan import NodeKind
from twingraph.dispatch.base import Begun, ItemsOut, LogLines, Outcome, Report, Returned
from twingraph.engine.ground import Ground
from twingraph.engine.held import Held
from twingraph.engine.kernel import Node
from twingraph.engine.keying import Keying
from twingraph.engine.outcomes import events_of, handler_failed, keep_handed_over, log_rows, ran_again
from twingraph.engine.outside import Outside
from twingraph.engine.timers import Timers
from twingraph.engine.turns import Turns
from twingraph.store.base import Message

# What a first Ctrl-C gives to what runs.
GRACE_SECONDS = 10.0


class Hearing:
    """What is about an execution that is not held, or not any more, is nobody's."""

    def __init__(self, ground: Ground, turns: Turns, timers: Timers, outside: Outside, keying: Keying) -> None:
        self._name = ground.name
        self._roster = ground.roster
        self._journal = ground.journal
        self._dispatch = ground.dispatch
        self._clock = ground.clock
        self._turns = turns
        self._timers = timers
        self._outside = outside
        self._keying = keying

    # -- reports -----------------------------------------------------------------------------------

    def report(self, report: Report) -> None:
        held = self._roster.named(report.execution)
        if held is not None and not self._keying.heard(report):
            self._turns.about(held, lambda: self._take(held, report))

    def _take(self, held: Held, report: Report) -> None:
        if type(report) is Outcome:
            self._ended(held, report)
        elif type(report) is Begun:
            if report.again is not None:
                self._turns.in_moments(held, self._goes_on(held, report, report.again))
            else:
                self._turns.apply(held, NodeBegun(report.node, report.attempt, report.worker))
        elif type(report) is Returned:
            self._turns.apply(held, NodesReturned(tuple((node, attempt) for node, attempt in report.runs)))
        elif type(report) is ItemsOut:
            given = ItemsGiven(report.node, report.attempt, report.start, len(report.texts))
            self._turns.apply_lines(held, given, report.texts)
        elif type(report) is LogLines:
            if held.retold or (report.lines and not report.lines[0][0]):
                self._leave_out_known(held, report)
            if len(report.lines) > held.sizes.log_lines:
                self._turns.in_moments(held, self._note_lines(held, report))
            else:
                held.logs.extend(log_rows(held.state, report))
                self._turns.soon(held)

    def _note_lines(self, held: Held, report: LogLines) -> Iterator[None]:
        """A flood of them, by and by; whatever the run reports next comes after."""
        step = held.sizes.log_lines
        for start in range(0, len(report.lines), step):
            held.logs.extend(log_rows(held.state, report, start, start + step))
            yield

    def _goes_on(self, held: Held, report: Begun, attempts: tuple[int, int]) -> Iterator[None]:
        """What its log has already is read, by and by; whatever the run reports next comes after."""
        from twingraph.engine.retold import KnownLines  # only containers of killed processes are gone on with

        known, after = KnownLines(), 0
        while page := self._journal.lines_of(held.number, report.node, attempts, after):
            for _, at, stream, message in page:
                known.add(at, stream, message)
            after = page[-1][0]
            yield
        held.retold[report.node, report.attempt] = known
        self._turns.apply(held, NodeBegun(report.node, report.attempt, report.worker))
        yield

    def _leave_out_known(self, held: Held, report: LogLines) -> None:
        known = held.retold.get((report.node, report.attempt))
        lines = report.lines if known is None else known.left_out_of(report.lines)
        now = self._clock.now()
        report.lines = [(at or now, level, stream, message) for at, level, stream, message in lines]

    def _ended(self, held: Held, outcome: Outcome) -> None:
        """All pages of a map go into one commit, so that a crash leaves all of them or none."""
        if held.retold:
            held.retold.pop((outcome.node, outcome.attempt), None)
        node = held.state.nodes.get(outcome.node)
        if node is not None and ran_again(node, outcome):
            self._turns.in_moments(held, self._generated(held, node, outcome))
            return
        events = events_of(held.state, node, outcome, held.sizes.map_page)
        if node is not None and node.kind is NodeKind.MAP:
            self._turns.bring_all(held, events)
            return
        handles = node is not None and node.kind is NodeKind.HANDLER and not node.over
        for event, lines in events:
            self._turns.apply_lines(held, event, lines)
        if handles and node is not None and node.error is not None:  # into the same commit
            held.logs.append(handler_failed(held.state, node))

    def _generated(self, held: Held, node: Node, outcome: Outcome) -> Iterator[None]:
        yield from keep_handed_over(held.values, node, outcome)
        for event, lines in events_of(held.state, node, outcome, held.sizes.map_page):
            self._turns.apply_lines(held, event, lines)

    # -- time and wishes ---------------------------------------------------------------------------

    def timer_fired(self, number: int, timer: str) -> None:
        held = self._roster.at(number)
        if held is None:
            return
        if timer == "grace":
            if held.interrupted:  # else it has been gone on with
                self._dispatch.cancel(held.state.execution)
        else:
            self._turns.about(held, lambda: self._turns.apply(held, TimerFired(timer)))

    def feed(self, execution_id: str, event: Event, data: Sequence[str] | None) -> None:
        if (coming := self._roster.coming.get(execution_id)) is not None:
            coming.after.append(lambda held: self.feed(execution_id, event, data))
        held = self._roster.named(execution_id)
        if held is not None:
            self._turns.about(held, lambda: self._heard(held, event, data))

    def _heard(self, held: Held, event: Event, data: Sequence[str] | None) -> None:
        if type(event) is ResumeRequested:
            held.interrupted = False
        self._turns.apply_lines(held, event, data)

    def interrupt(self, execution_id: str, kill: bool) -> None:
        if (coming := self._roster.coming.get(execution_id)) is not None:
            coming.after.append(lambda held: self.interrupt(execution_id, kill))
        held = self._roster.named(execution_id)
        if held is None:
            return
        held.interrupted = True
        self._turns.about(held, lambda: self._turns.apply(held, PauseRequested("interrupted")))
        if kill:
            self._dispatch.cancel(execution_id)
        else:
            self._timers.set(held.number, "grace", GRACE_SECONDS)

    # -- what others have written ------------------------------------------------------------------

    def look_around(self) -> None:
        """Ask whether there is anything new; that costs microseconds."""
        if self._roster:
            changed = self._journal.changed()
            if changed:
                self.read_inbox()
            self._outside.look(changed=changed)

    def read_inbox(self) -> None:
        for message in self._journal.messages(self._name):
            self._answer(message)

    def _answer(self, message: Message) -> None:
        held = self._roster.at(message.number)
        if held is not None and message.id not in held.answering:
            held.answering.add(message.id)
            self._turns.about(held, lambda: self._take_message(held, message))

    def _take_message(self, held: Held, message: Message) -> None:
        from twingraph.engine import inbox  # few are ever sent one

        held.taken.append((message.id, held.seq + 1))
        said = inbox.event_of(message)
        if said is None:  # from a newer version: nobody here can answer it, ever
            self._turns.soon(held)
        else:
            self._heard(held, *said)
