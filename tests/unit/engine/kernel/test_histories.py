"""Any history that can happen, of any plan: what must hold holds after each event, and it can be folded again.

The simulation has a world that carries commands out as ours does. Here nothing is likelier than another: whatever
the commands so far allow may come next, also late, twice, or at the wrong time; a failing history is made as short as
it can be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulation.plans import Drawn, Pencil
from tests.support.snapshots import told
from tests.unit.engine.kernel.hand import OUTPUT, error, in_pieces_of
from twingraph.core import events as ev
from twingraph.core.plan import NodeKind
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus, NodeStatus
from twingraph.engine.kernel import State, apply, commands, invariants, snapshot

MOST_STEPS = 3_000
STATUSES = ("completed", "failed", "timeout", "crashed", "oom", "lost", "cancelled")


class History:
    """What has happened, and what may happen next."""

    def __init__(self, drawn: Drawn) -> None:
        self.state = State("exec-1")
        self.other = in_pieces_of(1)
        self.events: list[tuple[ev.Event, float]] = []
        self.at = 100.0
        self.flying: dict[str, int] = {}
        self.over: set[tuple[str, int]] = set()  # attempts that were handed over and of which a late word may come
        self.timers: dict[str, float] = {}
        self.rang: set[str] = set()
        self.limits: set[str] = set()
        self.caches: dict[str, str] = {}
        self.detached: set[str] = set()
        self.end: commands.Finish | None = None
        self.feed(ev.Created(drawn.settings))
        self.feed(ev.GraphExtended(drawn.root.nodes, drawn.specs, drawn.templates))
        self.feed(ev.GraphClosed(last_nodes=drawn.root.last_nodes))

    def feed(self, event: ev.Event) -> None:
        if isinstance(event, ev.Adopted):  # what the conductor before had in hand is gone with it
            self.over |= set(self.flying.items())
            self.flying, self.timers, self.limits, self.caches, self.detached = {}, {}, set(), {}, set()
        completed = {name for name, node in self.state.nodes.items() if node.status is NodeStatus.COMPLETED}
        self.events.append((event, self.at))
        told = apply(self.state, event, self.at, len(self.events))
        assert invariants.broken(self.state) == []
        assert apply(self.other, event, self.at, len(self.events)) == self.state.commands
        assert all(self.state.nodes[name].status is NodeStatus.COMPLETED for name in completed)
        for command in told:
            self._carry_out(command, completed)

    def _carry_out(self, command: commands.Command, completed: set[str]) -> None:
        match command:
            case commands.Dispatch(_, _, runs):
                assert not completed & {name for name, _ in runs}, "what is completed runs again"
                self.flying.update(runs)
            case commands.CancelRuns(nodes) | commands.Recall(nodes):
                assert nodes is None or set(nodes) <= set(self.state.nodes)
            case commands.SetTimer(timer, delay):
                assert delay >= 0
                self.timers[timer] = self.at + delay
            case commands.ClearTimer(timer):
                self.timers.pop(timer, None)
                self.rang.add(timer)
            case commands.AskLimit(node):
                self.limits.add(node)
            case commands.ReleaseLimit(node):
                self.limits.discard(node)
            case commands.AskCache(node):
                self.caches[node] = "asked"
            case commands.SettleCache(node, done):
                self.caches.pop(node, None)
                known = self.state.nodes[node]
                assert done == (known.status is NodeStatus.COMPLETED and known.cached_from is None)
            case commands.StartDetached(node):
                self.detached.add(node)
            case commands.Finish():
                assert self.end is None or self.end.status is command.status
                self.end = command
            case _:
                raise AssertionError(f"no body drives this: {command}")

    # -- what may come next ----------------------------------------------------------------------

    def land(self, node: str) -> int:
        attempt = self.flying.pop(node)
        self.over.add((node, attempt))
        return attempt

    def outcome(self, node: str, status: str, attempt: int) -> ev.Event:
        kind = self.state.nodes[node].kind
        if status == "completed" and kind is NodeKind.BRANCH:
            return ev.BranchTaken(node, attempt, "true")
        if status == "completed" and kind is NodeKind.MAP:
            return ev.MapExpanded(node, attempt, 0, ("a", "b"), last=True)
        wrong = error() if status not in ("completed", "lost", "cancelled") else None
        return ev.NodeEnded(node, attempt, status, outputs=(OUTPUT,) if status == "completed" else (), error=wrong)

    def answer_cache(self, node: str, verdict: str) -> ev.Event:
        before = self.caches.pop(node)
        if before == "waits":
            return ev.CacheOwnerLost(node)
        if verdict == "kept":
            return ev.OutcomesKept("exec-0", ((node, 7, "plain", (OUTPUT,)),))
        if verdict == "hit":
            attempt = self.state.nodes[node].attempt  # one may have run before, in vain
            return ev.NodeEnded(node, attempt, "completed", outputs=(OUTPUT,), cached_from="exec-0")
        if verdict == "wait":
            self.caches[node] = "waits"
        return ev.CacheAnswered(node, verdict)

    def next(self, draw: st.DataObject) -> ev.Event:
        self.at += draw.draw(st.sampled_from((0.0, 0.001, 1.0, 100.0, -50.0)))
        ways = ["pause", "resume", "signal", "adopt"] + ["cancel"] * (len(self.events) > 25)
        for way, known in (("run", self.flying), ("late", self.over), ("timer", self.timers), ("old timer", self.rang),
                           ("limit", self.limits), ("cache", self.caches), ("detached", self.detached)):  # fmt: skip
            ways += [way] * (bool(known) * 4)
        return self._one(draw.draw(st.sampled_from(ways)), draw)

    def _one(self, way: str, draw: st.DataObject) -> ev.Event:
        match way:
            case "run":
                return self._of_a_run(draw.draw(st.sampled_from(sorted(self.flying))), draw)
            case "late":
                node, attempt = draw.draw(st.sampled_from(sorted(self.over)))
                if attempt >= self.state.nodes[node].attempt:
                    return ev.NodeBegun(node, attempt)
                return self.outcome(node, draw.draw(st.sampled_from(STATUSES)), attempt)
            case "timer":
                timer = draw.draw(st.sampled_from(sorted(self.timers)))
                self.at = max(self.at, self.timers.pop(timer))
                self.rang.add(timer)
                return ev.TimerFired(timer)
            case "old timer":
                return ev.TimerFired(draw.draw(st.sampled_from(sorted(self.rang))))
            case "limit":
                node = draw.draw(st.sampled_from(sorted(self.limits)))
                self.limits.remove(node)
                return ev.LimitGranted(node)
            case "cache":
                node = draw.draw(st.sampled_from(sorted(self.caches)))
                return self.answer_cache(node, draw.draw(st.sampled_from(("miss", "hit", "kept", "wait"))))
            case "detached":
                node = draw.draw(st.sampled_from(sorted(self.detached)))
                status = draw.draw(st.sampled_from(("started", "completed", "failed", "cancelled")))
                return ev.DetachedStarted(node, "exec-2") if status == "started" else self._detached(node, status)
            case "signal":
                return ev.SignalReceived(draw.draw(st.sampled_from(("red", "green"))), OUTPUT)
            case "pause":
                return ev.PauseRequested(draw.draw(st.sampled_from(("requested", "interrupted"))))
            case "resume":
                return ev.ResumeRequested()
            case "adopt":
                return ev.Adopted("another", 2)
            case _:
                return ev.CancelRequested()

    def _of_a_run(self, node: str, draw: st.DataObject) -> ev.Event:
        way = draw.draw(st.sampled_from(("begun", "returned", *["completed"] * 8, *STATUSES)))
        if way == "begun":
            return ev.NodeBegun(node, self.flying[node])
        attempt = self.land(node)
        return ev.NodesReturned(((node, attempt),)) if way == "returned" else self.outcome(node, way, attempt)

    def _detached(self, node: str, status: str) -> ev.Event:
        self.detached.remove(node)
        return self.outcome(node, status, 1)

    # -- its end ---------------------------------------------------------------------------------

    def to_its_end(self) -> None:
        """From here on everything goes well: then it comes to an end."""
        for event in self._going_well():
            assert len(self.events) < MOST_STEPS, "it does not come to an end"
            self.feed(event)
        assert self.end is not None
        self.feed(ev.ExecutionEnded(self.end.status, self.end.error))
        assert self.state.status is self.end.status
        assert self.end.status is not ExecutionStatus.FAILED or self.end.error is not None

    def _going_well(self) -> Iterator[ev.Event]:
        while self.end is None:
            if self.state.status is ExecutionStatus.PAUSED:
                yield ev.ResumeRequested()
            elif self.flying:
                node = min(self.flying)
                status = "completed" if self.state.ending is None else "cancelled"
                yield self.outcome(node, status, self.land(node))
            elif self.limits:
                yield ev.LimitGranted(self.limits.pop())
            elif self.caches:
                yield self.answer_cache(min(self.caches), "miss")
            elif self.detached:
                yield self._detached(min(self.detached), "completed")
            elif self.timers:
                timer = min(self.timers, key=lambda known: (self.timers[known], known))
                self.at = max(self.at, self.timers.pop(timer))
                yield ev.TimerFired(timer)
            else:
                waiting = sorted(name for name, nodes in self.state.waiting_signals.items() if nodes)
                assert waiting, "nothing will ever happen again"
                yield ev.SignalReceived(waiting[0], OUTPUT)


def folded(events: list[tuple[ev.Event, float]], state: State, start: int = 0) -> str:
    for seq, (event, at) in enumerate(events[start:], start + 1):
        apply(state, ev.event_from(ev.KINDS[type(event)], ev.body_of(event)), at, seq)
    return told(state)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(plan=st.integers(0, 10_000), steps=st.integers(0, 60), draw=st.data())
def test_whatever_happens_what_must_hold_holds(plan: int, steps: int, draw: st.DataObject) -> None:
    history = History(Pencil(Random(plan)).draw())
    saved: tuple[int, str] | None = None
    for _ in range(steps):
        if history.end is not None:
            break
        history.feed(history.next(draw))
        if draw.draw(st.booleans()):
            saved = len(history.events), json.dumps(snapshot.dump(history.state))
    history.to_its_end()
    assert history.state.status in EXECUTION_OVER
    whole = told(history.state)
    assert folded(history.events, State("exec-1")) == whole
    if saved is not None:
        assert folded(history.events, snapshot.load(json.loads(saved[1])), saved[0]) == whole
