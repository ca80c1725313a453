"""Runs every node in this process, one after another in a thread of their own, so that a debugger works.

Chosen by TWINGRAPH_INLINE=1. `breakpoint()` reaches the terminal, since this process owns it; what a node prints goes
there too and is not recorded. The slices run, as everywhere, under the user's file names and lines, and the modules
of the program itself give way only while a node runs. A node can be neither killed nor measured here: time limits are
not enforced, and a crash of the node is a crash of the process.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twingraph.core.codec import decode, encode
from twingraph.core.codec_base import loads
from twingraph.core.records import ErrorRecord
from twingraph.dispatch.base import Begun, ItemsOut, Lane, LogLines, NodeRun, Outcome, Report, Returned
from twingraph.executors import runner
from twingraph.executors.builtins import run_builtin
from twingraph.executors.context import PROGRESS_SECONDS, Current, RealClock, progress_line, running
from twingraph.executors.environment import environment, environment_of
from twingraph.executors.handing import Handing
from twingraph.executors.mask import Mask
from twingraph.executors.masked_values import MaskedEncoder
from twingraph.executors.slice_loader import Loaded
from twingraph.store.blobs.catalog import open_blobs

if TYPE_CHECKING:
    from twingraph.executors.debugging import OnError


class InlineDispatch:
    """See `dispatch.base.Dispatch`."""

    def __init__(self, blobs_path: str, secret_key: bytes | None, on_error: OnError | None = None) -> None:
        """`on_error` is told of what user code raises, on the thread that ran it, before it becomes an outcome."""
        self._on_error = on_error
        self._blobs = open_blobs(blobs_path)
        self._secret = secret_key
        self._queue: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._waiting: list[tuple[Lane, NodeRun]] = []
        self._lock = threading.Lock()
        self._mask: Mask | None = None  # of the secrets of the lane that runs
        self._bundles: dict[str, Any] = {}
        self._loop: asyncio.AbstractEventLoop
        self._report: Callable[[Report], None]

    async def start(self, report: Callable[[Report], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._report = report
        threading.Thread(target=self._work, name="twingraph-inline", daemon=True).start()

    def submit(self, lane: Lane) -> None:
        with self._lock:
            overtakes = bool(self._waiting) and self._waiting[-1][0].settings.priority < lane.settings.priority
            self._waiting += [(lane, run) for run in lane.runs]
            if overtakes:
                self._waiting.sort(key=lambda entry: -entry[0].settings.priority)
        for _ in lane.runs:
            self._queue.put(True)

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        runs = [(run.node, run.attempt) for _, run in self._take(execution, nodes)]
        if runs:
            self._loop.call_soon(self._report, Returned(execution, runs))

    def cancel(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        """Only what waits; what runs here cannot be ended from outside."""
        for lane, run in self._take(execution, nodes):
            error = ErrorRecord(
                code="cancelled", error_type="Cancelled", message=f"{run.node} was cancelled before it began"
            )
            outcome = Outcome(
                lane.execution, run.node, run.attempt, "cancelled", None, RealClock.now(), error=error, begun=False
            )
            self._loop.call_soon(self._report, outcome)

    def _take(self, execution: str, nodes: Sequence[str] | None) -> list[tuple[Lane, NodeRun]]:
        with self._lock:
            taken = [
                (lane, run)
                for lane, run in self._waiting
                if lane.execution == execution and (nodes is None or run.node in nodes)
            ]
            self._waiting = [entry for entry in self._waiting if entry not in taken]
        return taken

    async def stop(self) -> None:
        with self._lock:
            self._waiting.clear()
        self._queue.put(False)

    def _work(self) -> None:
        while self._queue.get():
            with self._lock:
                if not self._waiting:
                    continue  # recalled or cancelled
                lane, run = self._waiting.pop(0)
            outcome = self._carry_out(lane, run)
            try:
                self._loop.call_soon_threadsafe(self._report, outcome)
            except RuntimeError:  # the loop is closed
                return

    def _bundle(self, lane: Lane) -> Any:
        loaded = self._bundles.get(lane.code.version)
        if loaded is None:
            text = Path(lane.code.bundle_path).read_text(encoding="utf-8")
            loaded = self._bundles[lane.code.version] = Loaded(loads(text.strip()))
        return loaded

    def _carry_out(self, lane: Lane, run: NodeRun) -> Outcome:
        started, cpu = RealClock.now(), time.process_time()
        self._mask = Mask(lane.secrets) if lane.secrets else None
        channel = _Channel(self, lane, run)
        current = Current(lane.execution, run.node, run.attempt, channel)
        token = running.set(current)
        try:
            with environment(environment_of(current, lane.settings.environment)):
                answer = self._answer(lane, run)
        finally:
            running.reset(token)
        channel.finish()
        error = None
        if answer.error is not None:
            error = ErrorRecord(
                node_id=run.node, attempt=run.attempt, **{**answer.error, "types": tuple(answer.error["types"])}
            )
        return Outcome(
            lane.execution, run.node, run.attempt, answer.status, started, RealClock.now(), time.process_time() - cpu,
            None, "inline", answer.shape, answer.outputs, answer.texts, error,
        )  # fmt: skip

    def _answer(self, lane: Lane, run: NodeRun) -> runner.Answer:
        entry = lane.settings.entry
        if entry.startswith("builtin:"):
            return run_builtin(entry[8:], run.args, self._decode, self._encode, lambda: self._blobs)
        config = loads(lane.settings.options) if lane.settings.options else {}
        try:
            loaded = self._bundle(lane)
            loaded.install()
        except Exception as error:
            return runner.Answer("failed", error=runner.describe(error, "code_unavailable", mask=self._mask))
        try:
            items = self._handing(lane, run) if lane.settings.generator else None
            try:
                find = self._found(lambda: loaded.get(entry), config)
                return runner.run_node(
                    runner.Work(find, run.args, self._decode, self._encode, config, items, self._mask)
                )
            finally:
                if items is not None:
                    items.finish()
        finally:
            loaded.withdraw()

    def _found(self, find: Callable[[], Any], config: Any) -> Callable[[], Any]:
        if self._on_error is None:
            return find
        from twingraph.executors.debugging import watched

        return watched(find, config, self._on_error)

    def _handing(self, lane: Lane, run: NodeRun) -> Handing:
        """Takes what a generator yields, and reports it as it comes."""
        began = RealClock.now()

        def send(start: int, texts: Sequence[str]) -> None:
            if start == 0:
                self._tell(Begun(lane.execution, run.node, run.attempt, began, "inline"))
            self._tell(ItemsOut(lane.execution, run.node, run.attempt, start, texts))

        return Handing(self._encode, send, self._blobs)

    def _tell(self, report: Report) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._report, report)

    def _decode(self, text: str) -> Any:
        return decode(text, blobs=self._blobs, key=self._secret, pickle=self._secret is not None)

    def _encode(self, value: Any, path: str) -> tuple[str, str, int]:
        if self._mask is not None:
            return MaskedEncoder(self._mask, self._blobs, self._secret)(value, path)
        return encode(value, blobs=self._blobs, key=self._secret, pickle=self._secret is not None, path=path)

    def say(self, lane: Lane, run: NodeRun, stream: str, message: str) -> None:
        message = message if self._mask is None else self._mask(message)
        self._tell(LogLines(lane.execution, run.node, run.attempt, [(RealClock.now(), "info", stream, message)]))

    def keep(self, data: bytes) -> str:
        return str(self._blobs.put(data))


class _Channel:
    """What `twingraph.current()` reaches."""

    def __init__(self, dispatch: InlineDispatch, lane: Lane, run: NodeRun) -> None:
        self._dispatch = dispatch
        self._lane = lane
        self._run = run
        self._told_at = 0.0
        self._left: tuple[float, float | None] | None = None

    def progress(self, done: float, total: float | None) -> None:
        self._left = (done, total)
        if RealClock.steady() - self._told_at >= PROGRESS_SECONDS:
            self.finish()

    def finish(self) -> None:
        """The last word about progress is told in any case."""
        if self._left is not None:
            line, self._left, self._told_at = progress_line(*self._left), None, RealClock.steady()
            self._dispatch.say(self._lane, self._run, "progress", line)

    def artifact(self, name: str, data: bytes) -> str:
        digest = self._dispatch.keep(data)
        self._dispatch.say(self._lane, self._run, "artifact", f"{name} {digest} {len(data)} bytes")
        return digest
