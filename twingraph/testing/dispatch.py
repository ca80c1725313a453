"""A dispatch that carries runs out in memory, with outcomes that a test chooses."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from twingraph.core.codec import CodecError, encode
from twingraph.core.records import ErrorRecord
from twingraph.dispatch.base import Begun, ItemsOut, Lane, NodeRun, Outcome, Report, Returned

# The entry of what turns a list into the items of a map.
EXPAND = "builtin:expand"
PATIENCE = 30.0  # seconds within which anything in memory has come, however slow the machine


class MemoryDispatch:
    """Answers each run with `act(lane, run)`: a value is the single output, an exception the failure.

    What opens a map gets an output per item of the value, which is a list, or a dict of items by key. Of a generator,
    where the settings say so, the items are reported one by one before the outcome. With `hold` runs wait until
    `let_go`, so that a test can look at them, cancel or recall them.
    """

    def __init__(self, act: Callable[[Lane, NodeRun], object], *, hold: bool = False) -> None:
        self._act = act
        self.hold = hold
        self.waiting: list[tuple[Lane, NodeRun]] = []
        self.begun: list[tuple[str, int]] = []
        self.stopped = False
        self._report: Callable[[Report], None]
        self._loop: asyncio.AbstractEventLoop
        self._changed = threading.Condition()

    async def start(self, report: Callable[[Report], None]) -> None:
        self._report = report
        self._loop = asyncio.get_running_loop()

    def submit(self, lane: Lane) -> None:
        with self._changed:
            self.waiting.extend((lane, run) for run in lane.runs)
            self._changed.notify_all()
        if not self.hold:
            self._loop.call_soon(self._let_go)

    def wait_for(self, count: int, timeout: float = PATIENCE) -> list[str]:
        """Any thread: the nodes that wait, once there are so many."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.waiting) >= count, timeout):
                raise TimeoutError(f"{len(self.waiting)} runs wait, not {count}")
            return [run.node for _, run in self.waiting]

    def let_go(self) -> None:
        """Any thread: carry out what waits, and from now on whatever comes."""
        self.hold = False
        self._loop.call_soon_threadsafe(self._let_go)

    def begin(self, node: str) -> None:
        """Any thread: this node's run has begun, and takes a while."""
        for lane, run in self.waiting:
            if run.node == node:
                begun = Begun(lane.execution, run.node, run.attempt, time.time(), "memory")
                self._loop.call_soon_threadsafe(self._report, begun)

    def tell(self, report: Report) -> None:
        """Any thread: report this, whatever it is."""
        self._loop.call_soon_threadsafe(self._report, report)

    def let_one_go(self, node: str) -> None:
        """Any thread: carry out this node's run as soon as it waits, and keep the others waiting."""
        with self._changed:
            if not self._changed.wait_for(lambda: any(run.node == node for _, run in self.waiting), PATIENCE):
                raise TimeoutError(f"{node} was not handed over")
        self._loop.call_soon_threadsafe(self._let_go, node)

    def _let_go(self, node: str | None = None) -> None:
        waiting = [entry for entry in self.waiting if node is None or entry[1].node == node]
        self.waiting = [entry for entry in self.waiting if entry not in waiting] if node is not None else []
        for lane, run in sorted(waiting, key=lambda entry: -entry[0].settings.priority):
            self.begun.append((run.node, run.attempt))
            self._report(self._carry_out(lane, run))

    def _carry_out(self, lane: Lane, run: NodeRun) -> Outcome:
        started = time.time()
        try:
            value = self._act(lane, run)
            if lane.settings.generator and isinstance(value, Iterator):
                value = self._give(lane, run, value, started)
        except Exception as error:
            record = ErrorRecord(
                code="invalid_output" if isinstance(error, CodecError) else "user_error",
                error_type=type(error).__name__,
                message=str(error),
                types=tuple(kind.__name__ for kind in type(error).__mro__),
            )
            return self._outcome(lane, run, "failed", started, error=record)
        named = _items(value) if lane.settings.entry == EXPAND else {"output": value}
        encoded = {name: encode(part) for name, part in named.items()}
        outputs = tuple((name, part.hash, part.size) for name, part in encoded.items())
        texts = tuple(part.text for part in encoded.values())
        return self._outcome(lane, run, "completed", started, outputs=outputs, texts=texts)

    def _give(self, lane: Lane, run: NodeRun, items: Iterator[object], started: float) -> list[object]:
        given: list[object] = []
        for item in items:
            text = encode(item, path=f"output[{len(given)}]").text
            if not given:
                self._report(Begun(lane.execution, run.node, run.attempt, started, "memory"))
            self._report(ItemsOut(lane.execution, run.node, run.attempt, len(given), [text]))
            given.append(item)
        return given

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
        wanted = None if nodes is None else set(nodes)
        picked: list[tuple[Lane, NodeRun]] = []
        left: list[tuple[Lane, NodeRun]] = []
        for lane, run in self.waiting:
            ours = lane.execution == execution and (wanted is None or run.node in wanted)
            (picked if ours else left).append((lane, run))
        self.waiting = left
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
        self.stopped = True


def _items(value: object) -> Mapping[str, object]:
    if isinstance(value, Mapping):
        return value
    assert isinstance(value, list)
    return {str(index): item for index, item in enumerate(value)}
