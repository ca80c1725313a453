"""The words between the pool and a worker; see `executors.worker` for their form."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twingraph.core.codec_base import UNREADABLE, CodecError, dumps, loads
from twingraph.core.records import ErrorRecord
from twingraph.dispatch.base import Lane, NodeRun, Outcome


def first_message(bundle: str, blobs: str, secret: bytes | None, sys_path: Iterable[str]) -> bytes:
    """The secret goes over the pipe: arguments and environment of a process can be read by others."""
    given = {"bundle": bundle, "blobs": blobs, "secret": secret.hex() if secret else "", "sys_path": list(sys_path)}
    return (dumps(given) + "\n").encode()


def lane_message(lane: Lane, runs: Iterable[tuple[int, NodeRun]], block: int | None = None) -> bytes:
    """A lane's head, then each run with its number and arguments. `block`: the lane goes beside others."""
    settings = lane.settings
    lines = [""]
    count = 0
    for number, run in runs:
        count += 1
        lines.append(dumps([number, run.node, run.attempt, [name for name, _ in run.args]]))
        lines += [text for _, text in run.args]
    head = {
        "n": count,
        "execution": lane.execution,
        "entry": settings.entry,
        "environment": dict(settings.environment),
        "config": loads(settings.options) if settings.options else {},
    }
    if settings.generator:
        head["generator"] = True
    if block is not None:
        head["strand"] = block
    if lane.secrets:
        head["secrets"] = list(lane.secrets)
    lines[0] = dumps(head)
    lines.append("")
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def loop_message(block: int) -> bytes:
    """A lane without runs."""
    return (dumps({"n": 0, "strand": block}) + "\n").encode()


def stop_message(numbers: list[int]) -> bytes:
    return (dumps({"stop": numbers}) + "\n").encode()


# What the bytes of somebody else may lead to: user code can write to any descriptor of its process.
GARBLED = (CodecError, IndexError, *UNREADABLE)


class Parser:
    """Bytes in pieces of any size; whole messages out. `message(head, texts)` is called for each. Raises one of GARBLED
    for what no worker of ours has written."""

    def __init__(self, message: Callable[[list[Any], list[str]], None]) -> None:
        self._message = message
        self._rest = b""
        self._lines: list[bytes] = []

    def feed(self, data: bytes) -> None:
        lines = data.split(b"\n")
        if len(lines) == 1:
            self._rest += data
            return
        lines[0] = self._rest + lines[0]
        self._rest = lines.pop()
        if self._lines:
            lines = self._lines + lines
        position, end = 0, len(lines)
        while position < end:
            head = loads(lines[position].decode())
            texts: list[str] = []
            follow = len(head[8]) if head[0] == "o" else head[3] if head[0] == "i" else 0
            if type(follow) is not int or follow < 0:
                raise ValueError(f"no message has {follow!r} lines")
            if follow:
                after = position + 1 + follow
                if after > end:
                    break
                texts = [line.decode() for line in lines[position + 1 : after]]
                position = after
            else:
                position += 1
            self._message(head, texts)
        self._lines = lines[position:]


def outcome_of(head: list[Any], texts: list[str], lane: Lane, run: NodeRun, worker: str) -> Outcome:
    _, _, status, started, ended, cpu, memory, shape, outputs, _, error = head
    return Outcome(
        lane.execution, run.node, run.attempt, status, started, ended, cpu, memory, worker, shape,
        [(name, digest, size) for name, digest, size in outputs], texts,
        None if error is None else error_record(error, run),
    )  # fmt: skip


def error_record(error: dict[str, Any], run: NodeRun) -> ErrorRecord:
    return ErrorRecord(
        code=error["code"],
        error_type=error["error_type"],
        message=error["message"],
        node_id=run.node,
        traceback=error["traceback"],
        attempt=run.attempt,
        types=tuple(error["types"]),
        permanent=error["permanent"],
        exception=error.get("exception"),
    )
