"""How executions come under a conductor's control: they are begun, or taken over from their journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from twingraph.core.bodies import Host
from twingraph.core.errors import StoreError, TwinGraphError
from twingraph.core.events import Adopted, CancelRequested, Event
from twingraph.core.statuses import EXECUTION_OVER
from twingraph.dispatch.base import CodeRef
from twingraph.engine.ahead import ValuesAhead
from twingraph.engine.beginning import first_events, new_execution
from twingraph.engine.ground import Ground
from twingraph.engine.handle import Handle
from twingraph.engine.held import Held, KeptOf, Submission
from twingraph.engine.kernel import State
from twingraph.engine.link import Bodies
from twingraph.engine.recovery import changes_of, ended_of, restored
from twingraph.engine.roster import Coming
from twingraph.engine.turns import Turns
from twingraph.store.base import Claim
from twingraph.store.blobs.base import BlobStore

# Where the bodies of an execution with this code run; raises when there is no such place.
Hosts = Callable[[str, CodeRef | None], Host]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where what an execution needs is to be had."""

    blobs: BlobStore
    code_of: Callable[[str], CodeRef]
    kept_of: KeptOf | None
    hosts: Hosts | None


class Arriving:
    """`settled` is called when one was taken over: messages may wait for it. `failed` hears that the conductor cannot
    go on."""

    def __init__(
        self,
        ground: Ground,
        turns: Turns,
        bodies: Bodies,
        sources: Sources,
        settled: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._name = ground.name
        self._roster = ground.roster
        self._journal = ground.journal
        self._moments = ground.moments
        self._clock = ground.clock
        self._garbage = ground.garbage
        self._sizes = ground.sizes
        self._turns = turns
        self._bodies = bodies
        self._sources = sources
        self._settled = settled
        self._failed = failed

    def begin(self, submission: Submission, handle: Handle) -> None:
        if not self._roster:
            self._clock.adjust()
        now = self._clock.now()
        if submission.refresh:
            submission = replace(submission, settings=replace(submission.settings, fresh_from=now))
        events = first_events(submission)
        host = self._host_for(submission.id, submission.code) if submission.body is not None else None
        claim = Claim(number=0, epoch=1, seq=0, workflow_id=submission.workflow_id)
        held = Held(claim, State(submission.id), submission.code, handle, self._sizes)
        held.values = self._values(held)
        held.values.keep(1, tuple(submission.inputs.values()))
        held.kept = submission.kept or {}
        held.changes["started_at"] = now
        nodes = len(submission.plan.root.nodes) if submission.plan is not None else 0
        if nodes > self._sizes.begun_at_once and submission.id not in self._roster.coming:
            coming = self._roster.coming[submission.id] = Coming(submission.id, None, handle)
            self._come(coming, self._begin_by_and_by(coming, submission, held, events, now))
            return
        for event, data in events:
            self._turns.note(held, event, data, now)
        self._record(submission, held, host, now)

    def _begin_by_and_by(
        self, coming: Coming, submission: Submission, held: Held, events: list[tuple[Event, str | None]], now: float
    ) -> Iterator[None]:
        """The same with turns of others between. Nobody can know of it before it is recorded, at once and whole; what
        is wished meanwhile comes after that."""
        try:
            for event, data in events:
                for _ in self._turns.noting(held, event, data, now):
                    self._garbage.holds(-id(held), len(held.state.nodes))
                    yield
                yield
            held.handles = coming.handles
            self._record(submission, held, None, now)
        finally:
            self._garbage.drops(-id(held))  # it has a number now, or never will
        for act in coming.after:
            act(held)

    def _record(self, submission: Submission, held: Held, host: Host | None, now: float) -> None:
        new = new_execution(submission, self._name, now)
        held.number = self._surely(lambda: self._journal.create(new, held.take(now))).number
        self._garbage.holds(held.number, len(held.state.nodes))
        self._roster.coming.pop(submission.id, None)
        self._hold(held, host)
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

    def _surely(self, write: Callable[[], Claim]) -> Claim:
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
            lambda seq: self._journal.data(held.number, seq),
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
                self._journal.release([coming.claim.number], self._name)

    def _restore(self, coming: Coming, claim: Claim, wish: Event | None) -> Iterator[None]:
        """The execution comes under our control, or turns out to be over."""
        execution_id, handle = coming.id, coming.handles[0]
        goes_on = not isinstance(wish, CancelRequested)
        code_of, kept_of = self._sources.code_of, self._sources.kept_of
        held = yield from restored(
            self._journal, claim, execution_id, handle, code_of, needs_code=goes_on, sizes=self._sizes
        )
        held.handles = coming.handles
        held.values = self._values(held)
        if not self._roster:
            self._clock.adjust()
        held.ahead = max(0.0, held.state.now - self._clock.now())
        if claim.replay_of is not None and kept_of is not None:
            held.kept = kept_of(claim.replay_of, *changes_of(self._journal, claim.number))
        if held.state.status in EXECUTION_OVER:
            self._was_over(coming, claim.number, held)
            return
        host = self._host_for(execution_id, held.code) if held.state.body is not None and goes_on else None
        del self._roster.coming[execution_id]
        self._hold(held, host)
        self._turns.about(held, lambda: self._turns.apply(held, Adopted(self._name, claim.epoch)))
        self._settled()
        self._wish(held, wish)
        for act in coming.after:
            act(held)

    def _was_over(self, coming: Coming, number: int, held: Held) -> None:
        self._journal.release([number], self._name)
        del self._roster.coming[coming.id]
        data = self._journal.data(number, held.state.seq)  # others may have written since the claim
        held.end(held.state.status, held.state.ending_error, *ended_of(held.last, data))
