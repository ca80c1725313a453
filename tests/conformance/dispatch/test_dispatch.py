"""One suite for the promise of `dispatch.base` on every maker."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.boxes import BoxExecutor
from twingraph.core.codec import encode
from twingraph.dispatch.base import (
    Begun,
    CodeRef,
    Dispatch,
    ItemsOut,
    Lane,
    NodeRun,
    Outcome,
    Report,
    Returned,
    RunSettings,
)
from twingraph.dispatch.embedded import EmbeddedPool, PoolOptions
from twingraph.dispatch.inline import InlineDispatch
from twingraph.dispatch.jobs import JobDispatch
from twingraph.dispatch.secrets import Resolving, Secrets
from twingraph.store.blobs.memory import MemoryBlobs
from twingraph.testing.dispatch import MemoryDispatch

CODE = """
import os, time

def double(x):
    return x * 2

def fail(x):
    raise LookupError("no %s" % x)

def hold(folder):
    while not os.path.exists(os.path.join(folder, "go")):
        time.sleep(0.005)
    return "went"

def count(to, fails_at=None):
    for number in range(to):
        if number == fails_at:
            raise LookupError("no %d" % number)
        yield {"number": number}

async def count_async(to):
    for number in range(to):
        yield {"number": number}

def unfit(to):
    loop = []
    loop.append(loop)
    for number in range(to):
        yield loop if number == 3 else number

def one_and_hold(folder):
    yield "first"
    yield hold(folder)
"""
ENTRIES = ("double", "fail", "hold", "count", "count_async", "unfit", "one_and_hold")


class Bench:
    """A maker's dispatch, what it reported and on which thread. Runs of `hold` wait until `go`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports: list[Report] = []
        self.threads: set[int] = set()
        self.dispatch: Dispatch
        self.code = write_code(folder)
        self._changed = asyncio.Event()
        self._lane = 0

    def take(self, report: Report) -> None:
        self.reports.append(report)
        self.threads.add(threading.get_ident())
        self._changed.set()

    def submit(
        self,
        entry: str,
        *nodes: str,
        execution: str = "e",
        attempt: int = 1,
        generator: bool = False,
        priority: int = 0,
        **args: Any,
    ) -> None:
        self._lane += 1
        texts = [(name, json.dumps(value)) for name, value in args.items()]
        runs = [NodeRun(node, attempt, texts) for node in nodes]
        settings = RunSettings(component=entry, entry=entry, generator=generator, priority=priority)
        self.dispatch.submit(Lane(number=self._lane, execution=execution, code=self.code, settings=settings, runs=runs))

    def hold(self, *nodes: str, execution: str = "e") -> None:
        self.submit("hold", *nodes, execution=execution, folder=str(self.folder))

    def go(self) -> None:
        (self.folder / "go").touch()
        if isinstance(self.dispatch, MemoryDispatch):
            self.dispatch.let_go()

    async def ended(self, *nodes: str) -> dict[str, Outcome]:
        return {node: (await self._ended(node)) for node in nodes}

    async def _ended(self, node: str) -> Outcome:
        async with asyncio.timeout(20):
            while True:
                for report in self.reports:
                    if isinstance(report, Outcome) and report.node == node:
                        return report
                self._changed.clear()
                await self._changed.wait()

    async def begun_giving(self) -> ItemsOut:
        """The first items."""
        async with asyncio.timeout(20):
            while True:
                for report in self.reports:
                    if isinstance(report, ItemsOut):
                        return report
                self._changed.clear()
                await self._changed.wait()

    def items(self, node: str, attempt: int = 1) -> list[Any]:
        """What a run gave, as far as nothing is missing or comes after its outcome or before its begin."""
        found: list[Any] = []
        begun = over = False
        for report in self.reports:
            if isinstance(report, ItemsOut | Begun | Outcome):
                if (report.node, report.attempt) != (node, attempt):
                    continue
                begun = begun or isinstance(report, Begun)
                over = over or isinstance(report, Outcome)
                if isinstance(report, ItemsOut):
                    assert begun
                    assert not over
                    assert report.start == len(found)
                    assert report.texts
                    found += map(json.loads, report.texts)
        return found

    async def returned(self, count: int) -> list[tuple[str, int]]:
        async with asyncio.timeout(20):
            while True:
                found = [run for report in self.reports if isinstance(report, Returned) for run in report.runs]
                if len(found) >= count:
                    return found
                self._changed.clear()
                await self._changed.wait()

    async def all_ended(self, count: int) -> Counter[tuple[str, str, int]]:
        """The endings, once so many runs have one. A maker may give back what waits too long behind another run."""
        async with asyncio.timeout(20):
            while len(self.endings()) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.endings()

    def endings(self) -> Counter[tuple[str, str, int]]:
        """How often each run ended."""
        found: Counter[tuple[str, str, int]] = Counter()
        for report in self.reports:
            if isinstance(report, Outcome):
                found[report.execution, report.node, report.attempt] += 1
            elif isinstance(report, Returned):
                found.update((report.execution, node, attempt) for node, attempt in report.runs)
        return found


