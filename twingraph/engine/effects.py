"""Carrying out what the kernel commands: lanes to dispatch, timers, named limits, words to the bodies of pipelines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from twingraph.core.errors import TwinGraphError
from twingraph.core.events import CacheAnswered, Event, LimitGranted
from twingraph.core.plan import NodeKind
from twingraph.dispatch.base import CodeRef, Dispatch, Lane, NodeRun
from twingraph.engine import handler_args
from twingraph.engine.held import Held
from twingraph.engine.kernel import Node, commands
from twingraph.engine.limits import LimitBook
from twingraph.engine.outcomes import impossible
from twingraph.engine.timers import Timers


class Driver(Protocol):
    """What stands behind a driven scope: a pipeline's body. Called on the conductor's loop, must not block."""

    def started(self, scope: str) -> None:
        """A scope was opened that a body has to fill; said again after a take-over."""

    def woken(self, scope: str, node: str) -> None:
        """A node of the scope is over; its outcome is in the journal."""

    def detached(self, node: str) -> None:
        """Start the execution of this detached node and report with `DetachedStarted`."""


class Effects:
    """The conductor's hands. `apply` brings the events that a command itself leads to; `holder` finds an execution."""

    timers: Timers

    def __init__(
        self,
        dispatch: Dispatch,
        apply: Callable[[Held, Event, Sequence[str] | None], None],
        holder: Callable[[int], Held | None],
    ) -> None:
        self._dispatch = dispatch
        self._apply_lines = apply
        self._holder = holder
        self.drivers: dict[str, Driver] = {}
        self._limits = LimitBook()
        self._lane = 0

    def forget(self, held: Held) -> None:
        """The execution is not ours any more: nothing of it waits, and its limits are free."""
        self.drivers.pop(held.state.execution, None)
        self.timers.clear_all(held.number)
        self._granted(self._limits.release(self._limits.holders(held.number)))

    def carry_out(self, held: Held, command: commands.Command) -> None:
        """Do what the kernel wants. Called after the commit of what led to it."""
        execution = held.state.execution
        match command:
            case commands.Dispatch():
                self._dispatch_lane(held, command)
            case commands.SetTimer(timer, delay):
                self.timers.set(held.number, timer, delay)
            case commands.ClearTimer(timer):
                self.timers.clear(held.number, timer)
            case commands.CancelRuns(nodes):
                self._dispatch.cancel(execution, nodes)
            case commands.Recall(nodes):
                self._dispatch.recall(execution, nodes)
            case commands.AskLimit(node, limits, priority):
                self._granted(self._limits.ask((held.number, node), limits, priority))
            case commands.ReleaseLimit(node):
                self._granted(self._limits.release([(held.number, node)]))
            case commands.AskCache(node):
                self._apply_lines(held, CacheAnswered(node, "miss"), None)
            case commands.WakeDriver(scope, node):
                if (driver := self.drivers.get(execution)) is not None:
                    driver.woken(scope, node)
            case commands.StartDetached(node):
                if (driver := self.drivers.get(execution)) is not None:
                    driver.detached(node)
            case commands.StartDriver(scope):
                if (driver := self.drivers.get(execution)) is not None:
                    driver.started(scope)
            case commands.Finish():
                pass  # done before the commit

    def _granted(self, holders: Sequence[tuple[int, str]]) -> None:
        for number, node in holders:
            if (held := self._holder(number)) is not None:
                self._apply_lines(held, LimitGranted(node), None)

    def _dispatch_lane(self, held: Held, command: commands.Dispatch) -> None:
        """Fill in the arguments and hand the lane over, but for nodes whose outcome is kept from before."""
        state = held.state
        runs: list[NodeRun] = []
        for node_id, attempt in command.runs:
            node = state.nodes[node_id]
            kept = held.kept.get(node_id)
            if kept is not None and kept.fits(node.kind):
                for event, lines in kept.rows:
                    self._apply_lines(held, event._replace(attempt=attempt), lines)
                continue
            try:
                runs.append(NodeRun(node_id, attempt, self._arguments(held, node)))
            except TwinGraphError as error:
                self._apply_lines(held, impossible(node_id, attempt, error), None)
        if not runs:
            return
        self._lane += 1
        settings = held.settings_of(command.spec)
        code = held.code
        if code is None:
            code = CodeRef(version="builtin", bundle_path="", interpreter="", working_dir="")
        self._dispatch.submit(
            Lane(number=self._lane, execution=state.execution, code=code, settings=settings, runs=runs)
        )

    def _arguments(self, held: Held, node: Node) -> Sequence[tuple[str, str]]:
        if node.kind is NodeKind.HANDLER:
            return handler_args.of(held.state, node)
        return held.values.arguments(node)
