"""Who holds what was sent, and what of it is lost. No clock and no broker of its own: times are handed in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from twingraph.core.events import OutputMeta
from twingraph.core.recordclass import recordclass
from twingraph.dispatch.base import Lane, NodeRun, Outcome
from twingraph.dispatch.celery.messages import SomeOutputs

# A worker that says nothing for so long is gone.
SILENCE_SECONDS = 6.0
# What nobody has taken for so long, though it is not in its queue any more, is gone too.
UNTAKEN_SECONDS = 6.0
# Whoever takes it may not have been heard yet: it is gone when it is still not there after so long.
MISSING_SECONDS = 0.8
# Whoever was there when so many workers died may be why: from then on it goes alone ...
SUSPICIOUS = 2
# ... and the next such one follows when it has lived so long, or has ended.
TRIAL_SECONDS = 10.0
# So often in a row may a node vanish on its way while nobody takes anything from its queue.
VANISH_LIMIT = 3
# So many numbers of a worker's messages are known, so that none counts twice.
NUMBERS = 4096


@dataclass(slots=True, eq=False)
class Sent:
    """A lane on its way or with a worker, with the runs of it that have not ended."""

    id: str
    lane: Lane
    queue: str
    order: int
    at: float
    open: dict[str, NodeRun]
    alone: bool = False  # the one suspect that is out
    holder: str | None = None
    begun: set[str] = field(default_factory=set)
    wishes: dict[str, tuple[str, float]] = field(default_factory=dict)  # by node: what was wished, and when it was said
    passed_at: float | None = None  # since when a later one of its queue is known to be taken
    missing_at: float | None = None  # since when its queue is known to be empty
    missed: int = 0  # beats of its holder that did not name it
    # By worker and node: of a run with very many outputs, what came before its outcome.
    given: dict[tuple[str, str], tuple[list[OutputMeta], list[str]]] = field(default_factory=dict)

    def gives(self, worker: str, some: SomeOutputs) -> None:
        place = worker, some.node
        if not some.start:  # it may have been begun before
            self.given.pop(place, None)
        outputs, texts = self.given.setdefault(place, ([], []))
        if some.start == len(outputs):  # else one before it is missing
            outputs += some.outputs
            texts += some.texts

    def complete(self, worker: str, outcome: Outcome) -> bool:
        """With what has come before. False: a part of it has not."""
        outputs, texts = self.given.pop((worker, outcome.node), ((), ()))
        if outcome.status != "completed":
            return True
        if len(outputs) != outcome.ahead:
            return False
        if outputs:
            outcome.outputs = [*outputs, *outcome.outputs]
            outcome.texts = [*texts, *outcome.texts]
            outcome.ahead = 0
        return True


@recordclass(frozen=False, kw_only=False)
class Gone:
    """A run that ended with its worker, or on its way. `charged`: nobody else can have brought the worker down."""

    sent: Sent
    run: NodeRun
    why: str
    charged: bool = False
    for_good: bool = False


@recordclass(frozen=False, kw_only=False)
class _Worker:
    seen: float
    numbers: dict[int, None] = field(default_factory=dict)
    lanes: dict[str, Sent] = field(default_factory=dict)


class Holding:
    def __init__(self) -> None:
        self._lanes: dict[str, Sent] = {}
        self._runs: dict[tuple[str, str], Sent] = {}
        self._of: dict[str, dict[str, Sent]] = {}
        self._workers: dict[str, _Worker] = {}
        self._untaken: dict[str, Sent] = {}
        self._latest: dict[str, int] = {}  # by queue: the newest that was taken
        self._order = 0
        self._deaths: dict[tuple[str, str], int] = {}  # of workers that they were on, in a row
        self._vanished: dict[tuple[str, str], tuple[int, int]] = {}  # how often, and the newest taken before
        self._last_death: float | None = None

    # -- what is sent ------------------------------------------------------------------------------

    def send(self, number: str, lane: Lane, queue: str, now: float) -> Sent:
        self._order += 1
        sent = Sent(number, lane, queue, self._order, now, {run.node: run for run in lane.runs})
        self._lanes[number] = self._untaken[number] = sent
        self._of.setdefault(lane.execution, {})[number] = sent
        for run in lane.runs:
            self._runs[lane.execution, run.node] = sent
        return sent

    def is_suspect(self, execution: str, node: str) -> bool:
        """Whether it may bring workers down: such go one at a time over all of them."""
        return bool(self._deaths) and self._deaths.get((execution, node), 0) >= SUSPICIOUS

    def suspect_is_out(self, now: float) -> bool:
        return bool(self._deaths) and any(
            sent.alone and (sent.holder is None or now - sent.at < TRIAL_SECONDS) for sent in self._lanes.values()
        )

    def all(self) -> list[Sent]:
        return list(self._lanes.values())

    def get(self, number: str) -> Sent | None:
        return self._lanes.get(number)

    def of(self, execution: str, nodes: Collection[str] | None) -> Iterator[tuple[Sent, list[str]]]:
        """The lanes with open runs of these nodes, and which."""
        for sent in list(self._of.get(execution, {}).values()):
            found = [node for node in sent.open if nodes is None or node in nodes]
            if found:
                yield sent, found

    def find(self, execution: str, node: str, attempt: int) -> Sent | None:
        """Where this attempt is open."""
        sent = self._runs.get((execution, node))
        if sent is None or (run := sent.open.get(node)) is None or run.attempt != attempt:
            return None
        return sent

    def close(self, sent: Sent, node: str, *, ended: bool = True) -> None:
        """A run of it is over, with an ending of its own or without one."""
        execution = sent.lane.execution
        sent.open.pop(node, None)
        sent.begun.discard(node)
        sent.wishes.pop(node, None)
        self._runs.pop((execution, node), None)
        if ended:
            self._deaths.pop((execution, node), None)
            self._vanished.pop((execution, node), None)
        if not sent.open:
            self._lanes.pop(sent.id, None)
            self._untaken.pop(sent.id, None)
            lanes = self._of.get(execution, {})
            lanes.pop(sent.id, None)
            if not lanes:
                self._of.pop(execution, None)
            if sent.holder is not None and (worker := self._workers.get(sent.holder)) is not None:
                worker.lanes.pop(sent.id, None)

    def forget(self, execution: str) -> None:
        """It is not this conductor's any more: what its nodes are suspected of is dropped."""
        if self._deaths or self._vanished:
            self._deaths = {key: count for key, count in self._deaths.items() if key[0] != execution}
            self._vanished = {key: seen for key, seen in self._vanished.items() if key[0] != execution}

    # -- what workers say --------------------------------------------------------------------------

    def heard(self, name: str, number: int, now: float) -> bool:
        """A message of a worker; False when it has been heard before."""
        worker = self._workers.get(name)
        if worker is None:
            worker = self._workers[name] = _Worker(now)
        worker.seen = now
        if number in worker.numbers:
            return False
        worker.numbers[number] = None
        if len(worker.numbers) > NUMBERS:
            del worker.numbers[next(iter(worker.numbers))]
        return True

    def taken(self, name: str, number: str) -> bool:
        """Whether this worker may keep it."""
        sent = self._lanes.get(number)
        if sent is None or sent.holder not in (None, name):
            return False
        if sent.holder is None:
            sent.holder = name
            self._untaken.pop(number, None)
            self._latest[sent.queue] = max(self._latest.get(sent.queue, 0), sent.order)
            self._workers[name].lanes[number] = sent
        return True

    def requeued(self, number: str, now: float) -> None:
        """A worker gives back what it has no room for: it waits anew, behind whatever was taken meanwhile."""
        sent = self._untaken.get(number)
        if sent is not None:
            sent.at, sent.passed_at, sent.missing_at = now, None, None
            sent.order = max(sent.order, self._latest.get(sent.queue, 0))

    def beat(self, name: str, lanes: dict[str, Sequence[str]]) -> tuple[list[str], list[Gone]]:
        """The lanes that this worker must drop, and what it does not know of though it was to hold it."""
        strange = []
        for number, begun in lanes.items():
            if self.taken(name, number):
                sent = self._lanes[number]
                sent.missed = 0
                sent.begun.update(node for node in begun if node in sent.open)
            else:
                strange.append(number)
        gone: list[Gone] = []
        for number, sent in list(self._workers[name].lanes.items()):
            if number not in lanes:
                sent.missed += 1
                if sent.missed > 1:
                    gone += [Gone(sent, run, "what came of it was lost on the way") for run in sent.open.values()]
        return strange, gone

    # -- time --------------------------------------------------------------------------------------

    def begin_anew(self, now: float) -> None:
        """We could not hear for a while: nobody's silence counts, and what was taken may not have been told."""
        for worker in self._workers.values():
            worker.seen = now
        for sent in self._untaken.values():
            sent.at, sent.passed_at, sent.missing_at = now, None, None

    def silent(self, now: float) -> list[Gone]:
        """What those held who have said nothing for too long. They are forgotten."""
        gone: list[Gone] = []
        for name, worker in list(self._workers.items()):
            if now - worker.seen > SILENCE_SECONDS:
                del self._workers[name]
                if worker.lanes:  # who holds nothing says nothing
                    self._last_death = now
                gone += self._lost_with(name, list(worker.lanes.values()))
        return gone

    def _lost_with(self, name: str, lanes: list[Sent]) -> list[Gone]:
        """Whoever had begun may have done it: of a lane, what is known to, else the next one. With several nobody
        knows, unless one of them was on trial."""
        begun = {(sent.id, node) for sent in lanes for node in sent.begun & sent.open.keys()}
        begun |= {(sent.id, next(iter(sent.open))) for sent in lanes if sent.open and not sent.begun & sent.open.keys()}
        alone = max((sent for sent in lanes if sent.alone and sent.open), key=lambda sent: sent.order, default=None)
        on_trial = set() if alone is None else {(alone.id, node) for node in alone.open}
        guilty = on_trial or (begun if len(begun) == 1 else set())
        gone: list[Gone] = []
        for sent in lanes:
            for run in sent.open.values():
                key = (sent.id, run.node)
                if key in (on_trial or begun):
                    self._was_there(sent, run)
                gone.append(Gone(sent, run, f"the worker {name} fell silent", charged=key in guilty))
        return gone

    def _was_there(self, sent: Sent, run: NodeRun) -> None:
        whom = sent.lane.execution, run.node
        self._deaths[whom] = self._deaths.get(whom, 0) + 1

    def overdue(self, now: float) -> set[str]:
        """The queues that somebody must look into: something was sent there and not taken for long."""
        for sent in self._untaken.values():
            if sent.passed_at is None and sent.order < self._latest.get(sent.queue, 0):
                sent.passed_at = now
        return {sent.queue for sent in self._untaken.values() if now - sent.at > UNTAKEN_SECONDS}

    def waiting(self) -> dict[str, int]:
        """The queues in which something was not taken, each with the newest that was."""
        return {sent.queue: self._latest.get(sent.queue, 0) for sent in self._untaken.values()}

    def vanished(self, empty: Collection[str], now: float) -> list[Gone]:
        """What is not in its queue any more and was not taken: the queue is `empty`, now as when it was looked into
        before, or later ones were taken."""
        gone: list[Gone] = []
        for sent in list(self._untaken.values()):
            if now - sent.at <= UNTAKEN_SECONDS:
                continue
            passed = sent.passed_at is not None and now - sent.passed_at > UNTAKEN_SECONDS
            if sent.queue not in empty:
                sent.missing_at = None
            elif sent.missing_at is None:
                sent.missing_at = now
            missing = sent.missing_at is not None and now - sent.missing_at >= MISSING_SECONDS
            if passed or missing:
                gone += [self._vanish(sent, run) for run in sent.open.values()]
        return gone

    def _vanish(self, sent: Sent, run: NodeRun) -> Gone:
        """A worker that dies at once has not said what it took. So where others are taken from that queue, a worker's
        death counts for what it may have begun; where none are, whoever takes them cannot read them."""
        key, latest = (sent.lane.execution, run.node), self._latest.get(sent.queue, 0)
        times, before = self._vanished.get(key, (0, latest))
        self._vanished[key] = times + 1, before
        a_worker_died = self._last_death is not None and self._last_death >= sent.at
        may_have_begun = a_worker_died and run is next(iter(sent.open.values()))
        if may_have_begun:
            self._was_there(sent, run)
        return Gone(
            sent,
            run,
            "it was taken out of its queue by nobody who says so",
            charged=may_have_begun and sent.alone,
            for_good=times + 1 >= VANISH_LIMIT and latest == before,
        )
