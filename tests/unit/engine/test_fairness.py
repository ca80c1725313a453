"""No execution keeps another one's event waiting: what the loop does without a pause stays short, in CPU time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.conducting import Rig, chain, each, plan, task, wait_until
from twingraph.core.events import GraphClosed, GraphExtended, PauseRequested, ResumeRequested
from twingraph.core.plan import Argument, Edge, Hole, NodeKind, NodeSpec, PlanNode, Source, Template
from twingraph.core.records import Settings
from twingraph.dispatch.base import Lane, NodeRun, Outcome, Report
from twingraph.engine.sizes import Sizes

# A measure of time, which a busy machine and coverage stretch: it is taken by the long proofs.
pytestmark = pytest.mark.soak

MANY = 10_000
VERY_MANY = 100_000
WORDS_WAITING = 1_000
HASH = "0" * 32
# Twice what is promised: a machine that does other things counts some of it as ours.
MOST_SECONDS = 0.04


class TimedLoop(asyncio.SelectorEventLoop):
    """Remembers how long its turns took."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[float] = []

    def _run_once(self) -> None:
        began = time.thread_time()
        super()._run_once()  # type: ignore[misc]
        self.turns.append(time.thread_time() - began)


class PacedDispatch:
    """Carries out one lane a turn, as outcomes come from processes: not all at once."""

    def __init__(self, value: Callable[[NodeRun], Sequence[str]], *, hold: bool = False) -> None:
        self._value = value
        self._hold = hold
        self._lanes: deque[Lane] = deque()
        self._held: list[Lane] = []
        self._report: Callable[[Report], None]
        self.handed = 0

    async def start(self, report: Callable[[Report], None]) -> None:
        self._report = report

    def submit(self, lane: Lane) -> None:
        self.handed += len(lane.runs)
        if self._hold and lane.settings.entry == "held":
            self._held.append(lane)
        else:
            self._let_go(lane)

    def _let_go(self, lane: Lane) -> None:
        self._lanes.append(lane)
        asyncio.get_running_loop().call_soon(self._carry_out)

    def _carry_out(self) -> None:
        lane = self._lanes.popleft()
        for run in lane.runs:
            texts = self._value(run)
            outputs = [(str(at), HASH, len(text)) for at, text in enumerate(texts)]
            now = time.time()
            self._report(
                Outcome(
                    lane.execution,
                    run.node,
                    run.attempt,
                    "completed",
                    now,
                    now,
                    shape="plain",
                    outputs=outputs,
                    texts=texts,
                )
            )

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None: ...

    def cancel(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        """Whatever it was asked for."""
        while self._held:
            self._let_go(self._held.pop())

    async def stop(self) -> None: ...


class Loops(list[TimedLoop]):
    """Those that conductors were given."""

    def make(self) -> TimedLoop:
        self.append(TimedLoop())
        return self[-1]


@pytest.fixture
def loops() -> Iterator[Loops]:
    made = Loops()
    yield made
    worst = sorted(made[-1].turns)[-3:]
    print(f"the longest turns took {[round(turn * 1000, 1) for turn in worst]} ms")


def idle(do: Any) -> Generator[Any, Any, Any]:
    yield do.call("held", spec=NodeSpec(component="held", entry="held"))


def rig_of(path: Path, dispatch: PacedDispatch, loops: Loops) -> Rig:
    sizes = Sizes(words_waiting=WORDS_WAITING)
    rig = Rig(path / "home", bodies={"idle": idle}, make_loop=loops.make, sizes=sizes)
    rig.restart_with(dispatch)
    return rig


def longest(loop: TimedLoop) -> float:
    return sorted(loop.turns)[-2]  # one may hold a collection of garbage


def test_a_map_of_many_items_leaves_the_others_their_turns(tmp_path: Path, loops: Loops) -> None:
    items = [json.dumps(number) for number in range(MANY)]
    dispatch = PacedDispatch(lambda run: items if run.node == "m" else ["1"])
    with rig_of(tmp_path, dispatch, loops) as rig:
        handle = rig.submit(plan(task("a"), each("m", "a")), settings=Settings(max_parallel=10))
        assert handle.wait(50)
        assert handle.status == "completed"
        assert longest(loops[-1]) < MOST_SECONDS


@pytest.mark.parametrize("shape", ["wide", "chain"])
def test_a_large_workflow_begins_and_leaves_the_others_their_turns(tmp_path: Path, loops: Loops, shape: str) -> None:
    dispatch = PacedDispatch(lambda run: ["1"])
    of = chain(MANY) if shape == "chain" else plan(*(task(f"n{number}") for number in range(MANY)))
    with rig_of(tmp_path, dispatch, loops) as rig:
        handle = rig.submit(of, settings=Settings(max_parallel=10))
        assert handle.wait_recorded(30)
        assert longest(loops[-1]) < MOST_SECONDS
        rig.conductor.cancel(handle.id)
        assert handle.wait(30)
        assert longest(loops[-1]) < MOST_SECONDS


@pytest.mark.parametrize("limits", [{}, {"db": 1}], ids=["at once", "in line for a limit"])
def test_a_node_that_lets_many_begin_leaves_the_others_their_turns(
    tmp_path: Path, loops: Loops, limits: dict[str, int]
) -> None:
    dispatch = PacedDispatch(lambda run: ["1"])
    after = (PlanNode(id=f"n{number}", spec=1, edges=(Edge(source="first"),)) for number in range(2 * MANY))
    specs = NodeSpec(component="task", entry="task"), NodeSpec(component="task", entry="held", limits=limits)
    with rig_of(tmp_path, dispatch, loops) as rig:
        handle = rig.submit(plan(task("first"), *after, specs=specs), settings=Settings(max_parallel=10))
        wait_until(lambda: dispatch.handed > 1, "they do not begin", 60)
        for event, status in ((PauseRequested("a while"), "paused"), (ResumeRequested(), "running")):
            rig.conductor.feed(handle.id, event)
            wait_until(lambda status=status: rig.record(handle.id).status == status, f"it is not {status}", 30)  # type: ignore[misc]
        rig.conductor.cancel(handle.id)
        assert handle.wait(30)
        assert longest(loops[-1]) < MOST_SECONDS


def in_line(rig: Rig) -> int:
    """How many wait for a named limit."""
    return sum(len(waiting.queue_of) for waiting in list(rig.conductor._turns._granting._book._waiting.values()))


def test_a_hundred_thousand_in_line_for_a_limit_leave_the_others_their_turns(tmp_path: Path, loops: Loops) -> None:
    dispatch = PacedDispatch(lambda run: ["1"], hold=True)
    nodes = (PlanNode(id=f"n{number}", spec=0) for number in range(VERY_MANY))
    spec = NodeSpec(component="task", entry="held", limits={"db": 1})
    with rig_of(tmp_path, dispatch, loops) as rig:
        handle = rig.submit(plan(*nodes, specs=(spec,)))
        assert handle.wait_recorded(60)
        wait_until(lambda: in_line(rig) == VERY_MANY - 1, "they do not ask", 60)
        for event, waiting in ((PauseRequested("a while"), 0), (ResumeRequested(), VERY_MANY - 1)):
            rig.conductor.feed(handle.id, event)
            wait_until(lambda waiting=waiting: in_line(rig) == waiting, f"other than {waiting} wait", 60)  # type: ignore[misc]
        rig.conductor.cancel(handle.id)
        assert handle.wait(60)
        assert longest(loops[-1]) < MOST_SECONDS


def holding(rig: Rig) -> int:
    """How many hold a named limit."""
    with contextlib.closing(sqlite3.connect(rig.home.database)) as db:
        count: int = db.execute("select count(*) from limit_holders").fetchone()[0]
    return count


def test_tens_of_thousands_who_hold_a_limit_leave_the_others_their_turns(tmp_path: Path, loops: Loops) -> None:
    many = VERY_MANY // 2
    nodes = (PlanNode(id=f"n{number}", spec=0) for number in range(many))
    spec = NodeSpec(component="task", entry="held", limits={"db": many})
    with rig_of(tmp_path, PacedDispatch(lambda run: ["1"], hold=True), loops) as rig:
        handle = rig.submit(plan(*nodes, specs=(spec,)), settings=Settings(max_parallel=1))
        wait_until(lambda: holding(rig) == many, "they do not hold it", 60)
        rig.conductor.feed(handle.id, PauseRequested("a while"))
        wait_until(lambda: holding(rig) <= 4, "others than those that run hold it", 60)
        rig.conductor.feed(handle.id, ResumeRequested())
        wait_until(lambda: holding(rig) == many, "they do not hold it again", 60)
        rig.conductor.cancel(handle.id)
        assert handle.wait(60)
        assert holding(rig) == 0
        assert longest(loops[-1]) < MOST_SECONDS


def test_a_workflow_of_a_hundred_thousand_nodes_is_read_back_and_leaves_the_others_their_turns(
    tmp_path: Path, loops: Loops
) -> None:
    with rig_of(tmp_path, PacedDispatch(lambda run: ["1"], hold=True), loops) as rig:
        spec = NodeSpec(component="held", entry="held")
        nodes = (
            PlanNode(id=f"n{number}", spec=0, edges=(Edge(source=f"n{number - 1}", param="x"),) if number % 10 else ())
            for number in range(VERY_MANY)
        )
        handle = rig.submit(plan(*nodes, specs=(spec,)), settings=Settings(max_parallel=10))
        assert handle.wait_recorded(60)
        rig.restart_with(PacedDispatch(lambda run: ["1"], hold=True))
        again = rig.conductor.adopt(handle.id)
        assert again.wait_recorded(60)
        assert longest(loops[-1]) < MOST_SECONDS


def many_calls(rig: Rig, execution: str, entry: str = "held", count: int = MANY) -> None:
    """What a body in another thread says, as fast as it can."""
    spec = NodeSpec(component=entry, entry=entry)
    rig.conductor.link.feed(execution, GraphExtended((), driven=True), None, (spec,))
    for number in range(count):
        node = PlanNode(id=f"n{number}", spec=1)
        rig.conductor.link.feed(execution, GraphExtended((node,), driven=True), None)


def list_of(count: int) -> Argument:
    """The list of what as many calls give."""
    parts: list[str | Hole] = ["["]
    for number in range(count):
        parts += [Hole(sources=(Source(node=f"n{number}"),)), ","]
    return (*parts[:-1], "]")


def test_a_call_with_very_many_arguments_and_a_body_that_returns_as_many_leave_the_others_their_turns(
    tmp_path: Path, loops: Loops
) -> None:
    dispatch = PacedDispatch(lambda run: ["1"], hold=True)
    with rig_of(tmp_path, dispatch, loops) as rig:
        handle = rig.drive("idle", execution="exec-a", settings=Settings(max_parallel=10))
        many_calls(rig, "exec-a", "task", VERY_MANY)
        xs = list_of(VERY_MANY)
        edges = tuple(Edge(source=f"n{number}", param="xs") for number in range(VERY_MANY))
        for name in ("total", "again"):
            node = PlanNode(id=name, spec=1, edges=edges, args={"xs": xs})
            rig.conductor.link.feed("exec-a", GraphExtended((node,), driven=True), None)
        wait_until(lambda: dispatch.handed == VERY_MANY + 3, "not all are carried out", 120)
        rig.conductor.link.feed("exec-a", GraphClosed(result=xs), None)
        rig.conductor.link.ask_loop(lambda: dispatch.cancel("exec-a"))
        assert handle.wait(120)
        assert handle.status == "completed"
        assert longest(loops[-1]) < MOST_SECONDS


def test_a_template_of_very_many_nodes_leaves_the_others_their_turns(tmp_path: Path, loops: Loops) -> None:
    inner = Template(nodes=tuple(PlanNode(id=f"n{number}", spec=0) for number in range(VERY_MANY)), last_nodes=("n0",))
    with rig_of(tmp_path, PacedDispatch(lambda run: ["1"], hold=True), loops) as rig:
        spec = NodeSpec(component="task", entry="held")
        sub = PlanNode(id="s", kind=NodeKind.SCOPE, template="t")
        handle = rig.submit(plan(sub, specs=(spec,), templates={"t": inner}), settings=Settings(max_parallel=10))
        assert handle.wait_recorded(60)
        assert longest(loops[-1]) < MOST_SECONDS
        rig.restart_with(PacedDispatch(lambda run: ["1"], hold=True))
        again = rig.conductor.adopt(handle.id)
        assert again.wait_recorded(60)
        assert longest(loops[-1]) < MOST_SECONDS


def test_a_body_that_calls_without_end_is_heard_by_and_by(tmp_path: Path, loops: Loops) -> None:
    dispatch = PacedDispatch(lambda run: ["1"], hold=True)
    with rig_of(tmp_path, dispatch, loops) as rig:
        rig.drive("idle", execution="exec-a")
        wait_until(lambda: dispatch.handed == 1, "it does not begin")
        most = 0

        def look() -> None:
            nonlocal most
            while speaking.is_alive():
                most = max(most, len(rig.conductor.link._words))
                time.sleep(0.001)

        speaking = threading.Thread(target=many_calls, args=(rig, "exec-a"))
        speaking.start()
        look()
        wait_until(lambda: rig.record("exec-a").progress.total_nodes == MANY + 1, "not all were heard")
        assert most <= WORDS_WAITING + 1
        assert longest(loops[-1]) < MOST_SECONDS
        rig.restart_with(PacedDispatch(lambda run: ["1"], hold=True))
        again = rig.conductor.adopt("exec-a")
        assert again.wait_recorded(30)
        wait_until(lambda: bool(rig.host.running), "it is not opened again")
        wait_until(lambda: all(body.told for body in rig.host.running.values()), "its history does not come")
        assert longest(loops[-1]) < MOST_SECONDS


def test_many_open_calls_are_cancelled_by_and_by(tmp_path: Path, loops: Loops) -> None:
    dispatch = PacedDispatch(lambda run: ["1"], hold=True)
    with rig_of(tmp_path, dispatch, loops) as rig:
        handle = rig.drive("idle", execution="exec-a", settings=Settings(max_parallel=10))
        many_calls(rig, "exec-a")
        wait_until(lambda: rig.record("exec-a").progress.total_nodes == MANY + 1, "not all were heard", 60)
        rig.conductor.cancel("exec-a")
        assert handle.wait(30)
        assert handle.status == "cancelled"
        assert longest(loops[-1]) < MOST_SECONDS