def write_code(folder: Path) -> CodeRef:
    file = str(folder / "user_code.py")
    entry: dict[str, Any] = {"module": "user_code", "mode": "slice", "factory": None, "closure": {}, "file": file}
    module = {"text": CODE, "file": file, "package": False, "main": False}
    bundle = {
        "format": 1,
        "modules": {"user_code": module},
        "entries": {name: {**entry, "name": name} for name in ENTRIES},
    }
    path = folder / "bundle.json"
    path.write_text(json.dumps(bundle))
    return CodeRef(
        version="1",
        bundle_path=str(path),
        interpreter=sys.executable,
        working_dir=str(folder),
        sys_path=tuple(sys.path),
    )


def act(lane: Lane, run: NodeRun) -> object:
    """What the code does, in memory."""
    given = {name: json.loads(text) for name, text in run.args}
    if lane.settings.entry == "fail":
        raise LookupError(f"no {given['x']}")
    if lane.settings.entry in _GENERATORS:
        return _GENERATORS[lane.settings.entry](**given)
    return given["x"] * 2 if lane.settings.entry == "double" else "went"


def _count(to: int, fails_at: int | None = None) -> Iterator[object]:
    for number in range(to):
        if number == fails_at:
            raise LookupError(f"no {number}")
        yield {"number": number}


def _unfit(to: int) -> Iterator[object]:
    loop: list[object] = []
    loop.append(loop)
    for number in range(to):
        yield loop if number == 3 else number


_GENERATORS: dict[str, Callable[..., Iterator[object]]] = {"count": _count, "count_async": _count, "unfit": _unfit}


def memory(folder: Path) -> Dispatch:
    return MemoryDispatch(act, hold=True)


def embedded(folder: Path) -> Dispatch:
    return EmbeddedPool(PoolOptions(workers=2), str(folder), b"key")


def inline(folder: Path) -> Dispatch:
    return InlineDispatch(str(folder), b"key")


class _Provider:
    """Knows every secret, and has to be waited for."""

    name, waits = "slow", True

    def find(self, name: str) -> str | None:
        return f"the value of {name}"

    read = find

    def remedy(self, name: str) -> str:
        return ""

    def check(self) -> str:
        return ""


class _Naming(Resolving):
    """Every lane names a secret."""

    def submit(self, lane: Lane) -> None:
        settings = replace(lane.settings, environment={"TOKEN": "${secret:TOKEN}"})
        super().submit(replace(lane, settings=settings))


def secrets(folder: Path) -> Dispatch:
    return _Naming(embedded(folder), lambda: Secrets([_Provider()]))


