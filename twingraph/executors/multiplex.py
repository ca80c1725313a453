"""Runs of `async def` components that wait at once, on one loop in a worker process. Python 3.8 syntax.

Each lane's runs go one after another, those of different lanes beside each other. What stands around a run is its own,
by the context of its task: `twingraph.current()`, environment variables, what it prints and logs. The working
directory and all else of the process are shared: whoever changes them changes them for all, until none is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import weakref
from collections import deque
from contextvars import Context, ContextVar
from typing import Any, Callable, Deque, Dict, List, Optional, Sequence, Tuple

from twingraph.core.codec_base import dumps, loads, text_of
from twingraph.executors import capture, runner
from twingraph.executors.context import PROGRESS_SECONDS, Current, RealClock, loading, progress_line, running
from twingraph.executors.layers import Layers
from twingraph.executors.marks import STEPS, Marks

# One that keeps the loop to itself for so long is named.
BLOCKS_SECONDS = 0.5
_LOOK_SECONDS = 0.1
# What a run has started and left behind is cancelled with it, and waited for this long.
_LEFT_SECONDS = 1.0

_exit = os._exit  # user code may put another one in its place

_Arrived = Tuple[int, str, int, List[Tuple[str, str]]]


class Run:
    """One among others: its voice, its environment, its task."""

    __slots__ = (
        "children", "cpu", "current", "environment", "handing", "number", "progress_at", "progress_left", "records",
        "started", "streams", "task", "worker",
    )  # fmt: skip

    def __init__(self, worker: Any, number: int, started: float) -> None:
        self.worker = worker
        self.number = number
        self.started = started
        self.records = capture.Records(worker.words)
        self.records.begin(number)
        self.records.mask = worker.records.mask  # of secrets that the process was given before
        self.streams: Dict[str, capture.Stream] = {}  # noqa: UP006
        self.progress_at = 0.0
        self.progress_left: Any = None
        self.children: List[Any] = []  # noqa: UP006
        self.environment: Dict[bytes, bytes] = {}  # noqa: UP006
        self.handing: Any = None
        self.task: Any = None
        self.current: Any = None
        self.cpu = 0.0

    def stream(self, name: str, level: str, descriptor: int) -> capture.Stream:
        found = self.streams.get(name)
        if found is None:
            found = self.streams[name] = capture.Stream(name, level, descriptor, self.records, self.worker.written)
        return found

    def progress(self, done: float, total: Optional[float]) -> None:  # noqa: UP045
        self.progress_left = (done, total)
        if RealClock.steady() - self.progress_at >= PROGRESS_SECONDS:
            self._finish_progress()
            self.worker.written()

    def _finish_progress(self) -> None:
        (done, total), self.progress_left = self.progress_left, None
        self.progress_at = RealClock.steady()
        self.records.add("info", "progress", progress_line(done, total))

    def artifact(self, name: str, data: bytes) -> str:
        digest = str(self.worker.blobs().put(data))
        self.records.keep("info", "artifact", f"{name} {digest} {len(data)} bytes")
        self.worker.written()
        return digest

    def flush(self) -> None:
        with self.records.sending:
            number, taken = self.records.take()
            for portion in capture.portions(taken):
                self.worker.channel.send(dumps(["l", number, portion]) + "\n")

    def finish(self) -> None:
        """All that it has said, before its answer."""
        for stream in self.streams.values():
            stream.finish()
        if self.progress_left is not None:
            self._finish_progress()
        self.flush()


_run: ContextVar[Run] = ContextVar("twingraph_run")


def current_run() -> Optional[Run]:  # noqa: UP045
    return _run.get(None)


class Routed(capture.Stream):
    """Stands in for sys.stdout or sys.stderr; each run has its own behind it."""

    def __init__(self, name: str, level: str, descriptor: int, owner: Multiplexer) -> None:
        super().__init__(name, level, descriptor, owner.worker.records, owner.worker.written)
        self._owner = owner

    def write(self, text: str) -> int:
        run = None if self.direct else self._owner.speaker()
        if run is None:
            return super().write(text)
        return run.stream(self.name, self._level, self._descriptor).write(text)

    def flush(self) -> None:
        run = None if self.direct else self._owner.speaker()
        if run is None:
            super().flush()
        else:
            run.stream(self.name, self._level, self._descriptor).flush()


class _Lane:
    __slots__ = ("head", "marks", "waiting")

    def __init__(self, head: Any, marks: Marks, waiting: Deque[_Arrived]) -> None:  # noqa: UP006
        self.head = head
        self.marks = marks
        self.waiting = waiting


class Multiplexer:
    """Serves lanes of asynchronous runs until one of another kind comes."""

    def __init__(self, worker: Any) -> None:
        self.worker = worker
        self.runs: Dict[int, Run] = {}  # noqa: UP006
        self.steps = worker.marks.block(STEPS)
        self.forked = False
        self._latest: Optional[Run] = None  # noqa: UP045
        self._next_line: Optional[bytes] = None  # noqa: UP045
        self._blocks: Dict[int, Marks] = {}  # noqa: UP006
        self._busy = threading.Event()
        self._layers = Layers(lambda: None if (run := _run.get(None)) is None else run.environment)
        self._out = Routed("stdout", "info", 1, self)
        self._err = Routed("stderr", "warning", 2, self)
        self._loop = _loop_of(self)
        self._loop.set_task_factory(_note_task)
        asyncio.set_event_loop(self._loop)
        threading.Thread(target=self._watch, name="twingraph-watch", daemon=True).start()

    def speaker(self) -> Optional[Run]:  # noqa: UP045
        """Whose print this is. A thread that has no context speaks for the run that began last."""
        return _run.get(None) or self._latest

    def flush(self) -> None:
        for run in list(self.runs.values()):
            run.flush()

    def in_child(self) -> None:
        """After a fork: the loop is the parent's, so the child is over with the step in which it was made."""
        self.forked = True
        self._out.direct = self._err.direct = True
        for run in self.runs.values():
            run.records.lock, run.records.sending = threading.RLock(), threading.RLock()
            for stream in run.streams.values():
                stream.direct = True
            if run.handing is not None:
                run.handing.in_child()

    # -- what comes ------------------------------------------------------------------------------

    def serve(self, line: bytes) -> Optional[bytes]:  # noqa: UP045
        """The line of the first lane; gives the line that is not for here."""
        self._next_line = None
        with self._layers:
            reading = threading.Thread(target=self._read, args=(line,), name="twingraph-read", daemon=True)
            self._loop.call_soon(reading.start)
            while not self._is_over():
                try:
                    self._loop.run_forever()
                except BaseException:  # sys.exit in a task that a run has started, or a signal  # noqa: PERF203
                    continue
        self._settle()
        return self._next_line

    def _is_over(self) -> bool:
        return self._next_line is not None

    def _read(self, line: bytes) -> None:
        """In a thread: what blocks the loop does not keep a cancel from being read."""
        readline = self.worker.reader.readline
        try:
            while line:
                head = loads(text_of(line))
                if "strand" in head:
                    arrived: Deque[_Arrived] = deque()  # noqa: UP006
                    for _ in range(head["n"]):
                        number, node, attempt, names = loads(text_of(readline()))
                        arguments = [(name, text_of(readline())) for name in names]
                        arrived.append((number, node, attempt, arguments))
                    self._loop.call_soon_threadsafe(self._open, head, arrived)
                elif "stop" in head:
                    self._loop.call_soon_threadsafe(self._stop, head["stop"])
                else:
                    self._next_line = line
                    self._loop.call_soon_threadsafe(self._loop.stop)
                    return
                line = readline()
        except (OSError, ValueError):  # user code closed what is not its own
            self.worker.marks.cut_off()
            _exit(1)
        _exit(0)  # the parent is gone

    def _open(self, head: Any, arrived: Deque[_Arrived]) -> None:  # noqa: UP006
        block = head["strand"]
        marks = self._blocks.get(block)
        if marks is None:
            marks = self._blocks[block] = self.worker.marks.block(block)
        self._start_next(_Lane(head, marks, arrived))

    def _stop(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            run = self.runs.get(number)
            if run is not None and run.task is not None:
                run.task.cancel()

    # -- a run -----------------------------------------------------------------------------------

    def _start_next(self, lane: _Lane) -> None:
        while lane.waiting:
            number, node, attempt, arguments = lane.waiting.popleft()
            started = RealClock.now()
            if not self.worker.state.is_spent and lane.marks.begin(number, started):
                run = self.runs[number] = self._latest = Run(self.worker, number, started)
                run.current = Current(lane.head["execution"], node, attempt, run)
                sys.stdout, sys.stderr = self._out, self._err
                try:
                    run.environment = self._layers.made_for(run.current, lane.head["environment"])
                    Context().run(self._begin, lane, run, arguments)
                except Exception as error:
                    self._give_answer(run, runner.Answer("failed", error=runner.describe(error, "user_error")))
                    continue
                self._busy.set()
                return
            self.worker.channel.send(f'["r",[{number}]]\n')

    def _begin(self, lane: _Lane, run: Run, arguments: Any) -> None:
        running.set(run.current)
        _run.set(run)
        run.task = self._loop.create_task(self._carry_out(lane, run, arguments))
        run.children.clear()
        run.task.add_done_callback(lambda task: self._ended(lane, run, task))

    async def _carry_out(self, lane: _Lane, run: Run, arguments: Any) -> runner.Answer:
        worker, entry = self.worker, lane.head["entry"]

        def find() -> Any:
            return worker.found(entry)

        if lane.head.get("generator"):
            run.handing = worker.hands_over(run.number, run.started)
        try:
            config, mask = lane.head["config"], run.records.mask
            work = runner.Work(find, arguments, worker.decode, worker.encode, config, run.handing, mask)
            return await runner.run_node_on_loop(work)
        finally:
            if run.handing is not None:
                run.handing.finish()
            await _cancelled([task for ref in run.children if (task := ref()) is not None and not task.done()])

    def _ended(self, lane: _Lane, run: Run, task: Any) -> None:
        try:
            answer = task.result()
        except BaseException as error:
            answer = runner.Answer("failed", error=runner.describe(error, "user_error"))
        self._give_answer(run, answer)
        self._start_next(lane)

    def _give_answer(self, run: Run, answer: runner.Answer) -> None:
        run.finish()
        del self.runs[run.number]
        if self._latest is run:
            self._latest = None
        if not self.runs:
            self._busy.clear()
            self._settle()
        self.worker.answer(run.number, run.started, answer, run.cpu)
        if not self.runs:
            self.worker.below.put_back()
        run.task = None

    def _settle(self) -> None:
        self._layers.put_back()
        self.worker.state.put_back()
        self.worker.leave()

    # -- one that keeps the loop to itself -------------------------------------------------------

    def _watch(self) -> None:
        told = 0.0
        main = threading.main_thread().ident
        while True:
            self._busy.wait()
            RealClock.sleep(_LOOK_SECONDS)
            number, since = self.steps.begun, self.steps.since
            run = self.runs.get(number)
            took = RealClock.steady() - since
            if run is None or took < BLOCKS_SECONDS or since == told or loading:
                continue
            frame = sys._current_frames().get(main or 0)
            if self.steps.since != since:
                continue
            told = since
            self.steps.tell(number)
            run.records.add("warning", "logging", _accusation(took, frame))
            self.worker.written()


def _accusation(took: float, frame: Any) -> str:
    import traceback

    theirs = os.path.dirname(asyncio.__file__)
    stack = [
        part
        for part in traceback.extract_stack(frame)
        if not runner.is_own(part.filename) and not part.filename.startswith(theirs)
    ]
    where = (
        f"in {stack[-1].name}, line {stack[-1].lineno} of {stack[-1].filename}" if stack else "nowhere in its own lines"
    )
    head = f"blocks the event loop: for {took:.1f} s nothing else has gone on in its process, {where}"
    advice = "await something that waits, or hand it to asyncio.to_thread"
    return "".join([f"{head}; {advice}\n", *traceback.format_list(stack)]).rstrip()


async def _cancelled(left: List[Any]) -> None:  # noqa: UP006
    """As asyncio.run does it."""
    for task in left:
        task.cancel()
    if left:
        with contextlib.suppress(BaseException):
            await asyncio.wait(left, timeout=_LEFT_SECONDS)


def _note_task(loop: Any, coroutine: Any, **more: Any) -> Any:
    task = asyncio.Task(coroutine, loop=loop, **more)
    run = _run.get(None)
    if run is not None:
        run.children.append(weakref.ref(task))
        if len(run.children) > 1000:
            run.children[:] = [ref for ref in run.children if (known := ref()) is not None and not known.done()]
    return task


def _loop_of(owner: Multiplexer) -> Any:
    """A loop that notes in shared memory which run has it."""
    step, clock, cpu = owner.steps.step, RealClock.steady, RealClock.thread_cpu

    class Step(asyncio.Handle):
        __slots__ = ()

        def _run(self) -> None:
            run: Any = self._context.get(_run)  # type: ignore[attr-defined]
            if run is None:
                super()._run()
                return
            used = cpu()
            step(run.number, clock())
            try:
                super()._run()
            finally:
                if owner.forked:
                    _exit(0)
                step(0, 0.0)
                run.cpu += cpu() - used

    class Loop(asyncio.SelectorEventLoop):
        time = staticmethod(clock)  # also where one of those that share it has put another one in its place

        def _call_soon(self, callback: Callable[..., Any], args: Any, context: Any) -> Any:
            handle = Step(callback, args, self, context)
            self._ready.append(handle)  # type: ignore[attr-defined]
            return handle

    return Loop()
