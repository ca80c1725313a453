"""What dispatch reports, in the words of the journal."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace

from twingraph.core.errors import BlobsUnavailable, ErrorCode, TwinGraphError
from twingraph.core.events import BranchTaken, Event, ExecutionEnded, MapExpanded, NodeEnded
from twingraph.core.plan import NodeKind
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import ExecutionStatus
from twingraph.dispatch.base import LogLines, Outcome
from twingraph.engine.ahead import ValuesAhead
from twingraph.engine.held import Held
from twingraph.engine.kernel import Node, State
from twingraph.engine.kernel.commands import Finish
from twingraph.store.base import LogRow


def events_of(
    state: State, node: Node | None, outcome: Outcome, map_page: int
) -> Iterator[tuple[Event, Sequence[str] | None]]:
    """The end of an attempt as events, each with the lines of its data. A page of a map has so many keys, and fewer
    where an item is more than one node."""
    if outcome.status == "completed" and node is not None:
        if node.kind is NodeKind.BRANCH:
            handle = "true" if outcome.texts[0] == "true" else "false"
            yield BranchTaken(outcome.node, outcome.attempt, handle, outcome.started, outcome.ended), None
            return
        if node.kind is NodeKind.MAP:
            yield from _pages(outcome, max(1, map_page // _nodes_of_item(state, node)))
            return
    yield _ended(outcome), outcome.texts if outcome.status == "completed" else None


def ran_again(node: Node, outcome: Outcome) -> bool:
    """Whether this is the list of a generator of which some items were handed over by a run before."""
    if not node.given or max(outcome.attempt, node.attempt) < 2:
        return False
    return node.kind is NodeKind.TASK and outcome.status == "completed"


def keep_handed_over(values: ValuesAhead, node: Node, outcome: Outcome) -> Generator[None, None, None]:
    """What the generator has handed over stands in the list that it gives, by and by."""
    if [name for name, _, _ in outcome.outputs] == ["output"]:
        text, digest, size = yield from values.with_handed_over(node, outcome.texts[0])
        outcome.outputs, outcome.texts = (("output", digest, size),), (text,)


def _nodes_of_item(state: State, node: Node) -> int:
    """How many there are at once of an item of this map, with those of workflows in it."""
    templates, count = [node.plan.template], 0
    while templates:
        name = templates.pop()
        nodes = state.templates[name].nodes if name is not None else ()
        count += len(nodes)
        templates += [inner.template for inner in nodes if inner.kind is NodeKind.SCOPE]
    return max(1, count)


def _pages(outcome: Outcome, size: int) -> Iterator[tuple[Event, Sequence[str] | None]]:
    """A map's items are known, so many keys at a time."""
    keys = [name for name, _, _ in outcome.outputs]
    starts = range(0, max(1, len(keys)), size)
    for start in starts:
        page = tuple(keys[start : start + size])
        event = MapExpanded(outcome.node, outcome.attempt, start, page, last=start == starts[-1])
        yield event, outcome.texts[start : start + size]


def _ended(outcome: Outcome) -> NodeEnded:
    error, chance = outcome.error, 0.5
    if error is not None:
        from random import random

        chance = random()
        error = replace(error, node_id=outcome.node, attempt=outcome.attempt)
    return NodeEnded(
        outcome.node,
        outcome.attempt,
        outcome.status,
        outcome.started,
        outcome.ended,
        outcome.cpu,
        outcome.memory,
        outcome.worker,
        outcome.shape,
        tuple(outcome.outputs),
        error,
        outcome.begun,
        chance,
    )


def impossible(node: str, attempt: int, error: TwinGraphError) -> NodeEnded:
    """A node whose arguments could not be put together."""
    record = ErrorRecord(
        code=ErrorCode.INVALID_INPUT,
        error_type=type(error).__name__,
        message=str(error),
        node_id=node,
        attempt=attempt,
        permanent=not isinstance(error, BlobsUnavailable),
    )
    return NodeEnded(node, attempt, "failed", error=record, begun=False)


def handler_failed(state: State, node: Node) -> LogRow:
    """A custom error handler that failed itself changes nothing: it is only logged."""
    component = state.specs[node.spec].component if node.spec is not None else None
    said = node.error.words if node.error is not None else "it ended without saying why"
    return LogRow(state.now, "error", node.id, component, node.attempt, "stderr", f"this error handler failed: {said}")


def ending_of(held: Held, command: Finish) -> tuple[ExecutionEnded, str | None]:
    """The last event, with the result where there is one."""
    status, error = command.status, command.error
    result: str | None = None
    outputs: Mapping[str, str] = {}
    if status is ExecutionStatus.COMPLETED:
        try:
            result, outputs = held.values.ending()
        except BlobsUnavailable:
            raise  # nothing of the end is recorded: whoever resumes it comes here again
        except TwinGraphError as fault:
            status = ExecutionStatus.FAILED
            error = ErrorRecord(code=ErrorCode.INTERNAL, error_type=type(fault).__name__, message=str(fault))
    held.ended = (result, outputs)
    data = None if result is None else "\n".join([result, *outputs.values()])
    return ExecutionEnded(str(status), error, tuple(outputs)), data


def log_rows(state: State, report: LogLines, start: int = 0, end: int | None = None) -> Iterator[LogRow]:
    """Of the lines from `start` to `end`."""
    node = state.nodes.get(report.node)
    component = state.specs[node.spec].component if node is not None and node.spec is not None else None
    for at, level, stream, message in report.lines[start:end]:
        yield LogRow(at, level, report.node, component, report.attempt, stream, message)