def jobs(folder: Path) -> Dispatch:
    (folder / "boxes").mkdir()
    return JobDispatch(lambda: BoxExecutor(folder / "boxes", MemoryBlobs()), lambda execution: False, most=2)


MAKERS: dict[str, Callable[[Path], Dispatch]] = {
    "memory": memory,
    "embedded": embedded,
    "inline": inline,
    "secrets": secrets,
    "jobs": jobs,
}


@pytest_asyncio.fixture(params=list(MAKERS))
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    made.dispatch = MAKERS[request.param](tmp_path)
    await made.dispatch.start(made.take)
    yield made
    made.go()
    await made.dispatch.stop()


async def test_an_outcome_carries_its_outputs_as_texts(bench: Bench) -> None:
    bench.submit("double", "n", attempt=3, x=21)
    bench.go()
    outcome = (await bench.ended("n"))["n"]
    assert (outcome.execution, outcome.attempt, outcome.status, outcome.shape) == ("e", 3, "completed", "plain")
    assert [name for name, _, _ in outcome.outputs] == ["output"]
    assert list(outcome.texts) == ["42"]
    assert outcome.started is not None
    assert outcome.started <= outcome.ended


async def test_a_failure_names_the_class_and_all_its_bases(bench: Bench) -> None:
    bench.submit("fail", "n", x="key")
    bench.go()
    outcome = (await bench.ended("n"))["n"]
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.error_type) == ("user_error", "LookupError")
    assert outcome.error.message == "no key"
    assert {name.rpartition(".")[2] for name in outcome.error.types} >= {"LookupError", "Exception"}


async def test_every_run_of_a_lane_ends_once_whatever_becomes_of_the_others(bench: Bench) -> None:
    nodes = [f"n{number}" for number in range(64)]
    bench.submit("fail", "bad", x=1)
    bench.submit("double", *nodes, x=1)
    bench.go()
    assert set((await bench.all_ended(65)).values()) == {1}


async def test_reports_come_on_the_loop_alone(bench: Bench) -> None:
    bench.submit("double", "n", x=1)
    bench.go()
    await bench.ended("n")
    assert bench.threads == {threading.get_ident()}


async def test_what_is_recalled_comes_back_and_does_not_run(bench: Bench) -> None:
    bench.hold("first", *[f"n{number}" for number in range(5)])
    await asyncio.sleep(0)
    bench.dispatch.recall("e", ["n3", "n4"])
    assert {("n3", 1), ("n4", 1)} <= set(await bench.returned(2))
    bench.go()
    assert set((await bench.all_ended(6)).values()) == {1}
    outcomes = {report.node for report in bench.reports if isinstance(report, Outcome)}
    assert not outcomes & {"n3", "n4"}


async def test_a_cancel_ends_what_waits(bench: Bench) -> None:
    bench.hold("first", "second", "third")
    bench.dispatch.cancel("e", ["second", "third"])
    outcomes = await bench.ended("second", "third")
    assert {outcome.status for outcome in outcomes.values()} == {"cancelled"}
    bench.go()
    assert (await bench.ended("first"))["first"].status == "completed"


async def test_a_cancel_reaches_only_its_execution(bench: Bench) -> None:
    bench.hold("mine")
    bench.hold("theirs", execution="other")
    bench.dispatch.cancel("other")
    assert (await bench.ended("theirs"))["theirs"].status == "cancelled"
    bench.go()
    assert (await bench.ended("mine"))["mine"].status == "completed"


async def test_what_nobody_knows_is_not_reported(bench: Bench) -> None:
    bench.dispatch.cancel("unknown")
    bench.dispatch.recall("unknown")
    bench.dispatch.recall("e", ["unknown"])
    bench.submit("double", "n", x=1)
    bench.go()
    await bench.ended("n")
    assert list(bench.endings()) == [("e", "n", 1)]


