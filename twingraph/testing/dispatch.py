"""A dispatch that carries runs out in memory, with outcomes that a test chooses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from twingraph.core.codec import encode
from twingraph.core.records import ErrorRecord
from twingraph.dispatch.base import Lane, NodeRun, Outcome, Report, Returned


class MemoryDispatch:
    """Answers each run with `act(lane, run)`: a value is the single output, an exception the failure.

    With `hold` runs wait until `let_go` is called, so that a test can cancel or recall them.
    """

    def __init__(self, act: Callable[[Lane, NodeRun], object], *, hold: bool = False) -> None:
        self._act = act
        self.hold = hold
        self.waiting: list[tuple[Lane, NodeRun]] = []
        self.begun: list[tuple[str, int]] = []
        self._report: Callable[[Report], None]
        self._loop: asyncio.AbstractEventLoop

    async def start(self, report: Callable[[Report], None]) -> None:
        self._report = report
        self._loop = asyncio.get_running_loop()

    def submit(self, lane: Lane) -> None:
        for run in lane.runs:
            self.waiting.append((lane, run))
        if not self.hold:
            self._loop.call_soon(self.let_go)

    def let_go(self) -> None:
        waiting, self.waiting = self.waiting, []
        for lane, run in waiting:
            self.begun.append((run.node, run.attempt))
            self._report(self._carry_out(lane, run))

    def _carry_out(self, lane: Lane, run: NodeRun) -> Outcome:
        started = time.time()
        try:
            value = self._act(lane, run)
        except Exception as error:
            record = ErrorRecord(
                code="user_error",
                error_type=type(error).__name__,
                message=str(error),
                types=tuple(kind.__name__ for kind in type(error).__mro__),
            )
            return self._outcome(lane, run, "failed", started, error=record)
        encoded = encode(value)
        outputs = (("output", encoded.hash, encoded.size),)
        return self._outcome(lane, run, "completed", started, outputs=outputs, texts=(encoded.text,))

    def _outcome(
        self,
        lane: Lane,
        run: NodeRun,
        status: str,
        started: float | None,
        *,
        outputs: Sequence[tuple[str, str, int]] = (),
        texts: Sequence[str] = (),
        error: ErrorRecord | None = None,
    ) -> Outcome:
        return Outcome(
            execution=lane.execution,
            node=run.node,
            attempt=run.attempt,
            status=status,
            started=started,
            ended=time.time(),
            shape="plain",
            outputs=outputs,
            texts=texts,
            error=error,
        )

    def _pick(self, execution: str, nodes: Sequence[str] | None) -> list[tuple[Lane, NodeRun]]:
        picked = [
            (lane, run)
            for lane, run in self.waiting
            if lane.execution == execution and (nodes is None or run.node in nodes)
        ]
        self.waiting = [entry for entry in self.waiting if entry not in picked]
        return picked

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        runs = [(run.node, run.attempt) for _, run in self._pick(execution, nodes)]
        if runs:
            self._loop.call_soon(self._report, Returned(execution, runs))

    def cancel(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        for lane, run in self._pick(execution, nodes):
            self._loop.call_soon(self._report, self._outcome(lane, run, "cancelled", None))

    async def stop(self) -> None:
        self.waiting.clear()
