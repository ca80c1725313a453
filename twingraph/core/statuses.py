"""The life of an execution and of a node: every status, and every move between two of them.

`docs/states.md` is drawn from these tables; a test keeps it fresh.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class ExecutionStatus(StrEnum):
    __hash__ = str.__hash__  # an Enum's own is a Python function, and tables are asked at every step

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class NodeStatus(StrEnum):
    __hash__ = str.__hash__  # an Enum's own is a Python function, and tables are asked at every step

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


EXECUTION_MEANING: Mapping[ExecutionStatus, str] = {
    ExecutionStatus.PENDING: "Recorded; no conductor has begun to decide about it.",
    ExecutionStatus.RUNNING: "A conductor holds it, or held it until its process went away.",
    ExecutionStatus.PAUSED: "No new node starts until somebody resumes it; Ctrl-C leaves an execution here.",
    ExecutionStatus.COMPLETED: "Its result is in the journal.",
    ExecutionStatus.FAILED: "It ended without its result; `resume` starts the replay that keeps the finished nodes.",
    ExecutionStatus.CANCELLED: "Somebody stopped it; nothing of it runs any more.",
}

NODE_MEANING: Mapping[NodeStatus, str] = {
    NodeStatus.PENDING: "Waits for what it depends on, or for a free lane.",
    NodeStatus.QUEUED: "Handed over to dispatch; user code has not begun.",
    NodeStatus.RUNNING: "User code runs; a container node (map, workflow) has children that are not finished.",
    NodeStatus.RETRYING: "An attempt failed or was lost and the next one waits for its delay.",
    NodeStatus.COMPLETED: "Its outputs are in the journal.",
    NodeStatus.FAILED: "Its last allowed attempt failed.",
    NodeStatus.SKIPPED: "It will not run: a branch went the other way, or something upstream failed.",
    NodeStatus.CANCELLED: "What it belongs to ended before it did, or nobody waits for it any more.",
}

EXECUTION_MOVES: Mapping[tuple[ExecutionStatus, ExecutionStatus], str] = {
    (ExecutionStatus.PENDING, ExecutionStatus.RUNNING): "a conductor begins",
    (ExecutionStatus.PENDING, ExecutionStatus.CANCELLED): "stopped before it began",
    (ExecutionStatus.PENDING, ExecutionStatus.PAUSED): "paused before it began",
    (ExecutionStatus.RUNNING, ExecutionStatus.PAUSED): "pause, or Ctrl-C (reason interrupted)",
    (ExecutionStatus.RUNNING, ExecutionStatus.COMPLETED): "the last node ended and the result stands",
    (ExecutionStatus.RUNNING, ExecutionStatus.FAILED): "an unhandled failure, or its time ran out",
    (ExecutionStatus.RUNNING, ExecutionStatus.CANCELLED): "cancel",
    (ExecutionStatus.PAUSED, ExecutionStatus.RUNNING): "resume",
    (ExecutionStatus.PAUSED, ExecutionStatus.CANCELLED): "cancel",
    (ExecutionStatus.PAUSED, ExecutionStatus.FAILED): "what still ran when it was paused failed",
    (ExecutionStatus.PAUSED, ExecutionStatus.COMPLETED): "what still ran when it was paused was the last of it",
}

NODE_MOVES: Mapping[tuple[NodeStatus, NodeStatus], str] = {
    (NodeStatus.PENDING, NodeStatus.QUEUED): "dependencies met and a lane free",
    (NodeStatus.PENDING, NodeStatus.RUNNING): "a container opens, a wait begins",
    (NodeStatus.PENDING, NodeStatus.COMPLETED): "needs no work: an input, a cache hit, an empty map, history",
    (NodeStatus.PENDING, NodeStatus.SKIPPED): "a branch went the other way, or something upstream failed",
    (NodeStatus.PENDING, NodeStatus.CANCELLED): "what it belongs to ended first",
    (NodeStatus.PENDING, NodeStatus.FAILED): "it could not start: what it needs is missing",
    (NodeStatus.QUEUED, NodeStatus.RUNNING): "user code began",
    (NodeStatus.QUEUED, NodeStatus.PENDING): "recalled from a busy worker, or by a pause",
    (NodeStatus.QUEUED, NodeStatus.COMPLETED): "its outcome arrived before word of its start",
    (NodeStatus.QUEUED, NodeStatus.FAILED): "its outcome arrived before word of its start, or it could not start",
    (NodeStatus.QUEUED, NodeStatus.RETRYING): "failed or lost, and may try again",
    (NodeStatus.QUEUED, NodeStatus.CANCELLED): "the execution ended first",
    (NodeStatus.RUNNING, NodeStatus.COMPLETED): "its outputs were journaled",
    (NodeStatus.RUNNING, NodeStatus.FAILED): "its last allowed attempt failed",
    (NodeStatus.RUNNING, NodeStatus.RETRYING): "failed or lost, and may try again",
    (NodeStatus.RUNNING, NodeStatus.CANCELLED): "stopped while it ran; a wait that its body gave up",
    (NodeStatus.RETRYING, NodeStatus.QUEUED): "its delay is over and a lane is free",
    (NodeStatus.RETRYING, NodeStatus.PENDING): "its delay is over; it waits for a lane",
    (NodeStatus.RETRYING, NodeStatus.CANCELLED): "the execution ended first",
}

EXECUTION_OVER = frozenset({ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})
NODE_OVER = frozenset({NodeStatus.COMPLETED, NodeStatus.FAILED, NodeStatus.SKIPPED, NodeStatus.CANCELLED})
