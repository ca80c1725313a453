"""The ways in which a row is run without processes, and what is seen of each."""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from tests.pipelines import plain
from tests.pipelines.case import Case, Outcome
from tests.pipelines.effects import Effect, noted
from tests.pipelines.table import MODULES
from twingraph.core.events import KINDS, Adopted, ItemsGiven, NodeEnded, SignalReceived, event_from
from twingraph.store.base import Row
from twingraph.testing import Inline
from twingraph.testing.inline import InlineExecution

Runs = dict[str | None, list[list[str]]]  # by node: what each of its attempts did


@cache
def rows() -> dict[str, Case]:
    """The table as pipelines, by `module.name`."""
    found = {}
    for module in MODULES:
        loaded = importlib.import_module(f"tests.pipelines.table.{module}")
        found.update({f"{module}.{case.name}": case for case in loaded.CASES})
    return found


@dataclass
class Seen:
    """How a run ended and what it did."""

    outcome: Outcome
    nodes: list[str]
    effects: Runs
    hashes: list[str | None]  # of the nodes
    execution: InlineExecution

    @classmethod
    def of(cls, outcome: Outcome, effects: Iterable[Effect], execution: InlineExecution) -> Seen:
        nodes = sorted(execution.nodes)
        hashes = [execution.hash_of(node) for node in nodes]
        return cls(outcome, nodes, _by_node(effects), hashes, execution)

    @property
    def same(self) -> tuple[Outcome, list[str], list[str | None]]:
        """What every way has to come to."""
        return self.outcome, self.nodes, self.hashes

    @property
    def lines(self) -> list[str]:
        return sorted(line for runs in self.effects.values() for run in runs for line in run)


def plainly(name: str) -> tuple[Outcome, list[str]]:
    with noted() as effects:
        outcome = plain.outcome(plain.everything()[name])
    return outcome, sorted(one.what for one in effects)


def live(case: Case, *, evict: bool = False) -> Seen:
    inline = Inline(evict=evict)
    with noted() as effects:
        execution = inline.begin(case.run, **case.inputs)
        outcome = _to_its_end(execution, case, 0)
    seen = Seen.of(outcome, effects, execution)
    inline.close()
    return seen


def resumed(seen: Seen, case: Case, commits: int) -> Seen:
    """What is left to do when the engine dies right after so many commits, or right before the next."""
    execution = seen.execution.world.restored(seen.execution, commits)
    with noted() as effects:
        outcome = _to_its_end(execution, case, _signals(execution.journal))
    again = Seen.of(outcome, effects, execution)
    execution.world.close()
    return again


def dying(case: Case) -> Seen:
    """A life ends after each commit."""
    inline = Inline()
    with noted() as effects:
        execution = inline.begin(case.run, **case.inputs)
        outcome = _to_its_end(execution, case, 0, dying=True)
    seen = Seen.of(outcome, effects, execution)
    inline.close()
    return seen


def _to_its_end(execution: InlineExecution, case: Case, sent: int, *, dying: bool = False) -> Outcome:
    """Send what is to be sent, and let time pass where it only waits for that."""
    first, later = len(case.signals), [*case.signals, *case.answers]
    for name, value in case.signals[sent:]:
        execution.world.life.signal(execution.id, name, value)
    sent = max(sent, first)
    while True:
        _settle(execution, dying)
        if execution.over:
            return Outcome.of(execution.result)
        if sent < len(later) and any("signal" in words for words in execution.waiting_for):
            execution.world.life.signal(execution.id, *later[sent])
            sent += 1
        elif execution.world.clock.next_due() is not None:
            execution.world.clock.jump()
        else:
            execution.result()  # says what it waits for


def _settle(execution: InlineExecution, dying: bool) -> None:
    if not dying:
        execution.world.life.settle()
        return
    commits = execution.commits
    known = len(commits)
    while execution.world.life.turn():
        if len(commits) > known and not execution.over:
            known = len(commits)
            if any(row.kind not in _NO_STEP for row in commits[-1]):
                execution.crash()


# A life that ends after one of these has done nothing that the next would not have to do again.
_NO_STEP = {KINDS[Adopted], KINDS[ItemsGiven]}


def _by_node(effects: Iterable[Effect]) -> Runs:
    attempts: dict[tuple[str | None, int], list[str]] = defaultdict(list)
    for one in effects:
        attempts[one.node, one.attempt].append(one.what)
    found: Runs = {}
    for (node, _), lines in sorted(attempts.items(), key=lambda entry: (entry[0][0] or "", entry[0][1])):
        found.setdefault(node, []).append(lines)
    return found


def _signals(journal: Iterable[Row]) -> int:
    return sum(row.kind == KINDS[SignalReceived] for row in journal)


def _ended(seen: Seen, commits: int) -> dict[str, int]:
    """How many attempts of each node are over by this commit."""
    found: dict[str, int] = defaultdict(int)
    for row in (row for commit in seen.execution.commits[:commits] for row in commit):
        event = event_from(row.kind, row.body)
        if isinstance(event, NodeEnded):
            found[event.node] += 1
    return found


def left_to_do(seen: Seen, commits: int) -> Runs:
    """What a life did whose outcome was not committed by then."""
    ended = _ended(seen, commits)
    left = {node: runs[ended[node] if node else 0 :] for node, runs in seen.effects.items()}
    if None in left:  # what bodies did, in the order of their side effects
        done = sum(1 for node in ended if node in _side_effects(seen))
        lines = [line for run in left[None] for line in run][done:]
        left[None] = [lines] if lines else []
    return {node: runs for node, runs in left.items() if runs}


def done(seen: Seen, commits: int) -> set[str]:
    """The nodes that had completed by then."""
    nodes = seen.execution.nodes
    return {node for node in _ended(seen, commits) if nodes[node].status == "completed"}


def _side_effects(seen: Seen) -> set[str]:
    """Those whose functions leave a trace."""
    return {node for node in seen.nodes if "outside" in node}


def every_commit(seen: Seen) -> Iterator[int]:
    return iter(range(1, len(seen.execution.commits)))
