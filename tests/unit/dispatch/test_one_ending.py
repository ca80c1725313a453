"""Whatever a process writes on the pipe of its worker: each run that it was given has exactly one ending."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from tempfile import TemporaryFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.foreign import spoiled_text, spoiled_tree
from tests.unit.dispatch.test_foreign_messages import ERROR, HEADS
from twingraph.dispatch.base import CodeRef, Lane, NodeRun, Outcome, Report, Returned, RunSettings
from twingraph.dispatch.embedded.options import PoolOptions
from twingraph.dispatch.embedded.pool import EmbeddedPool
from twingraph.dispatch.embedded.process import WorkerProcess
from twingraph.dispatch.spawner import Started
from twingraph.executors.marks import SIZE

NODES = ["a", "b", "c"]  # which the worker counts from 1
CODE = CodeRef(version="1", bundle_path="", interpreter="/no/such/interpreter", working_dir="")
GOOD = ["o", 1, "completed", 1.0, 2.0, 0.1, 99, "plain", [], [3, 4], None]
# Each is nearly right, and was taken, or half of it, before anybody saw what is wrong.
WRONG = {
    "times that are words": ["o", 1, "completed", "x", "y", 0, 0, None, [], None, None],
    "a time that cannot be": ["o", 1, "completed", 1e300, 2.0, 0.1, 99, None, [], None, None],
    "memory that is none": [*GOOD[:6], None, *GOOD[7:]],
    "an ending that is none": [*GOOD[:2], "splendid", *GOOD[3:]],
    "a shape that is a number": [*GOOD[:7], 7, *GOOD[8:]],
    "too few parts": GOOD[:-1],
    "one mark of the captured output": [*GOOD[:9], [3], None],
    "an output without a size": [*GOOD[:8], [["output", "0" * 64, None]], None, None],
    "half a character": ["o", 1, "failed", *GOOD[3:8], [], None, {**ERROR, "message": "\ud800"}],
    "an error in a number": ["o", 1, "failed", *GOOD[3:8], [], None, {**ERROR, "message": 7}],
    "a list among the runs that come back": ["r", [1, []]],
    "lines that are short": ["l", 1, [[1.0, "info"]]],
    "items from nowhere": ["i", 1, "x", 1, 1.5],
}


def _file() -> int:
    with TemporaryFile() as file:
        return os.dup(file.fileno())


class Forger:
    """A process that does nothing, and a pipe on which it can be made to say anything."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["sleep", "60"], start_new_session=True)
        incoming_end, incoming = os.pipe()
        outgoing, self.voice = os.pipe()
        life_end, life = os.pipe()
        shared, out, err = (_file() for _ in range(3))
        os.ftruncate(shared, SIZE)
        os.set_blocking(incoming, False)
        os.set_blocking(outgoing, False)
        self.kept = (incoming_end, life_end, self.voice)
        self.started = Started(self.process, incoming, outgoing, life, shared, (out, err), "no-such-mark")

    def end(self) -> None:
        if self.process.poll() is None:  # else it was waited for, and its number may be another's
            os.killpg(self.process.pid, signal.SIGKILL)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.0005)


async def played(data: bytes, *, beside: bool) -> list[Report]:
    """What the pool reports of three runs when their process says this, and is then ended from outside."""
    reports: list[Report] = []
    pool = EmbeddedPool(PoolOptions(workers=1), "", None)
    await pool.start(reports.append)
    forger = Forger()
    try:
        group = pool._staff.of(CODE)
        worker: WorkerProcess = pool.employ(group, forger.started)
        group.workers.append(worker)
        os.write(forger.voice, b'["h"]\n')
        await until(lambda: worker.is_ready)
        runs = [NodeRun(node, 1, []) for node in NODES]
        given = RunSettings(component="f", entry="f", asynchronous=beside)
        pool.submit(Lane(number=1, execution="e", code=CODE, settings=given, runs=runs))
        await until(lambda: len(worker.pending) == len(NODES))
        for strand in worker.strands:
            strand.marks.begin(1, time.time())
        os.write(forger.voice, data)
        await asyncio.sleep(0.001)
        forger.end()
        await until(lambda: worker not in group.workers)
        # What came back without having begun waits for another process, until it is seen that none can be started.
        await until(lambda: endings(reports).total() >= len(NODES))
    finally:
        forger.end()
        await pool.stop()
        for descriptor in forger.kept:
            os.close(descriptor)
    return reports


def endings(reports: list[Report]) -> Counter[str]:
    ended = [report.node for report in reports if isinstance(report, Outcome)]
    return Counter(ended + [node for report in reports if isinstance(report, Returned) for node, _ in report.runs])


@settings(max_examples=40)
@given(
    st.lists(
        st.one_of(
            spoiled_tree([json.dumps(head) for head in [*HEADS, *WRONG.values()]]),
            spoiled_text([json.dumps(HEADS[4])]),
            st.sampled_from([json.dumps(head) for head in HEADS]),
        ),
        max_size=5,
    ),
    st.booleans(),
)
def test_each_run_has_one_ending(lines: list[str], beside: bool) -> None:
    data = "".join(f"{line}\n1\n" for line in lines).encode("utf-8", "surrogatepass")
    assert endings(asyncio.run(played(data, beside=beside))) == Counter(NODES)


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("head", WRONG.values(), ids=WRONG.keys())
def test_a_message_with_one_wrong_part_is_charged_to_who_ran(head: list[object], beside: bool) -> None:
    lines = [head] if head[0] != "i" else [head, 1]
    data = "".join(f"{json.dumps(line)}\n" for line in lines) + ("1\n" if head[8:9] not in ([], [[]]) else "")
    reports = asyncio.run(played(data.encode(), beside=beside))
    assert endings(reports) == Counter(NODES)
    (outcome,) = (report for report in reports if isinstance(report, Outcome))
    assert (outcome.node, outcome.status) == ("a", "crashed")
    assert outcome.error is not None
    assert "file descriptors that are not its own" in outcome.error.message


def test_a_message_without_fault_is_taken() -> None:
    reports = asyncio.run(played(json.dumps(GOOD).encode() + b"\n", beside=False))
    first = next(report for report in reports if isinstance(report, Outcome))
    assert (first.node, first.status, first.ended) == ("a", "completed", 2.0)
