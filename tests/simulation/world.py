"""The world around the kernel: it carries commands out late, twice, wrongly or not at all, and sometimes dies.

One `World` lives one execution through, decided by its seed alone. After each event the invariants are checked; at the
end the promises of the engine. Whatever does not hold raises `Broken` with the story and the line that plays it again.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.simulation.body import Body, Call, Decide, GiveUp, Return, Wait, body
from tests.simulation.plans import Drawn, Pencil
from tests.simulation.promises import Broken, compare, fold_all, last_words
from twingraph.core import events as ev
from twingraph.core.plan import NodeKind
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus, NodeStatus
from twingraph.engine.kernel import Node, State, apply, commands, invariants, snapshot

MOST_EVENTS = 20_000
OUTPUTS = (("output", "0" * 32, 2),)


@dataclass(eq=False)
class Run:
    node: str
    attempt: int
    lane: int
    begun: bool = False


@dataclass
class Host:
    """Where a body stands: what it waits for, if it waits."""

    body: Body
    waits: str | None = None


class World:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = Random(seed)
        self.pencil = Pencil(self.chance)
        self.drawn: Drawn = self.pencil.draw()
        self.driven = self.chance.random() < 0.6
        self.calm = self.chance.random() < 0.3  # no crash, no wish from outside
        self.safe = True  # while several events go into one commit, and in a calm world, nobody dies
        self.state = State(f"exec-{seed}")
        self.pieces = State(f"exec-{seed}")  # the same, whatever an event does to many nodes in pieces
        self.pieces.at_once = 1 + seed % 2
        self.journal: list[tuple[ev.Event, float]] = []
        self.saved: tuple[int, str] | None = None
        self.time = 1000.0
        self.skew = 0.0
        self.life = 0  # conductors so far: what an earlier one had planned does not happen
        self.agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.planned = 0
        self.runs: dict[str, Run] = {}
        self.timers: dict[str, int] = {}
        self.hosts: dict[str, Host] = {}
        self.owners: set[str] = set()  # of work that the cache knows to be in flight
        self.holding: dict[str, object] = {}  # node: what it was granted, and perhaps not told yet
        self.line: list[tuple[str, tuple[tuple[str, int], ...]]] = []
        self.spent: Counter[str] = Counter()  # dispatches that a policy must account for
        self.passed: Counter[str] = Counter()  # items that this life's bodies were given of each generator
        self.met: dict[str, tuple[str, ...]] = {}  # by scope: what its body met before it returned
        self.completed: set[str] = set()
        self.finished: ExecutionStatus | None = None
        self.story: list[str] = []

    # -- the course of things --------------------------------------------------------------------

    def live(self) -> None:
        """From the first event to the last."""
        try:
            self._begin()
            self.safe = self.calm
            while self.state.status not in EXECUTION_OVER:
                if len(self.journal) > MOST_EVENTS:
                    raise Broken("it does not come to an end")
                self._step()
            last_words(self)
            compare(self, "at the end")
        except Exception as error:
            told = "\n".join(self.story[-60:])
            again = f"python -m tests.simulation --kernel {self.seed}"
            raise Broken(f"{type(error).__name__}: {error}\n{told}\nplay it again: {again}") from error

    def _begin(self) -> None:
        named = self.driven and self.chance.random() < 0.7
        self.feed(ev.Created(self.drawn.settings, body="flow:body" if named else None))
        root = self.drawn.root
        if self.driven:
            self.feed(ev.GraphExtended((), self.drawn.specs, self.drawn.templates, driven=True))
            if not named:
                self._start_body("")
        else:
            self.feed(ev.GraphExtended(root.nodes, self.drawn.specs, self.drawn.templates))
            self.feed(ev.GraphClosed(last_nodes=root.last_nodes))
        if not self.calm:
            for _ in range(self.chance.choice((0, 1, 1, 2, 4))):
                self._sometime(self.chance.choice(self._wishes()), within=20)

    def _wishes(self) -> list[Callable[[], None]]:
        return [self._crash, self._crash, self._pause, self._interrupt, self._cancel, self._recall, self._jump,
                self._signal]  # fmt: skip

    def _step(self) -> None:
        if self.agenda:
            self.time, _, act = heapq.heappop(self.agenda)
            act()
        elif self.state.status is ExecutionStatus.PAUSED:
            self.feed(ev.ResumeRequested())
        elif self.state.waiting_signals:
            self._signal()
        else:
            raise Broken("nothing will ever happen again")

    def feed(self, event: ev.Event) -> None:
        """Journal the event and carry out what follows; now and then die before or while doing so."""
        if self.state.status in EXECUTION_OVER:
            return
        text = ev.body_of(event)
        event = ev.event_from(ev.KINDS[type(event)], text)
        at = self.time + self.skew
        self.story.append(f"{len(self.journal) + 1:5} {at:9.2f} {ev.KINDS[type(event)]} {text[:150]}")
        before = {name for name, node in self.state.nodes.items() if node.owns}
        todo = apply(self.state, event, at, len(self.journal) + 1)
        if apply(self.pieces, event, at, len(self.journal) + 1) != todo:
            raise Broken(f"in pieces of {self.pieces.at_once} it commands {self.pieces.commands}")
        if not self.safe and self.chance.random() < 0.004:
            if isinstance(event, (ev.NodeEnded, ev.BranchTaken)):
                self.spent[event.node] -= 1  # its word is lost with the conductor
            self._rise_again("before the commit")
            return
        self.journal.append((event, at))
        self._settle(before, todo)
        faults = invariants.broken(self.state)
        if faults:
            raise Broken("; ".join(faults))
        self._note(event)
        if self.chance.random() < 0.03:
            self.saved = len(self.journal), json.dumps(snapshot.dump(self.state))
        for command in todo:
            if not self.safe and self.chance.random() < 0.002:
                self._rise_again("between two commands")
                return
            self.story.append(f"      -> {str(command)[:160]}")
            self._carry_out(command)

    def _settle(self, before: set[str], todo: list[commands.Command]) -> None:
        """Who owns work is known in the same commit; whoever owned some and does not has said so."""
        settled = {command.node: command for command in todo if isinstance(command, commands.SettleCache)}
        owns = {name for name, node in self.state.nodes.items() if node.owns}
        if not before - owns <= settled.keys():
            raise Broken(f"{sorted(before - owns - settled.keys())} gave work up and nobody heard of it")
        for name, command in settled.items():
            node = self.state.nodes[name]
            if command.completed != (node.status is NodeStatus.COMPLETED and node.cached_from is None):
                raise Broken(f"{name} is {node.status} and is settled as completed={command.completed}")
        self.owners = owns

    def _note(self, event: ev.Event) -> None:
        done = {name for name, node in self.state.nodes.items() if node.status is NodeStatus.COMPLETED}
        if not self.completed <= done:
            raise Broken(f"{sorted(self.completed - done)} were completed and are not any more")
        self.completed = done

    def _plan(self, delay: float, act: Callable[[], None]) -> None:
        """Do this after a while, if this conductor still lives then."""
        life = self.life
        self.planned += 1
        heapq.heappush(self.agenda, (self.time + delay, self.planned, lambda: act() if life == self.life else None))

    def _sometime(self, act: Callable[[], None], within: float) -> None:
        self.planned += 1
        heapq.heappush(self.agenda, (self.time + self.chance.uniform(0, within), self.planned, act))

    def _soon(self, event: ev.Event, *, slow: float = 1.0) -> None:
        """The event comes, and comes again now and then."""
        self._plan(self.chance.expovariate(1 / slow), lambda: self.feed(event))
        if self.chance.random() < 0.1:
            self._plan(self.chance.uniform(1, 20), lambda: self.feed(event))

    # -- commands --------------------------------------------------------------------------------

    def _carry_out(self, command: commands.Command) -> None:
        match command:
            case commands.Dispatch():
                self._dispatch(command)
            case commands.Recall(nodes):
                self._plan(0.1, lambda: self._give_back(nodes))
            case commands.CancelRuns(nodes):
                self._plan(0.1, lambda: self._end_runs(nodes))
            case commands.SetTimer(timer, delay):
                self._set_timer(timer, delay)
            case commands.ClearTimer(timer):
                self.timers.pop(timer, None)
            case commands.AskLimit(node, limits):
                self.line.append((node, limits))
                self._grant()
            case commands.ReleaseLimit(node):
                self.holding.pop(node, None)
                self.line = [entry for entry in self.line if entry[0] != node]
                self._grant()
            case commands.SettleCache():
                pass  # done in the commit
            case commands.AskCache(node):
                self._ask_cache(node)
            case commands.StartDetached(node):
                self._soon(ev.DetachedStarted(node, f"child-{node}"))
                status = self.chance.choice(("completed", "completed", "completed", "failed", "cancelled"))
                self._plan(self.chance.uniform(0, 10), lambda: self.feed(self._ended(node, 1, status)))
            case commands.StartDriver(scope):
                self._start_body(scope)
            case commands.StopDriver(scope):
                self.hosts.pop(scope, None)
            case commands.PassItems():
                self._pass_items(command)
            case commands.WakeDriver(scope, node):
                self._plan(0.0, lambda: self._wake(scope, node))
            case commands.Finish(status, error):
                self._finish(status, error)

    def _finish(self, status: ExecutionStatus, error: ErrorRecord | None) -> None:
        if self.finished not in (None, status):
            raise Broken(f"it ended {self.finished} and then {status}")
        if status is ExecutionStatus.FAILED and error is None:
            raise Broken("it failed and does not say why")
        self.finished = status
        self._plan(0.0, lambda: self.feed(ev.ExecutionEnded(str(status), error)))

    def _set_timer(self, timer: str, delay: float) -> None:
        self.planned += 1
        number = self.timers[timer] = self.planned

        def fire() -> None:
            if self.timers.get(timer) == number:
                del self.timers[timer]
                self._soon(ev.TimerFired(timer), slow=0.001)

        self._plan(delay * self.chance.uniform(0.9999, 1.01), fire)

    def _grant(self) -> None:
        for entry in list(self.line):
            node, limits = entry
            used = Counter(n for h in self.holding for n in self._limits_of(h))
            if all(used[name] < most for name, most in limits):
                self.line.remove(entry)
                # Once only, and not after it was given back: it could not be told from the answer to the next ask.
                grant = self.holding[node] = object()
                self._plan(self.chance.expovariate(1), lambda node=node, grant=grant: self._granted(node, grant))  # type: ignore[misc]

    def _granted(self, node: str, grant: object) -> None:
        if self.holding.get(node) is grant:
            self.feed(ev.LimitGranted(node))

    def _limits_of(self, node: str) -> tuple[str, ...]:
        spec = self.state.nodes[node].spec
        return () if spec is None else tuple(self.state.specs[spec].limits)

    def _ask_cache(self, node: str) -> None:
        verdict = self.chance.choice(("miss", "miss", "hit", "wait"))
        if verdict == "hit" and self.chance.random() < 0.5:
            self._plan(self.chance.expovariate(1), lambda: self.feed(self._kept(node)))
            return
        if verdict == "hit":
            self._soon(self._ended(node, 1, "completed", cached_from="exec-before"))
            return
        self._soon(ev.CacheAnswered(node, verdict))
        if verdict == "wait":
            self._plan(self.chance.uniform(5, 20), lambda: self.feed(ev.CacheOwnerLost(node)))

    def _kept(self, name: str) -> ev.OutcomesKept:
        """The node's outcome of an earlier execution, with those of nodes that wait for it alone."""
        waiting = self.state.nodes[name].dependents or ()
        others = [known.id for known in waiting if known.kind is NodeKind.TASK and len(known.plan.edges) == 1]
        names = [name, *(other for other in others if self.state.nodes[other].plan.edges[0].handle is None)]
        return ev.OutcomesKept("exec-before", tuple((one, 7, "plain", OUTPUTS) for one in names))

    # -- runs ------------------------------------------------------------------------------------

    def _dispatch(self, command: commands.Dispatch) -> None:
        for name, attempt in command.runs:
            node = self.state.nodes[name]
            if name in self.completed:
                raise Broken(f"{name} was completed and runs again")
            if name in self.runs:
                raise Broken(f"{name} runs twice at once")
            if self._limits_of(name) and name not in self.holding and node.kind is not NodeKind.HANDLER:
                raise Broken(f"{name} runs without its limits")
            run = self.runs[name] = Run(name, attempt, command.lane)
            self.spent[name] += 1
            self._plan(self.chance.expovariate(2), lambda run=run: self._start(run))  # type: ignore[misc]
        lanes = {r.lane for r in self.runs.values() if self._counts(self.state.nodes[r.node])}
        if len(lanes) > self.drawn.settings.max_parallel:
            raise Broken(f"{len(lanes)} lanes run at once")
        for name, node in self.state.nodes.items():
            if node.plan.bounds is not None and node.plan.bounds.max_parallel is not None:
                self._check_lanes_in(name, node.plan.bounds.max_parallel)

    def _check_lanes_in(self, name: str, limit: int) -> None:
        inside = [run for run in self.runs.values() if run.node.startswith(f"{name}/")]
        lanes = {run.lane for run in inside if self._counts(self.state.nodes[run.node])}
        if len(lanes) > limit:
            raise Broken(f"{len(lanes)} lanes run at once in {name}")

    def _pass_items(self, command: commands.PassItems) -> None:
        event = self.journal[command.seq - 1][0]
        if not isinstance(event, ev.ItemsGiven) or event.node != command.node:
            raise Broken(f"event {command.seq} has no items of {command.node}")
        if command.first != event.start + command.offset or command.offset + command.count != event.count:
            raise Broken(f"items from {command.first} of {command.node} are not where it is said")
        if command.first != self.passed[command.node]:
            raise Broken(f"items from {self.passed[command.node]} of {command.node} did not come")
        self.passed[command.node] += command.count

    def _counts(self, node: Node) -> bool:
        return node.kind is not NodeKind.HANDLER and node.spec is not None and not self.state.specs[node.spec].endless

    def _start(self, run: Run) -> None:
        if self.runs.get(run.node) is not run:
            return
        run.begun = True
        if self.chance.random() < 0.4:
            self._soon(ev.NodeBegun(run.node, run.attempt))
        node = self.state.nodes[run.node]
        if node.kind is NodeKind.TASK and node.spec is not None and self.state.specs[node.spec].generator:
            self._plan(self.chance.expovariate(2), lambda: self._give_items(run, 0))
        self._plan(self.chance.expovariate(1 / self.chance.choice((0.01, 1, 5))), lambda: self._come_to_end(run))

    def _give_items(self, run: Run, start: int) -> None:
        """A generator hands its items over, also those that an attempt before has given, in pages of its own."""
        if self.runs.get(run.node) is not run:
            return
        count = self.chance.choice((0, 1, 2, 5))
        self._tell(ev.ItemsGiven(run.node, run.attempt, start, count))
        self._plan(self.chance.expovariate(2), lambda: self._give_items(run, start + count))

    def _come_to_end(self, run: Run) -> None:
        if self.runs.get(run.node) is not run:
            return
        luck = self.chance.random()
        if luck < 0.03:
            self._lose_lane(run)
            return
        del self.runs[run.node]
        if luck < 0.14:
            self._tell(self._ended(run.node, run.attempt, self.chance.choice(("failed", "timeout", "crashed", "oom"))))
            return
        kind = self.state.nodes[run.node].kind
        if kind is NodeKind.BRANCH:
            self._tell(ev.BranchTaken(run.node, run.attempt, self.chance.choice(("true", "false")), 1.0, 1.1))
        elif kind is NodeKind.MAP:
            self._expand(run)
        else:
            self._tell(self._ended(run.node, run.attempt, "completed"))

    def _tell(self, event: ev.Event) -> None:
        if self.chance.random() < 0.05:
            self._plan(self.chance.uniform(0, 20), lambda: self.feed(event))
        self.feed(event)

    def _lose_lane(self, run: Run) -> None:
        """The process is killed: what had begun in it is charged, what waited in it is not."""
        for other in [r for r in self.runs.values() if r.lane == run.lane]:
            if self.runs.get(other.node) is not other:  # the conductor died meanwhile
                continue
            del self.runs[other.node]
            self.spent[other.node] -= 1
            self._tell(self._ended(other.node, other.attempt, "lost", begun=other.begun))

    def _expand(self, run: Run) -> None:
        keys = [str(number) for number in range(self.chance.choice((0, 1, 2, 3, 5)))]
        if len(keys) > 1 and self.chance.random() < 0.1:
            keys[-1] = keys[0]
        page = self.chance.choice((1, 2, 1000))
        starts = range(0, max(1, len(keys)), page)
        self.safe = True
        for start in starts:
            self._tell(
                ev.MapExpanded(run.node, run.attempt, start, tuple(keys[start : start + page]), start == starts[-1])
            )
        self.safe = self.calm

    def _ended(
        self, node: str, attempt: int, status: str, *, begun: bool = True, cached_from: str | None = None
    ) -> ev.NodeEnded:
        error = None
        if status not in ("completed", "lost", "cancelled"):
            kind = self.chance.choice(("ValueError", "KeyError"))
            permanent = self.chance.random() < 0.1
            error = ErrorRecord(code="user_error", error_type=kind, message="no", node_id=node, permanent=permanent)
        done = status == "completed"
        return ev.NodeEnded(
            node, attempt, status, 1.0, 1.0 + self.chance.choice((0.0001, 0.5)), begun=begun, error=error,
            outputs=OUTPUTS if done else (), chance=round(self.chance.random(), 6), cached_from=cached_from,
        )  # fmt: skip

    def _give_back(self, nodes: tuple[str, ...] | None) -> None:
        runs = [r for r in self.runs.values() if not r.begun and (nodes is None or r.node in nodes)]
        for run in runs:
            del self.runs[run.node]
            self.spent[run.node] -= 1
        if runs:
            self.feed(ev.NodesReturned(tuple((run.node, run.attempt) for run in runs)))

    def _end_runs(self, nodes: tuple[str, ...] | None) -> None:
        for run in list(self.runs.values()):
            if self.runs.get(run.node) is not run or not (nodes is None or run.node in nodes):
                continue
            del self.runs[run.node]
            self.spent[run.node] -= 1
            handler = self.state.nodes[run.node].kind is NodeKind.HANDLER
            if handler or self.state.ending is None or self.chance.random() < 0.8:  # else: never heard of again
                self._tell(self._ended(run.node, run.attempt, self.chance.choice(("cancelled", "cancelled", "failed"))))

    # -- bodies ----------------------------------------------------------------------------------

    def _start_body(self, scope: str) -> None:
        host = Host(body(f"{self.seed}/{scope}", self.pencil, scope.count("/") + bool(scope)))
        self.hosts[scope] = host
        self._plan(self.chance.random(), lambda: self._drive(scope, None) if self.hosts.get(scope) is host else None)

    def _wake(self, scope: str, node: str) -> None:
        host = self.hosts.get(scope)
        if host is not None and host.waits == node:
            self._drive(scope, self.state.nodes[node].status)

    def _drive(self, scope: str, told: NodeStatus | int | None) -> None:
        """Let a body run until it waits. What it calls is answered from history as far as there is one."""
        host, life = self.hosts[scope], self.life
        host.waits = None
        while life == self.life and self.hosts.get(scope) is host:
            try:
                wish = host.body.send(told)
            except StopIteration as stop:
                self._body_over(scope, stop.value)
                return
            told = None
            if isinstance(wish, Call):
                self._call(scope, wish)
            elif isinstance(wish, GiveUp):
                self._give_up(scope, wish)
            elif isinstance(wish, Decide):
                told = self._decide(scope, wish)
            else:
                told = self._wait(scope, host, wish)
                if told is None:
                    return

    def _call(self, scope: str, wish: Call) -> None:
        known = self.state.scopes[scope]
        if wish.node.id not in known.nodes or self.chance.random() < 0.05:
            self.feed(ev.GraphExtended((wish.node,), scope=scope, driven=True))
        node = self.state.scopes[scope].nodes.get(wish.node.id) if scope in self.state.scopes else None
        if node is not None and node.kind is NodeKind.SIDE_EFFECT and not node.over:
            self._plan(0.5, lambda: self.feed(self._ended(node.id, 1, self.chance.choice(("completed", "failed")))))

    def _wait(self, scope: str, host: Host, wish: Wait) -> NodeStatus | None:
        node = self.state.scopes[scope].nodes.get(wish.node)
        if node is None:  # the call was refused: the execution is ending
            return NodeStatus.CANCELLED
        if node.over:
            return node.status
        host.waits = node.id
        return None

    def _give_up(self, scope: str, wish: GiveUp) -> None:
        node = self.state.scopes[scope].nodes.get(wish.node)
        if node is not None and not node.over:
            self.feed(ev.NodeEnded(node.id, 1, "cancelled"))

    def _decide(self, scope: str, wish: Decide) -> int:
        """What was decided before stands, and was decided at the same place."""
        known = self.state.scopes[scope].decisions
        if wish.number < len(known):
            position, decision = known[wish.number]
            if position != wish.calls and self.state.ending is None:
                raise Broken(f"a decision of {scope!r} came after {wish.calls} calls, and is kept after {position}")
            return int(decision.answer)
        answer = self.chance.randrange(3)
        self.feed(ev.DecisionMade(scope, "now", answer))
        return answer

    def _body_over(self, scope: str, end: Return) -> None:
        self.hosts.pop(scope, None)
        self.met[scope] = end.met
        shape = "dict" if end.outputs else None
        closed = ev.GraphClosed(scope, end.result, error=end.error, met=end.met, shape=shape, outputs=end.outputs)
        self._plan(0.2, lambda: self.feed(closed))

    # -- what happens from outside -------------------------------------------------------------------

    def _crash(self) -> None:
        self._rise_again("by chance")

    def _rise_again(self, when: str) -> None:
        """The conductor dies with everything it had in hand; another folds the journal and goes on."""
        self.story.append(f"      == the conductor dies {when}")
        self.life += 1
        late = [run for run in self.runs.values() if run.begun and self.chance.random() < 0.2]
        for run in self.runs.values():
            self.spent[run.node] -= 1
        self.runs, self.timers, self.hosts, self.holding, self.line = {}, {}, {}, {}, []
        self.state = fold_all(self)
        self.pieces = fold_all(self, self.pieces.at_once)
        compare(self, "after a crash")
        if self.state.finishing is None:
            self.finished = None
        self.completed = {n for n, node in self.state.nodes.items() if node.status is NodeStatus.COMPLETED}
        self.passed = Counter({name: node.items for name, node in self.state.nodes.items()})
        self._plan(0.0, lambda: self._adopt(late))

    def _adopt(self, late: list[Run]) -> None:
        life = self.life
        self.feed(ev.Adopted("another", self.life))
        if life != self.life or self.state.status in EXECUTION_OVER:
            return
        for run in late:  # a worker elsewhere lived on; its word is refused once the node runs again
            node = self.state.nodes.get(run.node)
            if node is not None and node.kind is NodeKind.TASK and node.lane is None:
                self.feed(self._ended(run.node, run.attempt, self.chance.choice(("completed", "failed", "lost"))))

    def _pause(self) -> None:
        self.feed(ev.PauseRequested())
        self._sometime(lambda: self.feed(ev.ResumeRequested()), within=30)

    def _interrupt(self) -> None:
        self.feed(ev.PauseRequested("interrupted"))
        if self.state.ending is None:
            self._plan(1.0, lambda: self._end_runs(None))
        self._sometime(lambda: self.feed(ev.ResumeRequested()), within=30)

    def _cancel(self) -> None:
        if self.chance.random() < 0.5:
            self.feed(ev.CancelRequested("a wish"))

    def _recall(self) -> None:
        self._give_back(None)

    def _jump(self) -> None:
        self.skew += self.chance.choice((-30.0, 30.0, 1000.0))

    def _signal(self) -> None:
        self.feed(ev.SignalReceived(self.chance.choice(("red", "green")), OUTPUTS[0]))
