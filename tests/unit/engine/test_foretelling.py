"""What the body of a replay hears before its execution is recorded, and what becomes of it then."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.bodies import ScriptedHost, Steps
from tests.support.conducting import SOON, Rig, args, over, value
from twingraph.core.bodies import Link, Opened, Page, PastCall
from twingraph.core.errors import StoreError
from twingraph.core.events import GraphClosed, GraphExtended, event_from
from twingraph.core.plan import NodeSpec
from twingraph.core.records import Changes, ErrorRecord
from twingraph.dispatch.base import Lane, NodeRun
from twingraph.engine.handle import Handle
from twingraph.engine.held import Kept, Submission
from twingraph.engine.recorded import Recorded
from twingraph.engine.replay import Earlier, earlier, keeping
from twingraph.engine.sizes import USUAL, Sizes
from twingraph.store.base import Append, Claim, NewExecution
from twingraph.store.sqlite.journal import SqliteJournal
from twingraph.store.sqlite.records import SqliteRecords

CALLS = 7
SMALL = USUAL._replace(begun_at_once=0, kept_page=2, past_page=3)


def act(lane: Lane, run: NodeRun) -> object:
    return sum(args(run).values()) + (10 if lane.settings.component == "last" else 1)


def sums(do: Steps, x: int) -> Generator[Any, Any, Any]:
    value: Any = x
    for _ in range(CALLS):
        value = yield do.call("one", value)
    return (yield do.call("last", value))


class Listening(ScriptedHost):
    """Notes how much was recorded when it heard of something, and may say something of its own meanwhile."""

    def __init__(self, rig: Rig, says: str = "") -> None:
        super().__init__(rig.conductor.link, **rig.bodies)
        self._rig, self.says = rig, says
        self.known: list[tuple[str, int]] = []

    def _note(self, what: str) -> None:
        records = SqliteRecords(self._rig.home)
        self.known.append((what, records.page()[1]))
        records.close()

    def open(self, opened: Opened) -> None:
        self._note("open")
        super().open(opened)

    def page(self, execution: str, scope: str, page: Page) -> None:
        self._note("last page" if page.last else "page")
        if (execution, scope) in self.running:  # what nobody knows is ignored
            super().page(execution, scope, page)
        says, self.says = self.says, ""
        if says:
            _SAYINGS[says](self, execution, self.link)


def name_specs(host: Listening, execution: str, link: Link) -> None:
    """As a real one does at the first call of each component; the first of these nobody ever needs."""
    named = host.specs.setdefault(execution, [])
    for name in ("nobody", "one", "last"):
        named.append(NodeSpec(component=name, entry=name))
        link.feed(execution, GraphExtended((), driven=True), None, (named[-1],))


def lose(host: Listening, execution: str, link: Link) -> None:
    """The process is gone with all that it was told."""
    host.running.clear()
    link.reopen(execution, "")


def fail(host: Listening, execution: str, link: Link) -> None:
    """Its code cannot be loaded."""
    host.running.clear()
    link.feed(execution, GraphClosed(error=ErrorRecord(code="x", error_type="X", message="cannot be loaded")), None)


_SAYINGS = {"specs": name_specs, "lost": lose, "failed": fail}


class Case:
    """One execution, and what a replay of it from its last call starts from. Each moment is over at once: whatever the
    host says is heard before the next page."""

    def __init__(self, path: Path, sizes: Sizes = SMALL) -> None:
        ticks = itertools.count()
        pace = lambda: float(next(ticks))  # noqa: E731 - shorter than a function would be
        self.host: ScriptedHost
        hosts = lambda execution, code: self.host  # noqa: E731
        self.rig = Rig(path, act, bodies={"sums": sums}, sizes=sizes, pace=pace, hosts=hosts)
        self.host = self.rig.host
        self.first = over(self.rig.drive("sums", {"x": 1}))
        recorded = Recorded(self.rig.records, self.first.id, self.rig.blobs)
        self.old: Earlier = earlier(recorded, Changes(anew=("last",)), repeats=True)
        assert self.old.repeated is not None
        assert len(self.old.repeated.nodes) == CALLS

    def submission(self) -> Submission:
        return Submission(
            id="exec-again",
            name="sums",
            body="sums",
            inputs={"x": "1"},
            settings=self.old.settings,
            workflow_id="flow",
            replay_of=self.old.execution,
            kept=self.old.kept,
            changes=self.old.changes,
            repeated=self.old.repeated,
        )

    def again(self, says: str = "") -> tuple[Listening, Handle]:
        self.host = host = Listening(self.rig, says)
        return host, over(self.rig.conductor.submit(self.submission()))


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    made = Case(tmp_path)
    with made.rig:
        yield made


def calls_of(host: ScriptedHost) -> list[str]:
    pages = [page for what, page in host.heard if what == "page"]
    return [past.node.id for page in pages for past in page.past if isinstance(past, PastCall)]


CALLED = ["one", *(f"one-{number}" for number in range(2, CALLS + 1))]


def check(case: Case, again: Handle) -> None:
    """Only the last call has run, and the journal says so in as few events as ever."""
    assert value(again) == value(case.first) == 1 + CALLS + 10
    rows = case.rig.records.rows(again.id)
    assert Counter(row.kind for row in rows) == {
        "created": 1, "graph_extended": 2, "outcomes_kept": 4, "node_ended": 1, "graph_closed": 1, "execution_ended": 1,
    }  # fmt: skip
    graphs = [event_from(row.kind, row.body) for row in rows if row.kind == "graph_extended"]
    assert [len(graph.nodes) for graph in graphs if isinstance(graph, GraphExtended)] == [CALLS, 1]


def test_the_body_hears_all_but_the_last_page_before_its_execution_is_recorded(case: Case) -> None:
    host, again = case.again()
    assert host.known == [("open", 1), *[("page", 1)] * 4, ("last page", 2)]
    assert calls_of(host) == CALLED
    check(case, again)


def test_what_it_hears_ahead_is_what_it_would_have_heard(case: Case) -> None:
    host, again = case.again()
    told = [ended for what, page in host.heard if what == "page" for ended in page.ended]
    case.rig.restart(act)
    recorded = Recorded(case.rig.records, again.id, case.rig.blobs)
    nodes = [recorded.state.nodes[name] for name in CALLED]
    assert [(one.node, one.order, one.outputs, list(one.texts)) for one in told] == [
        (node.id, node.order, node.outputs, [str(number)]) for number, node in enumerate(nodes, 2)
    ]


def test_specs_that_it_names_meanwhile_count(case: Case) -> None:
    host, again = case.again("specs")
    assert [what for what, _ in host.known].count("open") == 1
    check(case, again)


@pytest.mark.parametrize("says", ["lost", "failed"])
def test_a_body_that_is_gone_meanwhile_begins_again_with_all_of_it(case: Case, says: str) -> None:
    host, again = case.again(says)
    assert [what for what, _ in host.known].count("open") == 2
    assert host.known[-1] == ("last page", 2)
    assert calls_of(host)[-CALLS:] == CALLED
    check(case, again)


def test_what_is_not_recorded_is_stopped(case: Case) -> None:
    case.host = host = Listening(case.rig)
    handle = case.rig.conductor.submit(_refused(case))
    assert handle.wait(SOON)
    assert handle.fault is not None
    assert host.stopped == {"exec-refused": "it was not recorded"}
    assert not host.running
    check(case, case.again()[1])


def test_what_has_heard_ahead_is_stopped_when_its_conductor_ends(case: Case) -> None:
    host = Listening(case.rig)
    held: Any = SimpleNamespace(sizes=SMALL, values=SimpleNamespace(keep=lambda place, lines: None))
    next(case.rig.conductor._bodies.foretell(held, _refused(case), host))
    assert host.running
    case.rig.conductor.stop()
    assert host.stopped == {"exec-refused": "its conductor has ended"}


def _refused(case: Case) -> Submission:
    """Nobody knows the execution that it says it replays."""
    return replace(case.submission(), id="exec-refused", replay_of="exec-unknown")


def test_code_that_was_found_late_waits_for_its_execution(case: Case) -> None:
    repeated = case.old.repeated
    assert repeated is not None
    late = replace(repeated, specs=tuple(replace(spec, code="v2") for spec in repeated.specs))
    case.old = replace(case.old, repeated=late)
    host, _ = case.again()
    assert host.known[0] == ("open", 2)


class Noting(SqliteJournal):
    """What each of its transactions had of the replay; the disk is full before the one of this number."""

    def __init__(self, case: Case, full_before: int | None = None) -> None:
        super().__init__(case.rig.home)
        self._full_before = full_before
        self.written: list[list[str]] = []

    def _note(self, kinds: list[str]) -> None:
        if len(self.written) == self._full_before:
            raise StoreError("the disk is full; free some space and resume")
        self.written.append(kinds)

    def create(self, new: NewExecution, first: Append) -> Claim:
        self._note([row.kind for row in first.rows])
        return super().create(new, first)

    def append(self, batch: Sequence[Append]) -> set[int]:
        self._note([row.kind for part in batch for row in part.rows])
        return super().append(batch)


BEGUN = ["created", "graph_extended", *["outcomes_kept"] * 4]


@pytest.mark.parametrize("others", [{}, {"of a call that is not made": Kept(rows=[], given="-")}])
@pytest.mark.parametrize("rows", [1, 2, 4])
def test_what_it_begins_with_is_written_in_parts_before_anything_is_done(
    tmp_path: Path, rows: int, others: dict[str, Kept]
) -> None:
    case = Case(tmp_path, SMALL._replace(rows=rows))
    with case.rig:
        journal = Noting(case)
        case.rig.make_journal = lambda: journal
        case.rig.restart(act)
        known: list[int] = []

        class Last(Listening):
            def page(self, execution: str, scope: str, page: Page) -> None:
                if page.last:
                    known.append(sum(map(len, journal.written)))
                super().page(execution, scope, page)

        case.host = Last(case.rig)
        again = over(case.rig.conductor.submit(replace(case.submission(), kept={**case.old.kept, **others})))
        check(case, again)
        kept = BEGUN[2:]
        parts = [BEGUN[:2], *(kept[start : start + rows] for start in range(0, len(kept), rows))]
        assert journal.written[: len(parts)] == parts
        assert known == [len(BEGUN)]


@pytest.mark.parametrize("written", range(1, 5))
def test_whoever_takes_it_over_before_all_of_that_is_written_keeps_the_same(tmp_path: Path, written: int) -> None:
    case = Case(tmp_path, SMALL._replace(rows=1))
    with case.rig:
        journal = Noting(case, full_before=written)
        case.rig.make_journal = lambda: journal
        case.rig.restart(act)
        case.host = Listening(case.rig)
        assert isinstance(over(case.rig.conductor.submit(case.submission())).fault, StoreError)
        case.rig.conductor.stop()
        assert [kind for part in journal.written for kind in part] == BEGUN[: 1 + written]
        case.rig.make_journal = lambda: SqliteJournal(case.rig.home)
        case.rig.kept_of = lambda execution, *changes: keeping(
            Recorded(case.rig.records, execution, case.rig.blobs, by_and_by=True), *changes
        )
        ran: list[str] = []

        def noted(lane: Lane, run: NodeRun) -> object:
            ran.append(run.node)
            return act(lane, run)

        stopped = case.rig.record("exec-again")
        assert stopped.status == "running"
        assert stopped.started_at is not None
        case.rig.restart(noted)
        case.host = case.rig.host
        again = over(case.rig.conductor.adopt("exec-again"))
        assert value(again) == value(case.first)
        assert ran == ["last"]
