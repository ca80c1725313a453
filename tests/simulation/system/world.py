"""One history of a whole system, decided by its seed alone."""

from __future__ import annotations

import json
import random
import traceback
from collections.abc import Callable
from random import Random

from tests.simulation.plans import Pencil
from tests.simulation.system.pool import Effect
from tests.simulation.system.process import Process
from tests.simulation.system.sizes import small
from tests.simulation.system.store import Known, ProcessJournal, Store
from tests.simulation.system.time import Agenda, Halt
from tests.simulation.system.verdict import Broken, check_end, check_told
from twingraph.core.plan import NodeKind, Plan
from twingraph.core.records import Settings
from twingraph.core.statuses import ExecutionStatus, NodeStatus
from twingraph.dispatch.base import NodeRun
from twingraph.engine.held import Submission
from twingraph.engine.inbox import signal_body
from twingraph.engine.kernel import snapshot
from twingraph.engine.sizes import Sizes

LEASE_SECONDS = 5.0
TROUBLE_SECONDS = 40.0  # after this, nothing bad happens any more
QUIET_SECONDS = 3.0  # when all are over for so long, nothing more will come
MOST_STEPS = 60_000


class System:
    """`journal`: what its processes write with."""

    sizes: Sizes

    def __init__(self, seed: int, journal: type[ProcessJournal] = ProcessJournal) -> None:
        self.seed = seed
        self.journal = journal
        self.chance = Random(f"system {seed}")
        self.agenda = Agenda()
        self.calm = self.chance.random() < 0.15
        self.hostile = not self.calm
        self.harsh = self.chance.choice((1.0, 1.0, 4.0))  # how often something breaks
        self.thorough = True
        self.story: list[tuple[float, str, str]] = []
        self.fault: Broken | None = None
        self.store = Store(self)
        self.processes: dict[str, Process] = {}
        self.effects: dict[tuple[str, str], list[Effect]] = {}
        self.slots = self.chance.choice((2, 2, 3, 4))
        self.care = self.chance.choice((1.0, 1.0, 6.0))  # how long it takes until the orphans of the dead are seen
        self.started = 0
        self.wanted = 0  # executions that somebody still means to start
        self.steps = 0

    # -- the course of things --------------------------------------------------------------------

    def live(self) -> None:
        random.seed(f"delays {self.seed}")
        try:
            self.sizes = small(self.chance)
            self._live()
        except Halt:
            pass
        except Exception as error:
            self.fault = self.fault or Broken(f"{error!r}\n{traceback.format_exc()}")
        if self.fault is not None:
            raise Broken(
                f"seed {self.seed}: {self.fault}\n{self.told(80)}\nagain: python -m tests.simulation {self.seed}"
            )

    def _live(self) -> None:
        for _ in range(self.slots):
            self._start_process()
        for _ in range(self.chance.choice((1, 2, 2, 3, 5))):
            self.wanted += 1
            self.agenda.after(self.chance.uniform(0, 5), self._submit)
        if not self.calm:
            for _ in range(self.chance.choice((1, 2, 4, 8))):
                self.agenda.after(
                    self.chance.uniform(0, self.chance.choice((6, 30))), self.chance.choice(self._wishes())
                )
            self.agenda.after(TROUBLE_SECONDS, self._calm_down)
        self.agenda.after(1.0, self._supervise)
        quiet_since = self.agenda.now
        while self.agenda.now - quiet_since < QUIET_SECONDS:
            slept = any(not process.dead and not process.awake for process in self.processes.values())
            self._step()
            going_on = any(not known.over for known in self.store.by_id.values())
            if slept or self.wanted or not self.store.by_id or going_on:  # who wakes has a moment to finish
                quiet_since = self.agenda.now
        check_end(self)

    def _step(self) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS or not self.agenda.step():
            open_ones = [f"{k.id} {k.shadow.status}" for k in self.store.by_id.values() if not k.over]
            self.broken(f"it does not come to an end: {open_ones}")
        self._look()

    def _look(self) -> None:
        if self.fault is not None:
            raise Halt
        for process in self.processes.values():
            if process.handles:
                check_told(self, process)

    def tell(self, who: str, what: str) -> None:
        self.story.append((self.agenda.now, who, what))

    def told(self, last: int = 0) -> str:
        return "\n".join(f"{at:10.3f} {who:9} {what}" for at, who, what in self.story[-last:])

    def broken(self, why: str, error: BaseException | None = None) -> None:
        if error is not None:
            why += "\n" + "".join(traceback.format_exception(error))
        self.fault = self.fault or Broken(why)
        raise Halt

    # -- processes -------------------------------------------------------------------------------

    def lives(self, name: str) -> bool:
        """Whether the store takes it for alive: it is, or its lease has not run out."""
        process = self.processes[name]
        if process.dead:
            return False
        return process.asleep_since is None or self.agenda.now - process.asleep_since <= LEASE_SECONDS

    def _start_process(self) -> None:
        self.started += 1
        name = f"c{self.started}"
        self.tell(name, "starts")
        process = self.processes[name] = Process(self, name)
        process.skew = self.chance.choice((0.0, 0.0, -3.0, 100.0)) if self.hostile else 0.0

    def _awake(self) -> list[Process]:
        return [process for process in self.processes.values() if process.awake]

    def _supervise(self) -> None:
        """What `dev` and the server do: keep processes, and take over what nobody alive holds."""
        self.agenda.after(self.chance.uniform(0.5, 2.0) * (self.care if self.hostile else 1.0), self._supervise)
        while sum(not process.dead for process in self.processes.values()) < self.slots:
            self._start_process()
        awake = self._awake()
        for known in list(self.store.by_id.values()):
            if known.over or not awake:
                continue
            if known.owner is None or not self.lives(known.owner):
                wish = not self.hostile or known.shadow.status is not ExecutionStatus.PAUSED
                if wish:
                    self._adopt(known, self.chance.choice(awake))
            elif not self.hostile:
                self._help(known)
        for process in awake:
            self._compare(process)

    def _adopt(self, known: Known, process: Process) -> None:
        self.tell("somebody", f"asks {process.name} to take {known.id} over")
        process.handles.append(process.conductor.adopt(known.id, resume=self.chance.random() < 0.5 or not self.hostile))

    def _help(self, known: Known) -> None:
        """In the end nobody keeps anything waiting."""
        if known.shadow.status is ExecutionStatus.PAUSED:
            self.store.post(known.id, "resume", "{}")
        for name, waiting in known.shadow.waiting_signals.items():
            if any(not node.over for node in waiting):
                self._signal(known, name)

    def _compare(self, process: Process) -> None:
        """What a conductor has in its head is what its journal amounts to."""
        for held in process.conductor.held():
            known = self.store.by_number[held.number]
            if held.unwritten or held.epoch != known.epoch:
                continue
            if json.dumps(snapshot.dump(held.state)) != json.dumps(snapshot.dump(known.shadow)):
                self.broken(f"{process.name} has {known.id} otherwise in its head than in the journal")

    # -- executions ------------------------------------------------------------------------------

    def _submit(self) -> None:
        awake = self._awake()
        if not awake:
            self.agenda.after(1.0, self._submit)
            return
        self.wanted -= 1
        process = self.chance.choice(awake)
        submission = self._drawn() if self.chance.random() < 0.5 else self._driven()
        self.tell(process.name, f"is asked to carry out {submission.id}")
        process.handles.append(process.conductor.submit(submission))
        if not self.store.by_id:  # it may die before it has recorded anything
            self.wanted += 1
            self.agenda.after(3.0, self._submit_if_none)

    def _submit_if_none(self) -> None:
        if self.store.by_id:
            self.wanted -= 1
        else:
            self._submit()

    def _drawn(self) -> Submission:
        pencil = Pencil(self.chance)
        drawn = pencil.draw()
        plan = Plan(name="flow", root=drawn.root, templates=drawn.templates, specs=drawn.specs)
        return self._submission(plan=plan, settings=drawn.settings)

    def _driven(self) -> Submission:
        chance = self.chance
        settings = Settings(
            max_parallel=chance.choice((1, 2, 3, 10)),
            timeout=chance.choice((None, 3600.0, 60.0)),
            error_handler=chance.choice(("fail", "continue", "retry", "custom")),
            handler_component=0,
            continue_on_error=chance.random() < 0.5,
        )
        return self._submission(name="body0", body="body0", specs=Pencil(chance).specs[:1], settings=settings)

    def _submission(self, **more: object) -> Submission:
        count = len(self.store.by_id) + self.chance.randrange(10_000) * 100
        return Submission(id=f"exec-{count:08}", inputs={}, workflow_id="flow", origin="dev", **more)  # type: ignore[arg-type]

    def effect(self, process: Process, execution: str, run: NodeRun) -> None:
        """User code begins. Whatever began before must have ended without a result, or be lost with who held it."""
        known = self.store.by_id[execution]
        self.tell(process.name, f"{execution} {run.node} begins, attempt {run.attempt}")
        epoch = next((held.epoch for held in process.conductor.held() if held.number == known.number), 0)
        before = self.effects.setdefault((execution, run.node), [])
        if epoch == known.epoch:
            node = known.shadow.nodes[run.node]
            if node.status is NodeStatus.COMPLETED and node.kind is not NodeKind.MAP:
                self.broken(f"{run.node} of {execution} was completed and runs again")
            wants = node.spec is not None and known.shadow.specs[node.spec].limits and node.kind is not NodeKind.HANDLER
            if wants and known.owner == process.name and (known.number, node.id) not in self.store.limits.held:
                self.broken(f"{run.node} of {execution} runs and does not hold its limits")
            for effect in before:
                ended = known.ended.get((run.node, effect.attempt))
                excused = effect.process.dead or effect.epoch < known.epoch or ended not in (None, "completed")
                if not excused:
                    self.broken(f"{run.node} of {execution} begins again after attempt {effect.attempt}: {ended}")
        before.append(Effect(process, epoch, run.attempt))

    # -- what happens from outside ---------------------------------------------------------------

    def _wishes(self) -> list[Callable[[], None]]:
        return [self._crash, self._crash, self._sleep, self._sleep, self._stop, self._pause, self._interrupt,
                self._cancel, self._cancel_directly, self._send_signal, self._jump, self._cut_off, self._lose_bodies,
                self._take_what_is_held]  # fmt: skip

    def _calm_down(self) -> None:
        self.tell("somebody", "-- from here on nothing bad happens --")
        self.hostile = False

    def _one(self) -> Known | None:
        return self.chance.choice(list(self.store.by_id.values())) if self.store.by_id else None

    def _one_process(self) -> Process | None:
        alive = [process for process in self.processes.values() if not process.dead]
        return self.chance.choice(alive) if alive else None

    def _crash(self) -> None:
        if (process := self._one_process()) is not None:
            process.die("by chance")

    def _sleep(self) -> None:
        if (process := self._one_process()) is not None:
            process.sleep(self.chance.choice((0.1, 3.0, 8.0, 30.0)))

    def _stop(self) -> None:
        if (process := self._one_process()) is not None:
            process.shut_down()

    def _pause(self) -> None:
        if (known := self._one()) is not None and self.store.post(known.id, "pause", "{}"):
            self.agenda.after(self.chance.uniform(0, 30), lambda: self.store.post(known.id, "resume", "{}"))

    def _interrupt(self) -> None:
        known = self._one()
        if known is not None and known.owner is not None:
            kill = self.chance.random() < 0.3
            self.tell(known.owner, f"Ctrl-C for {known.id}")
            self.processes[known.owner].conductor.interrupt(known.id, kill=kill)

    def _cancel(self) -> None:
        if (known := self._one()) is not None:
            self.store.post(known.id, "cancel", "{}")

    def _cancel_directly(self) -> None:
        known, awake = self._one(), self._awake()
        if known is not None and awake:
            process = self.chance.choice(awake)
            self.tell("somebody", f"asks {process.name} to cancel {known.id}")
            process.handles.append(process.conductor.cancel(known.id))

    def _take_what_is_held(self) -> None:
        known, awake = self._one(), self._awake()
        if known is not None and awake:
            self._adopt(known, self.chance.choice(awake))

    def _send_signal(self) -> None:
        for _ in range(self.chance.choice((1, 1, 2, 5))):
            if (known := self._one()) is not None:
                self._signal(known, self.chance.choice(("red", "green")))

    def _signal(self, known: Known, name: str) -> None:
        self.store.post(known.id, "signal", signal_body(name, json.dumps(f"signal {self.store.posted}")))

    def _jump(self) -> None:
        if (process := self._one_process()) is not None:
            process.skew += self.chance.choice((-1000.0, -30.0, 30.0, 1000.0, 100_000.0))
            self.tell(process.name, f"has its clock set to {process.clock():.1f}")

    def _cut_off(self) -> None:
        """A process hears nothing of its workers for a while."""
        if (process := self._one_process()) is not None:
            process.pool.cut_off_until = self.agenda.now + self.chance.choice((1.0, 10.0))
            self.tell(process.name, "hears nothing of its workers")

    def _lose_bodies(self) -> None:
        if (process := self._one_process()) is not None and process.awake and not process.loop.inside:
            process.loop.call_soon(process.host.die)
