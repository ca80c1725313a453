"""Node runs that an executor carries out beside this process: a thread for each, which waits for it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from twingraph.core.errors import ErrorCode, TwinGraphError
from twingraph.dispatch.base import Begun, ItemsOut, Lane, LogLines, NodeRun, Outcome, Report, Returned
from twingraph.executors.base import Executor, Finished, Job, Line, Task
from twingraph.executors.ended import failed

LOG = logging.getLogger("twingraph.jobs")

# So many at once; what is over it waits here, and can be recalled.
MOST_AT_ONCE = 200
# A runner that does not end its node in time is ended from here, so long after.
LATE_SECONDS = 2.0
# The job of a completed run is removed so long after it was reported: by then its outcome is in the journal, so that
# nothing is done twice should this process end in between.
KEPT_SECONDS = 0.3
# What others left is looked for so soon, and then so often; after a failure sooner, with growing pauses.
FIRST_SWEEP_SECONDS = 1.0
SWEEP_SECONDS = 60.0
STOP_SECONDS = 8.0


class JobDispatch:
    """See `dispatch.base.Dispatch`. The executor is made on the first run's thread, since that may take a moment."""

    def __init__(
        self,
        make: Callable[[], Executor],
        is_over: Callable[[str], bool],
        most: int = MOST_AT_ONCE,
        *,
        first_sweep: float = FIRST_SWEEP_SECONDS,
    ) -> None:
        """`is_over` tells of an execution whether anybody can still want what was left of it; asked on any thread."""
        self._make = make
        self._is_over = is_over
        self._most = most
        self._first_sweep = first_sweep
        self._executor: Executor | None = None
        self._making = threading.Lock()
        self._waiting: list[_Held] = []
        self._running: set[_Held] = set()
        self._threads: set[threading.Thread] = set()
        self._stopped = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._report: Callable[[Report], None]

    async def start(self, report: Callable[[Report], None]) -> None:
        self.open(asyncio.get_running_loop(), report)

    def open(self, loop: asyncio.AbstractEventLoop, report: Callable[[Report], None]) -> None:
        self._loop = loop
        self._report = report

    def submit(self, lane: Lane) -> None:
        self._waiting += [_Held(lane, run) for run in lane.runs]
        self._waiting.sort(key=lambda held: -held.lane.settings.priority)
        self._pump()

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        runs = [(held.run.node, held.run.attempt) for held in self._take(execution, nodes)]
        if runs:
            self._loop.call_soon(self._report, Returned(execution, runs))

    def cancel(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        for held in self._take(execution, nodes):
            message = f"{held.run.node} was cancelled before it began"
            ended = failed(held.task, ErrorCode.CANCELLED, "Cancelled", message, time.time(), status="cancelled")
            self._loop.call_soon(self._report, held.outcome(ended))
        for held in self._running:
            if held.is_of(execution, nodes):
                held.end("cancelled")

    def _take(self, execution: str, nodes: Sequence[str] | None) -> list[_Held]:
        taken = [held for held in self._waiting if held.is_of(execution, nodes)]
        self._waiting = [held for held in self._waiting if held not in taken]
        return taken

    async def stop(self) -> None:
        """What runs is ended, since nobody is left who could be told of it."""
        self._stopped.set()
        self._waiting.clear()
        for held in self._running:
            held.end("cancelled")
        deadline = self._loop.time() + STOP_SECONDS
        while any(thread.is_alive() for thread in self._threads) and self._loop.time() < deadline:
            await asyncio.sleep(0.01)
        if self._executor is not None:
            self._executor.close()

    def _pump(self) -> None:
        while self._waiting and len(self._running) < self._most and not self._stopped.is_set():
            held = self._waiting.pop(0)
            self._running.add(held)
            held.start_clock(self._loop)
            thread = threading.Thread(target=self._carry_out, args=(held,), name="twingraph-job", daemon=True)
            self._threads.add(thread)
            thread.start()

    # -- a thread of the run -----------------------------------------------------------------------

    def _made(self) -> Executor:
        with self._making:
            if self._executor is None:
                self._executor = self._make()
                threading.Thread(target=self._sweep_often, name="twingraph-sweep", daemon=True).start()
            return self._executor

    def _carry_out(self, held: _Held) -> None:
        job: Job | None = None
        try:
            job = self._made().job(held.task)
            held.take(job)
            ended = job.follow(_Hearing(held, self))
        except TwinGraphError as error:
            ended = failed(
                held.task, ErrorCode.INVALID_INPUT, type(error).__name__, str(error), time.time(), permanent=True
            )
        except Exception as error:  # a defect of ours or of a library; whoever waits for the node shall hear of it
            message = f"its executor failed: {error}"
            ended = failed(held.task, ErrorCode.INTERNAL, type(error).__name__, message, time.time())
        completed = ended.status == "completed"
        if job is not None and not completed:
            job.remove()
        self.tell(held, held.outcome(ended))
        self._soon(self._leave, held)
        if job is not None and completed:
            self._stopped.wait(KEPT_SECONDS)
            job.remove()
        self._soon(self._threads.discard, threading.current_thread())

    def tell(self, held: _Held, report: Report) -> None:
        if not self._stopped.is_set():
            self._soon(self._report, report)

    def late(self, held: _Held, seconds: float) -> None:
        """From now on it has so long."""
        self._soon(held.set_timer, self._loop, seconds, "timeout")

    def _soon(self, act: Callable[..., object], *args: object) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(act, *args)

    def _leave(self, held: _Held) -> None:
        held.stop_clock()
        self._running.discard(held)
        self._pump()

    def _sweep_often(self) -> None:
        """What processes before this one left of executions that are over."""
        pause = again = self._first_sweep
        while not self._stopped.wait(pause):
            assert self._executor is not None
            try:
                self._executor.sweep(self._is_over)
            except TwinGraphError as error:  # the engine is away; later it is not
                LOG.debug("what others left was not looked for: %s", error)
            except Exception:
                LOG.exception("what others left was not looked for")
            else:
                pause, again = SWEEP_SECONDS, self._first_sweep
                continue
            pause = again = min(2 * again, SWEEP_SECONDS)


class _Held:
    """A run that was taken over, with its clocks. All but `take` on the loop."""

    def __init__(self, lane: Lane, run: NodeRun) -> None:
        self.lane = lane
        self.run = run
        self.task = task_of(lane, run)
        self._job: Job | None = None
        self._asked: str | None = None
        self._lock = threading.Lock()
        self._timer: asyncio.TimerHandle | None = None

    def is_of(self, execution: str, nodes: Sequence[str] | None) -> bool:
        return self.lane.execution == execution and (nodes is None or self.run.node in nodes)

    def start_clock(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.lane.settings.start_timeout is not None:
            self.set_timer(loop, self.lane.settings.start_timeout, "start_timeout")

    def set_timer(self, loop: asyncio.AbstractEventLoop, seconds: float, why: str) -> None:
        self.stop_clock()
        self._timer = loop.call_later(seconds, self.end, why)

    def stop_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self, why: str) -> None:
        with self._lock:
            self._asked = self._asked or why
            job = self._job
        if job is not None:
            job.end(why)

    def take(self, job: Job) -> None:
        with self._lock:
            self._job = job
            asked = self._asked
        if asked is not None:
            job.end(asked)

    def outcome(self, ended: Finished) -> Outcome:
        name = self._job.name if self._job is not None else None
        return Outcome(
            self.lane.execution, self.run.node, self.run.attempt, ended.status, ended.started, ended.ended,
            ended.cpu, ended.memory, name or None, ended.shape, ended.outputs, ended.texts, ended.error,
            begun=ended.started is not None,
        )  # fmt: skip


class _Hearing:
    """See `executors.base.Hears`."""

    def __init__(self, held: _Held, jobs: JobDispatch) -> None:
        self._held = held
        self._jobs = jobs
        self._key = (held.lane.execution, held.run.node, held.run.attempt)

    def began(self, at: float) -> None:
        held, job = self._held, self._held._job
        assert job is not None
        self._jobs.tell(held, Begun(*self._key, at, job.name, job.again))
        limit = held.lane.settings.timeout
        if limit is not None:
            self._jobs.late(held, limit + LATE_SECONDS)
        elif held.lane.settings.start_timeout is not None:
            self._jobs.late(held, 365 * 86_400.0)

    def said(self, lines: Sequence[Line]) -> None:
        self._jobs.tell(self._held, LogLines(*self._key, lines))

    def gave(self, start: int, texts: Sequence[str]) -> None:
        self._jobs.tell(self._held, ItemsOut(*self._key, start, texts))


def task_of(lane: Lane, run: NodeRun) -> Task:
    settings = lane.settings
    return Task(
        execution=lane.execution,
        node=run.node,
        attempt=run.attempt,
        component=settings.component,
        entry=settings.entry,
        bundle_path=lane.code.bundle_path,
        code_version=lane.code.version,
        args=run.args,
        image=settings.image,
        timeout=settings.timeout,
        resources=settings.resources,
        config=settings.platform_config,
        environment=settings.environment,
        labels=settings.labels,
        options=settings.options,
        generator=settings.generator,
        secrets=lane.secrets,
    )
