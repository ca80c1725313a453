"""Keys of cached work that a function of the author says: it is called where all other code of authors runs.

The node that asks stays where it is meanwhile. What the function is called with, and gives, is never opened here. Such
runs stand in no journal: after a crash the function is asked again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from twingraph.core import outputs
from twingraph.core.caching import KEY_MARK
from twingraph.core.statuses import ExecutionStatus
from twingraph.dispatch.base import LogLines, Outcome, Report, Returned
from twingraph.engine.ground import Ground
from twingraph.engine.held import Held

# At most so many lanes of such runs at once, each of so many.
LANES, RUNS = 4, 64
# So often a run may be lost with its process before its node goes on without the cache.
LOSSES = 3

# Hands the runs of one spec to dispatch: the execution, the spec, and (node, attempt) of each. What cannot be run, with
# the reason.
Submit = Callable[[Held, int, Sequence[tuple[str, int]]], Sequence[tuple[str, str]]]


class Asking(NamedTuple):
    held: Held
    node: str
    told: Callable[[str | None, str | None], None]  # the text of the key, or why there is none


class Keying:
    def __init__(self, ground: Ground, submit: Submit) -> None:
        self._ground = ground
        self._submit = submit
        self._waiting: deque[Asking] = deque()
        self._running: dict[tuple[str, str], tuple[int, Asking]] = {}  # by execution and node: the newest attempt
        self._lost: dict[tuple[int, str], int] = {}
        self._attempt = 0  # tells runs of one node apart: the answer of one that was given up counts for nothing
        self._called = False

    def ask(self, asking: Asking) -> None:
        self._waiting.append(asking)
        self._call_soon()

    def _call_soon(self) -> None:
        if not self._called:
            self._called = True
            self._ground.moments.soon(self._call)

    def look(self) -> None:
        """Those that could not be called before may be now."""
        if self._waiting:
            self._call_soon()

    def end(self, held: Held, node: str) -> None:
        """The node is over before it has its key: the function need not say one any more."""
        self._lost.pop((held.number, node), None)
        if self._running.pop((held.state.execution, node), None) is not None:
            self._ground.dispatch.cancel(held.state.execution, [node + KEY_MARK])
            self.look()

    def drop(self, number: int) -> None:
        """The execution is not ours any more: nothing of it runs on."""
        running = [place for place, (_, one) in self._running.items() if one.held.number == number]
        if running:
            self._ground.dispatch.cancel(running[0][0], [node + KEY_MARK for _, node in running])
        for place in running:
            del self._running[place]
        self._waiting = deque(one for one in self._waiting if one.held.number != number)
        self._lost = {key: times for key, times in self._lost.items() if key[0] != number}

    def _call(self) -> None:
        """By the specs of those that may run now, in the order in which they asked."""
        self._called = False
        groups: dict[tuple[int, int], list[Asking]] = {}
        left: deque[Asking] = deque()
        room = LANES * RUNS - len(self._running)
        for asking in self._waiting:
            node = asking.held.state.nodes[asking.node]
            if node.asked != "cache":
                continue  # it ended meanwhile
            if asking.held.state.status is not ExecutionStatus.RUNNING or room <= 0:
                left.append(asking)
                continue
            room -= 1
            assert node.spec is not None
            groups.setdefault((asking.held.number, node.spec), []).append(asking)
        self._waiting = left
        for (_, spec), several in groups.items():
            for start in range(0, len(several), RUNS):
                self._hand_over(spec, several[start : start + RUNS])

    def _hand_over(self, spec: int, several: Sequence[Asking]) -> None:
        held = several[0].held
        runs = []
        for asking in several:
            self._attempt += 1
            self._running[held.state.execution, asking.node] = self._attempt, asking
            runs.append((asking.node, self._attempt))
        for node, why in self._submit(held, spec, runs):
            self._running.pop((held.state.execution, node))[1].told(None, why)

    def _over(self, execution: str, name: str, attempt: int) -> Asking | None:
        """Who asked, unless nobody waits for this run any more."""
        place = execution, name.removesuffix(KEY_MARK)
        number, asking = self._running.get(place, (0, None))
        if asking is None or number != attempt:
            return None
        del self._running[place]
        return asking

    # -- reports -----------------------------------------------------------------------------------

    def heard(self, report: Report) -> bool:
        """Whether it is about such runs. What these print belongs to their nodes."""
        if isinstance(report, Returned):
            return self._returned(report)
        node = report.node
        if not node.endswith(KEY_MARK):
            return False
        if isinstance(report, LogLines):
            report.node, report.attempt = node.removesuffix(KEY_MARK), 1
            return False
        if isinstance(report, Outcome):
            asking = self._over(report.execution, node, report.attempt)
            if asking is not None:
                self._ended(asking, report)
                self.look()
        return True

    def _returned(self, report: Returned) -> bool:
        """Handed back before they began: again. What is left of the report is about nodes."""
        ours = [run for run in report.runs if run[0].endswith(KEY_MARK)]
        for name, attempt in ours:
            asking = self._over(report.execution, name, attempt)
            if asking is not None:
                self.ask(asking)
        if ours:
            report.runs = [run for run in report.runs if run not in ours]
        return not report.runs

    def _ended(self, asking: Asking, outcome: Outcome) -> None:
        if outcome.status == "completed":
            names = [name for name, _, _ in outcome.outputs]
            asking.told(outputs.whole(outcome.shape, names, outcome.texts), None)
            return
        place = asking.held.number, asking.node
        lost = self._lost[place] = self._lost.get(place, 0) + (outcome.status == "lost")
        if outcome.status in ("lost", "cancelled") and lost < LOSSES:
            self._waiting.append(asking)  # it was not its own doing: again, when the execution goes on
            return
        error = outcome.error
        said = error.words if error is not None else outcome.status
        asking.told(None, said.replace(outcome.node, f"the key of {asking.node}"))
