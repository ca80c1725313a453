"""What must hold: of everything that a caller is told, and of a history once it is over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.simulation.promises import Broken
from tests.support.snapshots import recalled_otherwise, told
from twingraph.core.errors import ConflictError, LeaseLost, NotFoundError, StoreError, TwinGraphError
from twingraph.core.plan import NodeKind
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus, NodeStatus
from twingraph.engine.folding import restore
from twingraph.engine.kernel import Node, bounds

if TYPE_CHECKING:
    from tests.simulation.system.process import Process
    from tests.simulation.system.store import Known
    from tests.simulation.system.world import System

__all__ = ["Broken", "check_end", "check_told"]

_EXPECTED = (StoreError, ConflictError, NotFoundError, LeaseLost)


def check_told(world: System, process: Process) -> None:
    """What callers of this process know is in the journal."""
    for handle in list(process.handles):
        if handle.fault is not None:
            process.handles.remove(handle)
            stopped = type(handle.fault) is TwinGraphError and "stopped" in str(handle.fault)
            if not (isinstance(handle.fault, _EXPECTED) or stopped):
                world.broken(f"a caller of {handle.id} was told {handle.fault!r}", handle.fault)
        elif handle.status in EXECUTION_OVER:
            process.handles.remove(handle)
            _check_end_told(world, world.store.by_id[handle.id], handle.status, handle.result)
        elif handle.status is ExecutionStatus.PAUSED:
            process.handles.remove(handle)
        elif handle.status is ExecutionStatus.RUNNING and handle.id not in world.store.by_id:
            world.broken(f"a caller was told that {handle.id} is recorded")


def _check_end_told(world: System, known: Known, status: ExecutionStatus, result: str | None) -> None:
    if known.shadow.status is not status:
        world.broken(f"a caller was told that {known.id} is {status}; in the journal it is {known.shadow.status}")
    recorded = known.rows[-1].data
    first = None if recorded is None else recorded.split("\n")[0]
    if first != result:
        world.broken(f"a caller was told that {known.id} gave {result}; in the journal it is {first}")


def check_end(world: System) -> None:
    for known in world.store.by_id.values():
        _check_record(world, known)
        _check_signals(world, known)
        _check_attempts(world, known)
        _check_items(world, known)
        again = restore(known.id, None, known.rows)
        if told(again) != told(known.shadow):
            world.broken(f"the journal of {known.id} does not fold to the same state twice")
        if (what := recalled_otherwise(known.rows, again)) is not None:
            world.broken(f"the journal of {known.id} is recalled otherwise than it is folded: {what}")
    for claim in world.store.claims.values():
        if world.store.by_number[claim.number].over:
            world.broken(f"{claim.node} of execution {claim.number} is over and still owns work")
    for process in world.processes.values():
        if not process.dead and process.conductor.held():
            left = [held.state.execution for held in process.conductor.held()]
            if any(held.epoch == world.store.by_id[held.state.execution].epoch for held in process.conductor.held()):
                world.broken(f"{process.name} still holds {left}")


def _check_record(world: System, known: Known) -> None:
    status = known.shadow.status
    if known.columns.get("status") != status or known.columns.get("owner") is not None:
        world.broken(f"{known.id} is {status}, and its record says {known.columns}")
    if status is ExecutionStatus.CANCELLED and not known.cancelled:
        world.broken(f"{known.id} is cancelled, and nobody wished it")
    if status is ExecutionStatus.FAILED and known.shadow.ending_error is None:
        world.broken(f"{known.id} failed and does not say why")
    done = sum(node.status is NodeStatus.COMPLETED for node in known.shadow.nodes.values())
    if known.columns.get("completed") != done:
        world.broken(f"{known.id} has {done} completed nodes, and its record says {known.columns.get('completed')}")


def _check_signals(world: System, known: Known) -> None:
    sent = [json.loads(body)["text"] for body in known.posted]
    if known.heard != sent[: len(known.heard)]:
        world.broken(f"{known.id} heard {known.heard}, sent were {sent}")
    if len(known.heard) + known.dropped != len(sent):
        world.broken(f"{known.id} heard {len(known.heard)} signals of {len(sent)}, {known.dropped} came too late")


def _check_attempts(world: System, known: Known) -> None:
    for node in known.shadow.nodes.values():
        spent = len(known.failures.get(node.id, ()))
        if spent > _most(known, node):
            world.broken(f"{node.id} of {known.id} spent {spent} attempts, of {_most(known, node)}")
        error = node.error
        lost = known.begun_losses.get(node.id, 0)
        own = error is not None and error.node_id == node.id and node.kind is not NodeKind.DETACHED
        if own and node.status is NodeStatus.FAILED and error is not None and error.code == "worker_lost" and lost < 3:
            world.broken(f"{node.id} of {known.id} ended as lost after {lost} losses")


def _check_items(world: System, known: Known) -> None:
    """What a generator has handed over stands in the list that it gave, however often it ran."""
    for node in known.shadow.nodes.values():
        if node.status is not NodeStatus.COMPLETED or node.kind is not NodeKind.TASK or not node.given:
            continue
        handed: list[object] = []
        for first, seq, offset in node.given:
            assert len(handed) == first
            handed += map(json.loads, (known.rows[seq - 1].data or "").split("\n")[offset:])
        assert node.seq is not None
        gave = json.loads(known.rows[node.seq - 1].data or "null")
        if gave[: len(handed)] != handed:
            world.broken(f"{node.id} of {known.id} handed {handed} over and gave {gave}")


def _most(known: Known, node: Node) -> int:
    spec = known.shadow.specs[node.spec] if node.spec is not None else None
    if node.kind is NodeKind.HANDLER or spec is None:
        return 1
    default = 3 if bounds.rules(known.shadow, node.scope).error_handler == "retry" else 1
    return spec.retry.max_attempts if spec.retry is not None else default
