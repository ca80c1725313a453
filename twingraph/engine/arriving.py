"""How executions come under a conductor's control: they are begun, or taken over from their journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from twingraph.core.bodies import Host
from twingraph.core.errors import StoreError, TwinGraphError
from twingraph.core.events import KINDS, Adopted, CancelRequested, Event, OutcomesKept, is_long
from twingraph.core.recordclass import recordclass
from twingraph.core.statuses import EXECUTION_OVER
from twingraph.dispatch.base import CodeRef
from twingraph.engine.ahead import ValuesAhead
from twingraph.engine.batches import fits, pieces
from twingraph.engine.beginning import first_events, new_execution
from twingraph.engine.ground import Ground
from twingraph.engine.handle import Handle
from twingraph.engine.held import Held, Keeping, KeptOf, LimitWishes, Submission
from twingraph.engine.kernel import State, commands
from twingraph.engine.link import Bodies
from twingraph.engine.roster import Coming
from twingraph.engine.turns import Turns
from twingraph.store.base import Append, Claim, NewExecution
from twingraph.store.blobs.base import BlobStore

# What is commanded about calls that are answered before the body is opened.
_OF_CALLS = (commands.Dispatch, commands.AskCache, commands.WakeDriver)

_KEPT = KINDS[OutcomesKept]

Written = TypeVar("Written")
# Where the bodies of an execution with this code run; raises when there is no such place.
Hosts = Callable[[str, CodeRef | None], Host]


@recordclass
class Sources:
    """Where what an execution needs is to be had."""

    blobs: BlobStore
    code_of: Callable[[str], CodeRef]
    kept_of: KeptOf | None
    hosts: Hosts | None


# So many are recorded in one transaction.
TOGETHER = 32


class Beginning(NamedTuple):
    """An execution that is about to be recorded."""

    new: NewExecution
    began: float
    held: Held
    host: Host | None
    handle: Handle


class Arriving:
    """`settled` is called when one was taken over: messages may wait for it. `failed` hears that the conductor cannot
    go on. `adopted` hears of what was taken over, and its epoch, before any lane of it goes out."""

    def __init__(
        self,
        ground: Ground,
        turns: Turns,
        bodies: Bodies,
        sources: Sources,
        settled: Callable[[], None],
        failed: Callable[[BaseException], None],
        adopted: Callable[[str, int], None] = lambda execution, epoch: None,
    ) -> None:
        self._name = ground.name
        self._roster = ground.roster
        self._journal = ground.journal
        self._moments = ground.moments
        self._clock = ground.clock
        self._garbage = ground.garbage
        self._dispatch = ground.dispatch
        self._sizes = ground.sizes
        self._turns = turns
        self._bodies = bodies
        self._sources = sources
        self._settled = settled
        self._failed = failed
        self._adopted = adopted
        self._due: list[Beginning] = []

    def begin(self, submission: Submission, handle: Handle) -> None:
        """It is recorded with others that come right after it: a commit waits for the disk, whatever is in it."""
        if submission.replay_of is not None:  # it may be refused, and the others must not be
            self.record_due()
        one = self._prepared(submission, handle)
        if one is None:
            return
        self._due.append(one)
        if len(self._due) >= TOGETHER or submission.replay_of is not None:
            self.record_due()

    def begin_at_once(self, submission: Submission, handle: Handle) -> None:
        one = self._prepared(submission, handle)
        if one is not None:
            self._record([one])

    def record_due(self) -> None:
        if self._due:
            due, self._due = self._due, []
            self._record(due)

    def refuse_due(self, why: BaseException) -> None:
        """They are not recorded any more."""
        due, self._due = self._due, []
        for one in due:
            one.handle.fail(why)

    def _prepared(self, submission: Submission, handle: Handle) -> Beginning | None:
        """None: it is large, and comes by and by."""
        if not self._roster:
            self._clock.adjust()
        now = self._clock.now()
        if submission.refresh:
            submission = replace(submission, settings=replace(submission.settings, fresh_from=now))
        events: Iterable[tuple[Event, str | None]] = first_events(submission, self._sizes.kept_page)
        large = _nodes(submission) > self._sizes.begun_at_once
        if not large:
            events = list(events)
            large = any(is_long(event) for event, _ in events)
        host = self._host_for(submission.id, submission.code) if submission.body is not None else None
        claim = Claim(number=0, epoch=1, seq=0, workflow_id=submission.workflow_id)
        held = Held(claim, State(submission.id), submission.code, handle, self._sizes)
        held.values = self._values(held)
        held.values.keep(1, tuple(submission.inputs.values()))
        held.kept = submission.kept or {}
        held.changes["started_at"] = now
        if large and submission.id not in self._roster.coming:
            coming = self._roster.coming[submission.id] = Coming(submission.id, None, handle)
            self._come(coming, self._begin_by_and_by(coming, submission, held, host, events, now))
            return None
        for event, data in events:
            self._turns.note(held, event, data, now)
        return self._beginning(submission, held, host, handle, now)

    def _beginning(
        self, submission: Submission, held: Held, host: Host | None, handle: Handle, now: float
    ) -> Beginning:
        """Of what its first events have led to."""
        _pass_over_repeated(submission, held)
        return Beginning(new_execution(submission, self._name, now), now, held, host, handle)

    def _begin_by_and_by(
        self,
        coming: Coming,
        submission: Submission,
        held: Held,
        host: Host | None,
        events: Iterable[tuple[Event, str | None]],
        now: float,
    ) -> Iterator[None]:
        """The same with turns of others between. Nobody can know of it before it is recorded; what is wished meanwhile
        comes after that. It begins when all of its first events are durable."""
        try:
            self._garbage.makes(-id(held), _nodes(submission))
            if submission.repeated is not None and host is not None:
                for _ in self._bodies.foretell(held, submission, host):
                    self._garbage.makes(-id(held), _nodes(submission))
                    yield
            for event, data in events:
                for _ in self._turns.noting(held, event, data, now):
                    self._garbage.makes(-id(held), len(held.state.nodes))
                    _pass_over_repeated(submission, held)
                    yield
                _pass_over_repeated(submission, held)
                yield
            yield from self._bodies.comparing(held)
            held.handles = coming.handles
            one = self._beginning(submission, held, host, coming.handles[0], now)
            first, *others = self._transactions(held.take(now))
            self._create([(one, first)])
            held.go_on_with(others)
            self._enter(one)
        except Exception:
            self._bodies.forget(submission.id, host)
            raise
        finally:
            self._garbage.drops(-id(held))  # it has a number now, or never will
        if submission.repeated is not None:
            self._moments.by_and_by(submission.repeated.let_go())
        for act in coming.after:
            act(held)

    def _transactions(self, first: Append) -> list[Append]:
        """What is recorded is whole, but for the outcomes that a replay keeps, which may be more than goes into one:
        should this process die before they are written, whoever takes it over looks for them again."""
        rows, most = first.rows, self._sizes.rows
        whole = next((place for place, row in enumerate(rows) if row.kind == _KEPT), 0)
        if not whole or fits(first, most):
            return [first]
        head = Append(number=first.number, epoch=first.epoch, rows=rows[:whole], changes=dict(first.changes))
        return [head, *pieces(replace(first, rows=rows[whole:]), most, by_size=True)]

    def _record(self, beginnings: Sequence[Beginning]) -> None:
        self._record_all([(one, one.held.take(one.began)) for one in beginnings])

    def _record_all(self, firsts: Sequence[tuple[Beginning, Append]]) -> None:
        try:
            self._create(firsts)
        except Exception as error:
            if len(firsts) > 1 and not isinstance(error, StoreError):  # the others can be recorded
                for first in firsts:
                    self._record_all([first])
                return
            for one, _ in firsts:
                one.handle.fail(error)
            return
        with self._dispatch:
            for one, _ in firsts:
                try:
                    self._enter(one)
                except Exception as error:
                    one.handle.fail(error)

    def _create(self, firsts: Sequence[tuple[Beginning, Append]]) -> None:
        if len(firsts) == 1:
            one, append = firsts[0]
            claims = [self._surely(lambda: self._journal.create(one.new, append))]
        else:
            claims = self._surely(lambda: self._journal.create_all([(one.new, append) for one, append in firsts]))
        for (one, _), claim in zip(firsts, claims, strict=True):
            one.held.number = claim.number

    def _enter(self, one: Beginning) -> None:
        """It is recorded, and goes on."""
        held = one.held
        self._garbage.holds(held.number, len(held.state.nodes))
        self._roster.coming.pop(one.new.id, None)
        self._hold(held, one.host)
        self._turns.begun(held)

    def adopt(self, execution_id: str, handle: Handle, wish: Event | None) -> None:
        """Take it over if it is not here yet; the wish is about whatever there is then."""
        held = self._roster.named(execution_id)
        if held is not None:
            held.handles.append(handle)
            self._join(held, handle, wish)
        elif (coming := self._roster.coming.get(execution_id)) is not None:
            coming.handles.append(handle)
            coming.after.append(lambda held: self._join(held, handle, wish))
        else:
            claim = self._surely(lambda: self._journal.claim(execution_id, self._name))
            coming = self._roster.coming[execution_id] = Coming(execution_id, claim, handle)
            self._come(coming, self._restore(coming, claim, wish))

    def _join(self, held: Held, handle: Handle, wish: Event | None) -> None:
        handle.recorded()
        self._wish(held, wish)

    def _wish(self, held: Held, wish: Event | None) -> None:
        if wish is not None and self._roster.has(held):
            held.interrupted = False
            self._turns.about(held, lambda: self._turns.apply(held, wish))

    def _surely(self, write: Callable[[], Written]) -> Written:
        """After a failed write nobody knows whether we hold the execution. It must not stay with one who does not
        know: whatever we hold is free once this conductor has ended."""
        try:
            return write()
        except StoreError as error:
            self._failed(error)
            raise

    def _values(self, held: Held) -> ValuesAhead:
        values = ValuesAhead(
            held.state,
            lambda seq: data if (data := self._journal.data(held.number, seq)) is not None else held.noted(seq),
            self._sources.blobs,
            lambda seqs: self._journal.data_of(held.number, seqs),
            read_shared=lambda execution, seqs: self._journal.values_of(execution, seqs),
        )
        values.long = self._sizes.long_parts
        return values

    def _host_for(self, execution_id: str, code: CodeRef | None) -> Host:
        if self._sources.hosts is None:
            raise TwinGraphError(
                f"{execution_id} is driven by the body of a pipeline, and no host for it is known here"
            )
        return self._sources.hosts(execution_id, code)

    def _hold(self, held: Held, host: Host | None) -> None:
        self._roster.add(held)
        if host is not None:
            self._bodies.drive(held, host)

    # -- by and by ---------------------------------------------------------------------------------

    def _come(self, coming: Coming, steps: Iterator[None]) -> None:
        """Begin an execution, or take it over, for a moment; then it is the turn of others."""
        if self._roster.coming.get(coming.id) is not coming:
            return
        end = self._moments.end()
        try:
            for _ in steps:
                if self._moments.over(end):
                    self._moments.soon(self._come, coming, steps)
                    return
        except Exception as error:
            self._roster.coming.pop(coming.id, None)
            if self._roster.named(coming.id) is not None:  # it goes on already, and must not be let go of alone
                self._failed(error)
                return
            coming.fail(error)
            if coming.claim is not None:
                self._garbage.drops(coming.claim.number)
                self._journal.release([coming.claim.number], self._name)

    def _restore(self, coming: Coming, claim: Claim, wish: Event | None) -> Iterator[None]:
        """The execution comes under our control, or turns out to be over."""
        from twingraph.engine.recovery import restored  # who only starts executions reads none back

        execution_id, handle = coming.id, coming.handles[0]
        goes_on = not isinstance(wish, CancelRequested)
        code_of, kept_of = self._sources.code_of, self._sources.kept_of
        held = yield from restored(
            self._journal,
            claim,
            execution_id,
            handle,
            code_of,
            needs_code=goes_on,
            sizes=self._sizes,
            grown=lambda nodes: self._garbage.makes(claim.number, nodes),
        )
        held.handles = coming.handles
        held.values = self._values(held)
        if claim.replay_of is not None and kept_of is not None:
            held.kept = yield from self._reading_old(kept_of, claim.replay_of, claim.number)
        if not self._roster:
            self._clock.adjust()
        held.ahead = max(0.0, held.state.now - self._clock.now())
        if held.state.status in EXECUTION_OVER:
            self._was_over(coming, claim.number, held)
            return
        host = self._host_for(execution_id, held.code) if held.state.body is not None and goes_on else None
        del self._roster.coming[execution_id]
        self._hold(held, host)
        self._adopted(execution_id, claim.epoch)
        self._turns.about(held, lambda: self._turns.apply(held, Adopted(self._name, claim.epoch)))
        self._settled()
        self._wish(held, wish)
        for act in coming.after:
            act(held)

    def _reading_old(self, kept_of: KeptOf, execution: str, number: int) -> Keeping:
        """What a replay keeps of this execution, which is in memory as long as it is read."""
        from twingraph.engine.recovery import changes_of

        old = -number
        try:
            changes, given = changes_of(self._journal, number)
            return (yield from kept_of(execution, changes, given, lambda nodes: self._garbage.makes(old, nodes)))
        finally:
            self._garbage.drops(old)

    def _was_over(self, coming: Coming, number: int, held: Held) -> None:
        from twingraph.engine.recovery import ended_of

        self._garbage.drops(number)
        self._journal.release([number], self._name)
        del self._roster.coming[coming.id]
        data = self._journal.data(number, held.state.seq)  # others may have written since the claim
        held.end(held.state.status, held.state.ending_error, *ended_of(held.last, data))


def _pass_over_repeated(submission: Submission, held: Held) -> None:
    """Of the calls with which its body begins again nothing is left to do, and no body knows them yet."""
    if submission.repeated is not None:
        held.commands = [command for command in held.commands if type(command) not in _OF_CALLS]
        held.limits = LimitWishes()


def _nodes(submission: Submission) -> int:
    """How many it begins with, or may open soon."""
    if submission.plan is not None:
        plan = submission.plan
        return len(plan.root.nodes) + sum(len(template.nodes) for template in plan.templates.values())
    return len(submission.repeated.nodes) if submission.repeated is not None else 0
