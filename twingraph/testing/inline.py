"""Pipelines and workflows run inline: no processes, no files, and time that a test moves by hand."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from twingraph.core.ids import execution_id
from twingraph.core.inputs import bind_inputs
from twingraph.core.plan import NodeKind
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import EXECUTION_OVER, NODE_OVER, ExecutionStatus, NodeStatus
from twingraph.engine.folding import restore
from twingraph.engine.handle import Handle
from twingraph.engine.held import Submission, failure
from twingraph.engine.identity import hash_of
from twingraph.engine.kernel import Node, State
from twingraph.engine.values import Values
from twingraph.sdk.failures import enrich
from twingraph.sdk.frames import author_level, short
from twingraph.sdk.pipeline import Pipeline
from twingraph.sdk.registry import DEFAULT
from twingraph.sdk.workflow_builder import Workflow
from twingraph.store.base import Row
from twingraph.testing.clock import BEGINNING, Clock
from twingraph.testing.hosting import Memory
from twingraph.testing.life import Life, Record
from twingraph.testing.outcomes import Chosen, Run, name_of


class Waiting(AssertionError):  # noqa: N818 - says what it does
    """The execution waits for something that the test has to bring about."""


class NodeView(NamedTuple):
    """One node as it stands."""

    status: str
    component: str | None
    attempts: int
    error: ErrorRecord | None


class Inline:
    """An engine inside the test. Call it like the pipeline: `Inline()(pipeline, x=1)` gives the result.

    `outcomes` says by component, or its name, what it gives instead of running: a value, an exception that is raised, a
    function to call instead, `sequence(...)` with one of these per attempt, `takes(seconds, ...)`.
    """

    def __init__(
        self, outcomes: Mapping[Any, Any] | None = None, *, start: datetime = BEGINNING, evict: bool = False
    ) -> None:
        """`evict` lets a body go whenever it waits, and runs it again from the top: a replay at every step."""
        self.clock = Clock(start)
        self.clock.settle = lambda: self._life.settle()
        self.chosen = Chosen(outcomes or {})
        self.runs: list[Run] = []  # every attempt that was made, in order
        self.memory = Memory()
        self.records: dict[str, Record] = {}
        self.evict = evict
        self._signals: list[tuple[str, Any]] = []
        self._numbers = itertools.count(1)
        self._life = Life(self, evict=evict)

    # -- running -----------------------------------------------------------------------------------

    @short
    def __call__(self, target: Any, /, *args: Any, **inputs: Any) -> Any:
        """Run it to its end and give its result, or raise what failed it. What only takes time passes at once."""
        execution = self.start(target, *args, **inputs)
        while not execution.over and self.clock.next_due() is not None:
            self.clock.jump()
        return execution.result()

    @short
    def start(self, target: Any, /, *args: Any, **inputs: Any) -> InlineExecution:
        """Begin it and go as far as it comes without time passing."""
        execution = self.begin(target, *args, **inputs)
        self._life.settle()
        return execution

    def begin(self, target: Any, /, *args: Any, **inputs: Any) -> InlineExecution:
        """Begin it and take no turn yet."""
        identity = execution_id(int(self.clock.time() * 1000), len(self.records))
        if isinstance(target, Pipeline):
            submission = self._of_pipeline(target, identity, target.bind(args, inputs))
        elif isinstance(target, Workflow):
            submission = self._of_workflow(target, identity, inputs)
        else:
            raise TypeError(f"a pipeline or a Workflow runs inline, not {target!r}")
        handle = Handle(identity, self._life)
        self._life.begin(submission, self.record(identity), handle)
        for name, value in self._signals:
            self._life.signal(identity, name, value)
        self._signals.clear()
        return InlineExecution(self, identity, submission.name, handle)

    def _of_pipeline(self, pipeline: Pipeline[..., Any], identity: str, inputs: Mapping[str, Any]) -> Submission:
        from twingraph.sdk.prepared import prepare

        ready = prepare(pipeline)
        ready.check(inputs)
        self.memory.bodies.update(ready.bodies)
        self.memory.locate(identity, ready.objects)
        return Submission(
            id=identity,
            name=ready.name,
            inputs={name: self._text(value) for name, value in inputs.items()},
            settings=ready.settings,
            workflow_id=ready.name,
            origin="test",
            body=ready.entry,
            specs=ready.specs,
        )

    def _of_workflow(self, workflow: Workflow, identity: str, inputs: Mapping[str, Any]) -> Submission:
        ready = workflow.compile()
        self.memory.locate(identity, {**ready.objects, **{key: _code(text) for key, text in ready.sources.items()}})
        return Submission(
            id=identity,
            inputs=bind_inputs(ready.plan, inputs, self._text, ready.checks),
            settings=ready.settings,
            workflow_id=ready.plan.name,
            origin="test",
            name=ready.plan.name,
            plan=ready.plan,
        )

    def _text(self, value: Any) -> str:
        return self.memory.encode(value, "inputs").text

    # -- what a test says and asks -----------------------------------------------------------------

    @property
    def outcomes(self) -> Chosen:
        """`inline.outcomes["load"] = [1, 2]` chooses later than the constructor."""
        return self.chosen

    def signal(self, name: str, value: Any = None) -> None:
        """Send it to the next execution as soon as that has begun; to one that runs, by its own `signal`."""
        self._signals.append((name, value))

    def calls(self, component: Any) -> list[Run]:
        """Every attempt that this component made, whatever it gave."""
        name = name_of(component)
        return [run for run in self.runs if run.component == name]

    # -- lives -------------------------------------------------------------------------------------

    def record(self, execution: str) -> Record:
        return self.records.setdefault(execution, Record(execution, next(self._numbers)))

    @property
    def life(self) -> Life:
        return self._life

    def restored(self, execution: InlineExecution, commits: int) -> InlineExecution:
        """Another engine that finds so many commits of this execution and resumes it, as after a crash just then."""
        world = Inline(start=datetime.fromtimestamp(self.clock.time(), UTC), evict=self.evict)
        world.chosen, world.memory = self.chosen, self.memory
        record = world.record(execution.id)
        record.commits = list(self.records[execution.id].commits[:commits])
        world.clock = Clock(datetime.fromtimestamp(record.rows[-1].at, UTC))
        world.clock.settle = lambda: world.life.settle()
        world.crash()
        again = InlineExecution(world, execution.id, execution.name, Handle(execution.id, world.life))
        again.resume()
        return again

    def crash(self) -> None:
        """Let the engine die, with everything that was not committed, and begin another.

        `execution.resume()` then takes an execution over.
        """
        self._life.end()
        self._life = Life(self, evict=self.evict)

    def close(self) -> None:
        self._life.end()


class InlineExecution:
    """One execution of an `Inline`."""

    def __init__(self, world: Inline, execution: str, name: str, handle: Handle) -> None:
        self.id = execution
        self.name = name
        self._world = world
        self._handle = handle

    # -- going on ----------------------------------------------------------------------------------

    def advance(self, seconds: float | timedelta) -> None:
        """Move the clock on; what is due on the way happens."""
        self._world.clock.advance(seconds)

    def signal(self, name: str, value: Any = None) -> None:
        self._world.life.signal(self.id, name, value)
        self._world.life.settle()

    def cancel(self) -> None:
        self._world.life.cancel(self.id)
        self._world.life.settle()

    def crash(self) -> None:
        """Let the engine die and another take this over from what was committed, as after a power cut."""
        self._world.crash()
        self.resume()

    def resume(self) -> None:
        """Take it over in the life that there is now."""
        self._handle = Handle(self.id, self._world.life)
        self._world.life.adopt(self._record, self._handle)

    # -- how it stands -----------------------------------------------------------------------------

    @property
    def world(self) -> Inline:
        return self._world

    @property
    def _record(self) -> Record:
        return self._world.records[self.id]

    @property
    def commits(self) -> list[list[Row]]:
        """The events of each commit so far."""
        return self._record.commits

    @property
    def journal(self) -> list[Row]:
        """All events that were committed."""
        return self._record.rows

    @property
    def _state(self) -> State:
        return self._world.life.state(self.id) or restore(self.id, None, self._record.rows)

    @property
    def over(self) -> bool:
        return self._handle.wait(0)

    @property
    def status(self) -> str:
        return str(self._state.status)

    @property
    def nodes(self) -> dict[str, NodeView]:
        state = self._state
        return {
            name: NodeView(
                str(node.status),
                state.specs[node.spec].component if node.spec is not None else None,
                node.attempt,
                node.error,
            )
            for name, node in state.nodes.items()
        }

    def hash_of(self, node: str) -> str | None:
        """What `h["hash"]` of this call is."""
        state = restore(self.id, None, self.journal)
        data = {row.seq: row.data for row in self.journal}
        return hash_of(state, Values(state, data.get, self._world.memory.blobs), state.nodes[node])

    def calls(self, component: Any) -> list[Run]:
        """Every attempt that this component made in this execution."""
        return [run for run in self._world.calls(component) if run.execution == self.id]

    @property
    def waiting_for(self) -> list[str]:
        """What has to happen before it goes on, in words."""
        state = self._state
        if state.status in EXECUTION_OVER:
            return []
        return [words for node in state.nodes.values() if (words := self._waits(state, node)) is not None]

    def _waits(self, state: State, node: Node) -> str | None:
        left = "" if node.due is None else f"{node.due - self._world.clock.time():g} s"
        if node.status in NODE_OVER or node.status is NodeStatus.PENDING:
            return None
        if node.kind is NodeKind.SIGNAL:
            return f"the signal {node.plan.signal!r} ({node.id})" + (f", for {left} more" if left else "")
        if node.kind is NodeKind.SLEEP:
            return f"{left} to pass ({node.id})"
        if node.status is NodeStatus.RETRYING:
            return f"{left} to pass before {node.id} runs again"
        running = any(one.run.node == node.id for one in self._world.life.runs.going)
        return f"the run of {node.id} to take its time" if running else None

    # -- how it ended ------------------------------------------------------------------------------

    @short
    def result(self) -> Any:
        """What it gave; raises what failed it. `Waiting` when it is not over: it then says how to go on."""
        handle = self._handle
        if not self.over:
            raise Waiting(self._stuck())
        for doubt in self._world.chosen.doubts(DEFAULT.names()):
            warnings.warn(doubt, stacklevel=author_level())
        if handle.fault is not None:
            raise handle.fault
        error = failure(self.id, handle.status, handle.error)
        if error is None:
            return None if handle.result is None else self._world.memory.decode(handle.result)
        record = handle.error
        raise error if record is None else enrich(error, record.types or (record.error_type,), self._parts(record))

    def _parts(self, record: ErrorRecord) -> Mapping[str, Any]:
        if not record.exception:
            return {}
        try:
            return dict(self._world.memory.decode(record.exception))
        except Exception:  # a class in it may be gone: the error's description has to do
            return {}

    def _stuck(self) -> str:
        waits = self.waiting_for or ["nothing that a test could bring about"]
        how = []
        if any(words.startswith("the signal") for words in waits):
            how.append("send it with inline.signal(name, value) before it starts, or execution.signal(name, value)")
        if self._world.clock.next_due() is not None:
            how.append("let time pass with execution.advance(seconds)")
        if self._state.status is ExecutionStatus.PAUSED:
            how.append("it is paused")
        told = "\n".join(f"  - {words}" for words in waits)
        return f"{self.name} is not over; it waits for\n{told}\n" + "; ".join(how)


def _code(text: str) -> Callable[..., Any]:
    """The function of a code node."""
    space: dict[str, Any] = {"__name__": "code"}
    exec(compile(text, "<code>", "exec"), space)
    function: Callable[..., Any] = space["run"]
    return function
