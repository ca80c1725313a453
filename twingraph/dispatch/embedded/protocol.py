"""The words between the pool and a worker; see `executors.worker` for their form."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twingraph.core.codec_base import UNREADABLE, CodecError, dumps, loads
from twingraph.core.events import OutputMeta
from twingraph.core.records import (
    as_error,
    as_output,
    as_text,
    as_text_or_none,
    check_amounts,
    check_counts,
    check_moments,
)
from twingraph.dispatch.base import ENDINGS, Lane, NodeRun, Outcome


def first_message(bundle: str, blobs: str, secret: bytes | None, sys_path: Iterable[str], projects: str = "") -> bytes:
    """The secret goes over the pipe: arguments and environment of a process can be read by others."""
    given = {"bundle": bundle, "blobs": blobs, "secret": secret.hex() if secret else "", "sys_path": list(sys_path)}
    given["projects"] = projects
    return (dumps(given) + "\n").encode("utf-8", "surrogatepass")


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
            if type(head) is not list:
                raise ValueError(f"{head!r} is no message")
            texts: list[str] = []
            follow = _lines_after(head)
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


def _lines_after(head: list[Any]) -> Any:
    """How many lines belong to a message."""
    kind = head[0]
    if kind == "o":
        return len(head[8])
    if kind == "i":
        return head[3]
    return len(head[2]) if kind == "p" else 0


def outputs_of(head: list[Any]) -> list[OutputMeta]:
    """Some outputs of a run that gives very many."""
    return [as_output(*output) for output in head[2]]


def outcome_of(head: list[Any], texts: list[str], lane: Lane, run: NodeRun, worker: str) -> Outcome:
    """Raises one of GARBLED unless every part is what it must be: whoever is told of it need look no more."""
    _, _, status, started, ended, cpu, memory, shape, outputs, written, error = head
    if status not in ENDINGS:
        raise ValueError(f"no run ends as {status!r}")
    check_moments(started, ended)
    check_amounts(cpu)
    out_end, err_end = written if written is not None else (0, 0)
    check_counts(memory, out_end, err_end)
    return Outcome(
        lane.execution, run.node, run.attempt, status, started, ended, cpu, memory, worker, as_text_or_none(shape),
        [as_output(*output) for output in outputs], texts,
        None if error is None else as_error(error, run.node, run.attempt),
    )  # fmt: skip


def items_of(head: list[Any]) -> tuple[int, float]:
    """The index of the first item that a generator hands over here, and when it began."""
    _, _, start, _, began = head
    check_counts(start)
    check_moments(began)
    return start, began


def lines_of(lines: list[Any]) -> list[tuple[float, str, str, str]]:
    """What a run has said."""
    found = [(at, as_text(level), as_text(stream), as_text(message)) for at, level, stream, message in lines]
    check_moments(*(line[0] for line in found))
    return found


def numbers_of(numbers: list[Any]) -> list[int]:
    """The runs that a worker gives back."""
    check_counts(*numbers)
    return numbers