async def test_after_a_stop_nothing_is_reported(bench: Bench) -> None:
    bench.hold("n")
    await bench.dispatch.stop()
    await bench.dispatch.stop()
    told = len(bench.reports)
    bench.go()
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(bench.reports) == told


@pytest.mark.parametrize("entry", ["count", "count_async"])
async def test_a_generator_gives_its_items_before_its_outcome_which_is_the_whole_list(bench: Bench, entry: str) -> None:
    bench.submit(entry, "n", generator=True, to=1000)
    bench.go()
    outcome = (await bench.ended("n"))["n"]
    everything = [{"number": number} for number in range(1000)]
    assert bench.items("n") == everything
    assert (outcome.status, outcome.shape) == ("completed", "plain")
    assert json.loads(outcome.texts[0]) == everything
    assert [tuple(meta) for meta in outcome.outputs] == [("output", *encode(everything)[1:])]


async def test_a_generator_that_gives_nothing_ends_with_an_empty_list(bench: Bench) -> None:
    bench.submit("count", "n", generator=True, to=0)
    bench.go()
    outcome = (await bench.ended("n"))["n"]
    assert list(outcome.texts) == ["[]"]
    assert [tuple(meta) for meta in outcome.outputs] == [("output", *encode([])[1:])]
    assert not any(isinstance(report, ItemsOut) for report in bench.reports)


async def test_what_was_given_before_a_failure_stays_and_the_next_attempt_begins_at_the_first(bench: Bench) -> None:
    bench.submit("count", "n", generator=True, to=5, fails_at=3)
    bench.go()
    outcome = (await bench.ended("n"))["n"]
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code, outcome.error.message) == ("failed", "user_error", "no 3")
    assert bench.items("n") == [{"number": number} for number in range(3)]
    bench.reports.clear()
    bench.submit("count", "n", attempt=2, generator=True, to=5)
    bench.go()
    await bench.ended("n")
    assert len(bench.items("n", attempt=2)) == 5


async def test_an_item_that_cannot_be_encoded_is_named(bench: Bench) -> None:
    bench.submit("unfit", "n", generator=True, to=5)
    bench.go()
    outcome = (await bench.ended("n"))["n"]
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code) == ("failed", "invalid_output")
    assert "output[3]" in outcome.error.message
    assert bench.items("n") == [0, 1, 2]


async def test_an_item_comes_while_the_generator_still_runs(bench: Bench) -> None:
    if isinstance(bench.dispatch, MemoryDispatch):
        return  # its runs take no time
    bench.submit("one_and_hold", "n", generator=True, folder=str(bench.folder))
    assert list((await bench.begun_giving()).texts) == ['"first"']
    assert not bench.endings()
    bench.go()
    assert json.loads((await bench.ended("n"))["n"].texts[0]) == ["first", "went"]
    assert bench.items("n") == ["first", "went"]


async def test_without_the_setting_a_generator_gives_only_its_list(bench: Bench) -> None:
    if isinstance(bench.dispatch, MemoryDispatch):
        return  # its runs give values and not generators
    bench.submit("count", "n", to=2)
    bench.go()
    assert json.loads((await bench.ended("n"))["n"].texts[0]) == [{"number": 0}, {"number": 1}]
    assert not any(isinstance(report, ItemsOut) for report in bench.reports)


async def test_the_more_important_does_not_wait_behind_what_has_not_begun(bench: Bench) -> None:
    lows = [f"low{number}" for number in range(30)]
    for node in lows:
        bench.hold(node)
    bench.submit("double", "urgent", x=1, priority=5)
    bench.go()
    await bench.all_ended(31)
    outcomes = [report for report in bench.reports if isinstance(report, Outcome)]
    taker = next(outcome.worker for outcome in outcomes if outcome.node == "urgent")
    order = [outcome.node for outcome in outcomes if outcome.worker == taker]  # how fast others are says nothing
    assert order.index("urgent") <= 2  # what runs, and one that was handed ahead of it
