"""Executions that a body starts beside its own: a pipeline called with `.options(detached=True)`.

Such an execution's id follows from its parent's, so that whoever takes the parent over finds the same one again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from twingraph.core import outputs
from twingraph.core.codec import hash_text
from twingraph.core.errors import ErrorCode, LeaseLost
from twingraph.core.events import DetachedStarted, Event, NodeEnded, OutputMeta
from twingraph.core.ids import detached_id
from twingraph.core.plan import NodeSpec, PlanNode
from twingraph.core.records import ErrorRecord, Settings
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus
from twingraph.engine.handle import Handle
from twingraph.engine.held import Held, Submission
from twingraph.engine.kernel import Node
from twingraph.store.base import Standing

# How often an execution is looked at that another process carries out.
WATCH_SECONDS = 0.25


class Around(NamedTuple):
    """What the conductor does for it."""

    find: Callable[[int], Held | None]
    standing: Callable[[str], Standing | None]
    begin: Callable[[Submission], Handle]
    take_over: Callable[[str], Handle]
    bring: Callable[[Held, Event, Sequence[str] | None], None]
    about: Callable[[Held, Callable[[], None]], None]  # keeps what goes wrong with one execution from the others
    later: Callable[[float, Callable[[], None]], object]


class Detached:
    """Starts them, or finds them again, and tells their parents how they ended."""

    def __init__(self, around: Around) -> None:
        self._around = around

    def start(self, held: Held, node_id: str) -> None:
        node = held.state.nodes[node_id]
        child = detached_id(held.state.execution, node_id)
        if node.reason != child:
            self._around.bring(held, DetachedStarted(node_id, child), None)
        standing = self._around.standing(child)
        if standing is None:
            self._follow(held, node, self._around.begin(submission(held, node, child)))
        elif standing.elsewhere:
            self._watch(held, node)
        else:
            self._follow(held, node, self._around.take_over(child))

    def _watch(self, held: Held, node: Node) -> None:
        self._around.later(WATCH_SECONDS, lambda: self._look(held, node))

    def _look(self, held: Held, node: Node) -> None:
        """Whether the process that carries it out is done with it, or gone. What somebody paused stays paused."""
        if self._around.find(held.number) is not held or node.over:
            return
        child = detached_id(held.state.execution, node.id)
        standing = self._around.standing(child)
        if standing is None or standing.elsewhere or standing.status == ExecutionStatus.PAUSED:
            self._watch(held, node)
        else:
            self._follow(held, node, self._around.take_over(child))

    def _follow(self, held: Held, node: Node, handle: Handle) -> None:
        """It ends in the course of what happens to itself; what that means for its parent is the parent's affair."""
        handle.then(lambda: self._around.about(held, lambda: self._ended(held, node, handle)))

    def _ended(self, held: Held, node: Node, handle: Handle) -> None:
        if self._around.find(held.number) is not held or node.over:
            return
        lost = isinstance(handle.fault, LeaseLost)
        if lost or (handle.fault is None and handle.status not in EXECUTION_OVER):
            self._watch(held, node)
        else:
            self._around.bring(held, *_ending(node, handle))


def submission(held: Held, node: Node, child: str) -> Submission:
    """The same code with the arguments of the call; the settings are the pipeline's own."""
    spec = held.state.specs[node.spec] if node.spec is not None else NodeSpec(component=node.id)
    settings, specs = settings_of(node.plan, held.state.specs)
    if held.state.settings.fresh_from is not None:
        settings = replace(settings, fresh_from=held.state.settings.fresh_from)
    return Submission(
        id=child,
        name=spec.component,
        inputs=dict([*held.values.scope_arguments(node), *held.values.arguments(node)]),
        settings=settings,
        workflow_id=spec.component,
        origin="detached",
        body=spec.entry or "",
        specs=specs,
        code_version=held.code.version if held.code is not None else None,
        code=held.code,
    )


def settings_of(plan: PlanNode, specs: Sequence[NodeSpec]) -> tuple[Settings, tuple[NodeSpec, ...]]:
    bounds = plan.bounds
    if bounds is None:
        return Settings(), ()
    handler = specs[bounds.handler_component] if bounds.handler_component is not None else None
    usual = Settings()
    settings = Settings(
        max_parallel=bounds.max_parallel if bounds.max_parallel is not None else usual.max_parallel,
        timeout=bounds.timeout if bounds.timeout is not None else usual.timeout,
        error_handler=bounds.error_handler if bounds.error_handler is not None else usual.error_handler,
        handler_component=None if handler is None else 0,
        handler_args=bounds.handler_args,
        continue_on_error=bounds.continue_on_error,
    )
    return settings, () if handler is None else (handler,)


def _ending(node: Node, handle: Handle) -> tuple[NodeEnded, Sequence[str] | None]:
    if handle.status is ExecutionStatus.COMPLETED and handle.fault is None:
        shape, named = shape_of(handle.result or "null", handle.outputs)
        metas: tuple[OutputMeta, ...] = tuple(
            (name, hash_text(text), len(text.encode("utf-8", "surrogatepass"))) for name, text in named
        )
        return NodeEnded(node.id, node.attempt, "completed", shape=shape, outputs=metas), [text for _, text in named]
    return NodeEnded(node.id, node.attempt, "failed", error=_error(node, handle)), None


def shape_of(result: str, named: Mapping[str, str]) -> tuple[str, Sequence[tuple[str, str]]]:
    """How the outputs of an execution belong together, so that they make up its result."""
    if list(named) != ["output"] or named["output"] != result:
        for shape in _shapes(result):
            if outputs.whole(shape, list(named), list(named.values())) == result:
                return shape, list(named.items())
    return "plain", [("output", result)]


def _shapes(result: str) -> list[str]:
    tree = json.loads(result)
    if not isinstance(tree, dict):
        return []
    return [f"{tree['$']}:{tree['class']}"] if "$" in tree and "class" in tree else ["dict"]


def _error(node: Node, handle: Handle) -> ErrorRecord:
    if handle.fault is not None:
        kind, message = type(handle.fault).__name__, str(handle.fault)
        return ErrorRecord(code=ErrorCode.INTERNAL, error_type=kind, message=message, node_id=node.id)
    if handle.error is not None:
        return replace(handle.error, node_id=node.id)
    message = f"{handle.id} was {handle.status}"
    return ErrorRecord(code=ErrorCode.CANCELLED, error_type="Cancelled", message=message, node_id=node.id)
