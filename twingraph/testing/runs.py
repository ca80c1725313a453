"""Runs of components in the test's own thread, one by one, with chosen outcomes where the test has chosen."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twingraph.core.codec_base import loads
from twingraph.core.codec_join import Joined
from twingraph.core.records import ErrorRecord
from twingraph.core.secrets import as_written
from twingraph.dispatch.base import ItemsOut, Lane, NodeRun, Outcome, Report, Returned
from twingraph.executors import runner
from twingraph.executors.builtins import run_builtin
from twingraph.executors.context import Current, running
from twingraph.executors.environment import environment, environment_of
from twingraph.testing.clock import Clock
from twingraph.testing.hosting import Memory
from twingraph.testing.outcomes import Chosen, Run


class Going:
    """A run that has been handed over and is not over."""

    def __init__(self, lane: Lane, run: NodeRun) -> None:
        self.lane = lane
        self.run = run
        self.started: float | None = None
        self.outside: Mapping[str, str] = {}  # the environment of everybody else


class Runs:
    """A `dispatch.base.Dispatch` without processes."""

    def __init__(
        self,
        memory: Memory,
        chosen: Chosen,
        clock: Clock,
        report: Callable[[Report], None],
        meanwhile: Callable[[], None],
        made: list[Run],
    ) -> None:
        """`report` is heard at the next turn; `meanwhile` takes the turns that there are, while a generator runs."""
        self.memory = memory
        self._chosen = chosen
        self._clock = clock
        self._report = report
        self._meanwhile = meanwhile
        self._made = made
        self.waiting: list[Going] = []
        self.going: list[Going] = []  # until the clock has moved on

    async def start(self, report: Callable[[Report], None]) -> None:
        """There is no loop."""

    async def stop(self) -> None:
        self.waiting.clear()
        self.going.clear()

    def submit(self, lane: Lane) -> None:
        self.waiting += [Going(lane, run) for run in lane.runs]

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        given_back = [(one.run.node, one.run.attempt) for one in self._take(self.waiting, execution, nodes)]
        if given_back:
            self._report(Returned(execution, given_back))

    def cancel(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        for one in [*self._take(self.waiting, execution, nodes), *self._take(self.going, execution, nodes)]:
            self._clock.clear(id(one))
            record = ErrorRecord(
                code="cancelled", error_type="Cancelled", message=f"{one.run.node} was cancelled", node_id=one.run.node
            )
            self._report(self._outcome(one, runner.Answer("cancelled"), record))

    def _take(self, among: list[Going], execution: str, nodes: Sequence[str] | None) -> list[Going]:
        taken = [one for one in among if one.lane.execution == execution and (nodes is None or one.run.node in nodes)]
        among[:] = [one for one in among if one not in taken]
        return taken

    # -- a turn ------------------------------------------------------------------------------------

    def turn(self) -> bool:
        """Carry out the run that has waited longest. False: nothing waits."""
        if self.waiting:
            self._begin(self.waiting.pop(0))
            return True
        return False

    def _begin(self, one: Going) -> None:
        one.started = self._clock.time()
        lane, run = one.lane, one.run
        component = lane.settings.component
        entry = lane.settings.entry
        if entry.startswith("builtin:"):
            blobs = self.memory.blobs
            self._end(one, run_builtin(entry[8:], run.args, self.memory.decode, self.encode, lambda: blobs))
            return
        seconds, function = self._chosen.next(component, self.memory.objects.get((lane.execution, entry)))
        run.args = [(name, as_written(text)) for name, text in run.args]
        inputs = {name: self.memory.decode(text) for name, text in run.args}
        self._made.append(Run(component, inputs, run.node, run.attempt, lane.execution))
        limit = lane.settings.timeout
        if seconds and limit is not None and seconds > limit:
            self._later(one, limit, lambda: self._over_time(one, limit))
        elif seconds:
            self._later(one, seconds, lambda: self._carry_out(one, function))
        else:
            self._carry_out(one, function)

    def _later(self, one: Going, seconds: float, act: Callable[[], None]) -> None:
        self.going.append(one)

        def due() -> None:
            self.going.remove(one)
            act()

        self._clock.set(id(one), seconds, due)

    def _over_time(self, one: Going, limit: float) -> None:
        message = f"{one.run.node} ran longer than its time limit of {limit:g} s"
        record = ErrorRecord(code="timeout", error_type="TimeoutError", message=message, types=("TimeoutError",))
        self._report(self._outcome(one, runner.Answer("timeout"), record))

    def _carry_out(self, one: Going, function: Callable[..., Any] | None) -> None:
        lane, run = one.lane, one.run
        config = loads(lane.settings.options) if lane.settings.options else {}
        current = Current(lane.execution, run.node, run.attempt, _Channel(self.memory))
        declared = {name: as_written(value) for name, value in lane.settings.environment.items()}
        one.outside = dict(os.environ)
        items = _Items(self, one) if lane.settings.generator else None

        def find() -> Any:
            if function is None:
                raise KeyError(lane.settings.entry)
            return function

        def call() -> runner.Answer:
            token = running.set(current)
            try:
                with environment(environment_of(current, declared)):
                    return runner.run_node(runner.Work(find, run.args, self.memory.decode, self.encode, config, items))
            finally:
                running.reset(token)

        self._end(one, _beside_any_loop(call))

    def hand_over(self, one: Going, start: int, text: str) -> None:
        self._report(ItemsOut(one.lane.execution, one.run.node, one.run.attempt, start, [text]))
        with environment(one.outside):  # what goes on meanwhile is not this run
            self._meanwhile()

    def _end(self, one: Going, answer: runner.Answer) -> None:
        error = None
        if answer.error is not None:
            error = ErrorRecord(
                node_id=one.run.node,
                attempt=one.run.attempt,
                **{**answer.error, "types": tuple(answer.error["types"])},
            )
        self._report(self._outcome(one, answer, error))

    def _outcome(self, one: Going, answer: runner.Answer, error: ErrorRecord | None) -> Outcome:
        return Outcome(
            execution=one.lane.execution,
            node=one.run.node,
            attempt=one.run.attempt,
            status=answer.status,
            started=one.started,
            ended=self._clock.time(),
            worker="inline",
            shape=answer.shape,
            outputs=answer.outputs,
            texts=answer.texts,
            error=error,
            begun=one.started is not None,
        )

    def encode(self, value: Any, path: str) -> tuple[str, str, int]:
        return self.memory.encode(value, path)


class _Items:
    """Takes what a generator yields. Whoever has waited for an item goes on before the generator does."""

    def __init__(self, runs: Runs, one: Going) -> None:
        self._runs = runs
        self._one = one
        self._joined = Joined(runs.memory.blobs)

    def give(self, item: Any) -> None:
        start = len(self._joined.texts)
        text, _, size = self._runs.encode(item, f"output[{start}]")
        self._joined.add(text, size)
        self._runs.hand_over(self._one, start, text)

    def whole(self) -> tuple[str, str, int]:
        return self._joined.encoded()


class _Channel:
    """What `twingraph.current()` reaches: progress is nobody's business here, artifacts are kept."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def progress(self, done: float, total: float | None) -> None:
        """Nobody looks."""

    def artifact(self, name: str, data: bytes) -> str:
        return str(self.memory.blobs.put(data))


def _beside_any_loop(call: Callable[[], runner.Answer]) -> runner.Answer:
    """Async components bring a loop of their own, which cannot run inside the one of an async test."""
    if asyncio._get_running_loop() is None:
        return call()
    answers: list[runner.Answer] = []
    thread = threading.Thread(target=lambda: answers.append(call()), name="twingraph-inline")
    thread.start()
    thread.join()
    return answers[0]
