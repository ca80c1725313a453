"""The store as a double, kept to its promise: whole transactions, epochs, an inbox. And what it does on a bad day."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.limits import LimitTable
from twingraph.core.errors import ConflictError, NotFoundError, StoreError
from twingraph.core.events import (
    Adopted,
    BranchTaken,
    CancelRequested,
    Event,
    MapExpanded,
    NodeEnded,
    SignalReceived,
    event_from,
)
from twingraph.core.statuses import EXECUTION_OVER
from twingraph.engine.kernel import State, apply, invariants
from twingraph.store.base import (
    Append,
    CachedOutcome,
    Claim,
    LimitTurn,
    LimitUse,
    Message,
    NewExecution,
    Row,
    Settled,
    Standing,
    Wanting,
    Work,
)

if TYPE_CHECKING:
    from tests.simulation.system.process import Process
    from tests.simulation.system.world import System


@dataclass(eq=False)
class Known:
    """An execution as the store has it, and what its journal amounts to."""

    id: str
    number: int
    owner: str | None
    shadow: State
    epoch: int = 1
    rows: list[Row] = field(default_factory=list)
    snapshot: tuple[int, str] | None = None
    columns: dict[str, Any] = field(default_factory=dict)
    ended: dict[tuple[str, int], str] = field(default_factory=dict)  # (node, attempt) -> how its first ending went
    failures: dict[str, set[int]] = field(default_factory=dict)  # node -> attempts that were spent
    begun_losses: dict[str, int] = field(default_factory=dict)
    adoptions: int = 0
    posted: list[str] = field(default_factory=list)  # signals that the inbox took, in order
    heard: list[str] = field(default_factory=list)
    dropped: int = 0  # signals that were in the inbox when it ended
    cancelled: bool = False  # somebody was told that it will be

    @property
    def seq(self) -> int:
        return len(self.rows)

    @property
    def over(self) -> bool:
        return self.shadow.status in EXECUTION_OVER


class Store:
    def __init__(self, world: System) -> None:
        self.world = world
        self.by_id: dict[str, Known] = {}
        self.by_number: dict[int, Known] = {}
        self.inbox: dict[int, Message] = {}
        self.limits = LimitTable()
        self.posted = 0
        self.outcomes: dict[tuple[str, str], tuple[CachedOutcome, float]] = {}  # with when it was begun
        self.claims: dict[tuple[str, str], Work] = {}
        self.overtaken: set[tuple[int, str]] = set()  # whose work others have begun, since they stood still
        self.writes: dict[str, int] = {}  # by writer

    def wrote(self, who: str) -> None:
        self.writes[who] = self.writes.get(who, 0) + 1

    def version_for(self, who: str) -> int:
        """Changes when somebody else has written."""
        return sum(self.writes.values()) - self.writes.get(who, 0)

    # -- any process -----------------------------------------------------------------------------

    def post(self, execution: str, kind: str, body: str) -> bool:
        known = self.by_id.get(execution)
        if known is None or known.over:
            return False
        self.posted += 1
        self.inbox[self.posted] = Message(self.posted, known.number, kind, body)
        if kind == "signal":
            known.posted.append(body)
        elif kind == "cancel":
            known.cancelled = True
        self.wrote("somebody")
        self.world.tell("somebody", f"posts {kind} to {execution} as message {self.posted}")
        return True

    # -- what is written -------------------------------------------------------------------------

    def write(self, part: Append, who: str) -> bool:
        known = self.by_number[part.number]
        if known.epoch != part.epoch:
            self.world.tell(who, f"is refused: {known.id} is at epoch {known.epoch}, not {part.epoch}")
            return False
        if known.owner not in (None, who):
            self.world.broken(f"{who} writes to {known.id} with the epoch of {known.owner}")
        if known.over and part.rows:
            self.world.broken(f"{who} writes to {known.id} after its end")
        for row in part.rows:
            self._add(known, row, who)
        known.columns.update(part.changes)
        if "owner" in part.changes:
            known.owner = part.changes["owner"]
        if part.snapshot is not None:
            known.snapshot = part.snapshot_seq, part.snapshot
        for settled in part.settled:
            self._settle(known, settled)
        for node in part.freed:
            self.limits.free(known.number, node)
        if self.world.thorough:
            self._check_limits(known, who)
        for taken in part.taken:
            self._take(known, self.inbox.pop(taken, None))
        if "completed_at" in part.changes:
            left = [message for message in self.inbox.values() if message.number == known.number]
            for message in left:
                del self.inbox[message.id]
            known.dropped += sum(message.kind == "signal" for message in left)
            known.snapshot = None
            if any(number == known.number for number, _ in self.limits.held):
                self.world.broken(f"{known.id} is over and still holds limits")
        return True

    def _check_limits(self, known: Known, who: str) -> None:
        """Whatever runs by the journal, holds its limits in the table, which sees to the numbers."""
        for node in known.shadow.nodes.values():
            if node.granted and (known.number, node.id) not in self.limits.held:
                self.world.broken(f"{who} goes on with {node.id} of {known.id}, which does not hold its limits")

    def _take(self, known: Known, message: Message | None) -> None:
        if message is None:
            self.world.broken(f"a message to {known.id} was answered twice")
        elif message.kind == "cancel" and not known.over and known.shadow.ending is None:
            self.world.broken(f"the cancel of {known.id} was taken from the inbox and forgotten")
        elif message.kind == "signal" and known.over and json.loads(message.body)["text"] not in known.heard:
            known.dropped += 1  # it came with what ended the execution

    def _add(self, known: Known, row: Row, who: str) -> None:
        if row.seq != known.seq + 1:
            self.world.broken(f"{who} writes event {row.seq} of {known.id} after event {known.seq}")
        event = event_from(row.kind, row.body)
        self.world.tell(who, f"{known.id} {row.seq:4} {row.kind} {row.body[:130]}")
        known.rows.append(row)
        self._count(known, event, row)
        before = known.shadow.ended_count
        apply(known.shadow, event, row.at, row.seq)
        if known.shadow.ended_count < before:
            self.world.broken(f"a node of {known.id} was over and is not any more")
        faults = invariants.broken(known.shadow) if self.world.thorough else []
        if faults:
            self.world.broken(f"{known.id} after event {row.seq}: {'; '.join(faults)}")

    def _count(self, known: Known, event: Event, row: Row) -> None:
        if isinstance(event, (NodeEnded, BranchTaken, MapExpanded)):
            node = known.shadow.nodes.get(event.node)
            status = event.status if isinstance(event, NodeEnded) else "completed"
            taken = node is not None and node.lane is not None and event.attempt >= node.attempt
            known.ended.setdefault((event.node, event.attempt), status)
            if taken and status in ("failed", "timeout", "crashed", "oom"):
                known.failures.setdefault(event.node, set()).add(event.attempt)
            elif taken and status == "lost" and isinstance(event, NodeEnded) and event.begun:
                known.begun_losses[event.node] = known.begun_losses.get(event.node, 0) + 1
        elif isinstance(event, SignalReceived):
            known.heard.append(row.data or "")
        elif isinstance(event, CancelRequested):
            known.cancelled = True
        elif isinstance(event, Adopted):
            known.adoptions += 1

    # -- cached work -----------------------------------------------------------------------------

    def ask(self, work: Work, who: str) -> CachedOutcome | bool:
        place = work.scope, work.key
        found = self.outcomes.get(place)
        if found is not None and found[1] >= work.begun_after and found[0].done_at >= work.done_after:
            return found[0]
        claim = self.claims.get(place)
        if claim is not None and (claim.number, claim.node) != (work.number, work.node):
            known = self.by_number[claim.number]
            runs = known.columns.get("status", "running") == "running"
            if runs and known.owner is not None and self.world.lives(known.owner) and claim.at >= work.begun_after:
                return False
            self.overtaken.add((claim.number, claim.node))
            self.world.tell(who, f"takes the work of {claim.node} of {known.id} over")
        if self.by_number[work.number].owner == who:
            self.claims[place] = work
        return True

    def _settle(self, known: Known, settled: Settled) -> None:
        place = settled.scope, settled.key
        claim = self.claims.get(place)
        if claim is not None and (claim.number, claim.node) == (known.number, settled.node):
            del self.claims[place]
        if settled.done is None:
            return
        row = known.rows[settled.done.seq - 1]
        ended = event_from(row.kind, row.body)
        if not isinstance(ended, NodeEnded) or (ended.node, ended.status) != (settled.node, "completed"):
            self.world.broken(f"event {row.seq} of {known.id} is kept as the outcome of {settled.node}")
        outcome = CachedOutcome(known.id, settled.node, settled.done.at, row.body, row.data)
        before = self.outcomes.get(place)
        if before is None or before[1] <= settled.begun:
            self.outcomes[place] = outcome, settled.begun

    def check_owner(self, number: int, node: str) -> None:
        """Cached work is done by who it belongs to."""
        theirs = any((claim.number, claim.node) == (number, node) for claim in self.claims.values())
        if not theirs and (number, node) not in self.overtaken:
            self.world.broken(f"{node} of {self.by_number[number].id} runs, and its work was not asked for")

    # -- who holds what --------------------------------------------------------------------------

    def claim(self, execution: str, who: str) -> Claim:
        known = self.by_id.get(execution)
        if known is None:
            raise NotFoundError(f"no execution has the id {execution!r}")
        before = known.owner
        if before is not None and before != who and self.world.lives(before):
            raise ConflictError(f"{execution} is held by another process that is alive")
        known.owner = who
        known.epoch += 1
        self.limits.free_all(known.number)
        self.world.tell(who, f"takes {execution} over from {before}, epoch {known.epoch}, event {known.seq}")
        return Claim(number=known.number, epoch=known.epoch, seq=known.seq)

    def let_go(self, known: Known, who: str) -> None:
        if known.owner == who:
            known.owner = None
            self.limits.free_all(known.number)
            self.world.tell(who, f"lets go of {known.id}")

    # -- named limits ----------------------------------------------------------------------------

    def give_out(self, turn: LimitTurn) -> tuple[set[int], Sequence[Wanting]]:
        """The table itself sees to it that nobody is granted what is held often enough."""

        def is_current(wanting: Wanting) -> bool:
            return self.by_number[wanting.number].epoch == wanting.epoch

        denied, granted = self.limits.give_out(turn, is_current, lambda: self._bury(turn.owner))
        for wanting in granted:
            self.world.tell(turn.owner, f"{self.by_number[wanting.number].id} gets {wanting.limits} for {wanting.node}")
        return denied, granted

    def _bury(self, who: str) -> bool:
        owners = {self.by_number[number].owner for number, _ in self.limits.held}
        owners |= {owner for owner, _ in self.limits.wishes}
        dead = sorted(owner for owner in owners if owner not in (None, who) and not self.world.lives(owner))
        for owner in dead:
            self.limits.forget_wishes(owner)
            for number in {number for number, _ in self.limits.held}:
                known = self.by_number[number]
                if known.owner == owner:
                    known.owner = None
                    known.epoch += 1
                    self.limits.free_all(number)
                    self.world.tell(who, f"finds {owner} dead and frees what {known.id} held")
        return bool(dead)


class ProcessJournal:
    """The connection of one process, which may be slow, break, or be the last thing that the process does."""

    def __init__(self, store: Store, process: Process) -> None:
        self._store = store
        self._process = process
        self._seen = store.version_for(process.name)

    def create(self, new: NewExecution, first: Append) -> Claim:
        return self.create_all([(new, first)])[0]

    def create_all(self, begun: Sequence[tuple[NewExecution, Append]]) -> list[Claim]:
        self._process.before("create")
        claims = [self._create(new, first) for new, first in begun]
        self._store.wrote(self._process.name)
        self._process.after("create")
        return claims

    def _create(self, new: NewExecution, first: Append) -> Claim:
        if new.id in self._store.by_id:
            raise StoreError(f"{new.id} is there already")
        number = len(self._store.by_id) + 1
        known = Known(new.id, number, new.owner, State(new.id))
        self._store.by_id[new.id] = self._store.by_number[number] = known
        first.number = number
        self._store.write(first, self._process.name)
        return Claim(number=number, epoch=1, seq=known.seq)

    def append(self, batch: Sequence[Append]) -> set[int]:
        self._process.before("append")
        refused = {part.number for part in batch if not self._store.write(part, self._process.name)}
        self._store.wrote(self._process.name)
        self._process.after("append")
        return refused

    def append_and_ask(self, batch: Sequence[Append], turn: LimitTurn) -> tuple[set[int], Sequence[Wanting]]:
        self._process.before("append")
        refused = {part.number for part in batch if not self._store.write(part, self._process.name)}
        denied, granted = self._store.give_out(turn)
        self._store.wrote(self._process.name)
        self._process.after("append")
        return refused | denied, granted

    def limit_use(self, turn: LimitTurn) -> LimitUse:
        self._process.before("read")
        return self._store.limits.use(turn)

    def claim(self, execution_id: str, owner: str) -> Claim:
        self._process.before("claim")
        claim = self._store.claim(execution_id, owner)
        self._store.wrote(self._process.name)
        self._process.after("claim")
        return claim

    def release(self, numbers: Sequence[int], owner: str) -> None:
        self._process.before("release")
        for number in numbers:
            self._store.let_go(self._store.by_number[number], owner)
        self._store.wrote(self._process.name)

    def standing(self, execution_id: str, owner: str) -> Standing | None:
        self._process.before("read")
        known = self._store.by_id.get(execution_id)
        if known is None:
            return None
        elsewhere = known.owner is not None and known.owner != owner and self._store.world.lives(known.owner)
        return Standing(known.columns.get("status", "pending"), elsewhere)

    def orphans(self, asker: str, origins: Collection[str], limit: int) -> list[str]:
        raise AssertionError("here nobody takes over what he was not told to")

    def load(self, number: int, *, snapshot: bool = True) -> tuple[str | None, Iterator[Row]]:
        self._process.before("read")
        known = self._store.by_number[number]
        after, state = known.snapshot if known.snapshot is not None and snapshot else (0, None)
        return state, iter(known.rows[after:])

    def data(self, number: int, seq: int) -> str | None:
        rows = self._store.by_number[number].rows
        return rows[seq - 1].data if 0 < seq <= len(rows) else None

    def data_of(self, number: int, seqs: Sequence[int]) -> Mapping[int, str]:
        rows = self._store.by_number[number].rows
        found = {seq: rows[seq - 1].data for seq in seqs if seq <= len(rows)}
        return {seq: data for seq, data in found.items() if data is not None}

    def values_of(self, execution_id: str, seqs: Sequence[int]) -> Mapping[int, str]:
        return self.data_of(self._store.by_id[execution_id].number, seqs)

    def lines_of(
        self, number: int, node: str, attempts: tuple[int, int], after: int = 0
    ) -> Sequence[tuple[int, float, str, str]]:
        raise AssertionError("nothing is gone on with here")

    def ask_cache(self, asked: Sequence[Work], owner: str) -> list[CachedOutcome | bool]:
        self._process.before("ask_cache")
        answers = [self._store.ask(work, owner) for work in asked]
        if True in answers:
            self._store.wrote(self._process.name)
            self._process.after("ask_cache")
        return answers

    def changed(self) -> bool:
        self._process.before("read")
        before, self._seen = self._seen, self._store.version_for(self._process.name)
        return before != self._seen

    def messages(self, owner: str) -> list[Message]:
        self._process.before("read")
        return [m for m in self._store.inbox.values() if self._store.by_number[m.number].owner == owner]

    def code(self, version: str) -> str | None:
        return None

    def keep_code(self, version: str, body: str, at: float) -> None:
        raise AssertionError("nothing is compiled here")

    def close(self) -> None:
        pass
