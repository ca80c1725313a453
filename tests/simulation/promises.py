"""What a life of the kernel must have kept to: what its journal folds to, and what was true at its end."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from tests.support.snapshots import told
from twingraph.core import events as ev
from twingraph.core.plan import NodeKind
from twingraph.core.statuses import ExecutionStatus, NodeStatus
from twingraph.engine.kernel import Node, Scope, State, apply, bounds, snapshot
from twingraph.engine.kernel.state import AT_ONCE

if TYPE_CHECKING:
    from tests.simulation.world import World


class Broken(AssertionError):  # noqa: N818 - a promise was
    """A promise did not hold."""


def fold_all(world: World, at_once: int = AT_ONCE) -> State:
    state = State(world.state.execution)
    state.at_once = at_once
    used: Counter[str] = Counter()
    for seq, (event, at) in enumerate(world.journal, 1):
        if state.timed and not isinstance(event, ev.Adopted):
            for path in _clocks_running(state):
                used[path] += max(0.0, at - state.now)  # type: ignore[assignment]
        apply(state, event, at, seq)
    for path, scope in state.scopes.items():
        if scope.clock is not None and abs(used[path] - bounds.used(state, scope.clock)) > 1e-6:
            raise Broken(f"{path} has used {used[path]} s, and its clock says {bounds.used(state, scope.clock)}")
    return state


def _clocks_running(state: State) -> list[str]:
    """The scopes with a time limit in which something is under way, worked out from scratch."""
    if state.status is not ExecutionStatus.RUNNING or state.ending is not None:
        return []
    busy = [f"{name}/" for name, node in state.nodes.items() if node.active]
    for path, scope in state.scopes.items():
        if scope.driven and not scope.closed and all(node.over for node in scope.nodes.values()):
            busy.append(f"{path}/")
    timed = [path for path, scope in state.scopes.items() if scope.clock is not None]
    return [path for path in timed if any(name.startswith(f"{path}/") for name in busy)]


def compare(world: World, when: str) -> None:
    """Folding everything, and folding what follows a snapshot, give the state that lives."""
    live = told(world.state)
    if told(fold_all(world)) != live:
        raise Broken(f"folding the journal gives another state {when}")
    if told(world.pieces) != live:
        raise Broken(f"in pieces of {world.pieces.at_once} the same events give another state {when}")
    if world.saved is None or world.saved[0] > len(world.journal):
        return
    seq, text = world.saved
    state = snapshot.load(json.loads(text))
    for number, (event, at) in enumerate(world.journal[seq:], seq + 1):
        apply(state, event, at, number)
    if told(state) != live:
        raise Broken(f"a snapshot at {seq} and the rest give another state {when}")


def last_words(world: World) -> None:
    if world.finished is not world.state.status:
        raise Broken(f"it should be {world.finished} and is {world.state.status}")
    if world.holding or world.line:
        raise Broken(f"{sorted(world.holding)} still hold limits, {world.line} still ask")
    if world.owners:
        raise Broken(f"{sorted(world.owners)} still own work that others wait for")
    for name, count in sorted(world.spent.items()):
        if count > _most(world, world.state.nodes[name]):
            raise Broken(f"{name} ran {count} times on its own account")
    for scope in world.state.scopes.values():
        if scope.driven and scope.outcome is NodeStatus.COMPLETED:
            _check_return(world, scope)


def _check_return(world: World, scope: Scope) -> None:
    """What a body returned exists, and no failure was lost."""
    for argument in (scope.result, *(argument for _, argument in scope.outputs)):
        for hole in (part for part in argument if not isinstance(part, str)):
            if not any(scope.nodes[s.node].status is NodeStatus.COMPLETED for s in hole.sources if s.node):
                raise Broken(f"the result of {scope.path!r} does not exist")
    failed = {name for name, node in scope.nodes.items() if node.status is NodeStatus.FAILED}
    skipped = {name for name, node in scope.nodes.items() if node.status is NodeStatus.SKIPPED}
    met = world.met[scope.path]
    handler, goes_on = _rules(world, scope)
    if handler != "continue" and not goes_on and not failed <= set(met) and not skipped & set(met):
        raise Broken(f"nobody met the failure of {sorted(failed - set(met))} in {scope.path!r}")


def _rules(world: World, scope: Scope) -> tuple[str, bool]:
    """The error handling that counts in this scope: (handler, whether a custom one lets the rest go on)."""
    around: Scope | None = scope
    while around is not None and around.parent is not None:
        own = around.parent.plan.bounds
        if own is not None and own.error_handler is not None:
            return own.error_handler, own.error_handler == "custom" and own.continue_on_error
        around = around.parent.scope
    settings = world.drawn.settings
    return settings.error_handler, settings.error_handler == "custom" and settings.continue_on_error


def _most(world: World, node: Node) -> int:
    spec = world.state.specs[node.spec or 0]
    if node.kind is NodeKind.HANDLER:
        return 1
    default = 3 if _rules(world, node.scope)[0] == "retry" else 1
    return spec.retry.max_attempts if spec.retry is not None else default
