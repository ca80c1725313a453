"""One suite for the promises of `store.base` on every maker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from twingraph.core.errors import ConflictError, NotFoundError, StoreError
from twingraph.core.execution import Progress
from twingraph.core.statuses import ExecutionStatus
from twingraph.store.base import Append, Claim, Journal, LogRow, NewExecution, Records, Row
from twingraph.store.base import Store as OpenStore
from twingraph.store.home import Home
from twingraph.store.postgres.store import PostgresStore
from twingraph.store.sqlite.store import SqliteStore
from twingraph.store.writable import without_zero


class Store(NamedTuple):
    journal: Journal  # of the conductor 'one'
    other: Journal  # of a second process
    records: Records
    begin: Callable[[str], Callable[[], None]]  # a conductor of this name lives, until what is given back is called


def opened(store: OpenStore) -> Store:
    return Store(store.journal(), store.journal(), store.records(), lambda name: store.begin(name).release)


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        made = opened(SqliteStore(Home(tmp_path / "home").open()))
    else:
        made = opened(PostgresStore(request.getfixturevalue("postgres")))
    yield made
    for part in (made.journal, made.other, made.records):
        part.close()


def new(name: str, at: float = 1_000.0, **more: object) -> NewExecution:
    fields = {"workflow_id": "flow", "owner": "one", "origin": "script", "target": None, "code_version": None, **more}
    return NewExecution(id=name, name="flow", created_at=at, **fields)  # type: ignore[arg-type]


def rows(first: int, count: int = 1) -> list[Row]:
    return [
        Row(seq, "timer_fired", float(seq), f'{{"timer":"{seq}"}}', f'"{seq}"') for seq in range(first, first + count)
    ]


def begun(store: Store, name: str = "exec-a", **more: object) -> Claim:
    first = Append(number=0, epoch=1, rows=rows(1, 2), changes={"status": "running"})
    return store.journal.create(new(name, **more), first)  # type: ignore[arg-type]


def part(claim: Claim, first: int, count: int = 1, **more: object) -> Append:
    return Append(number=claim.number, epoch=claim.epoch, rows=rows(first, count), **more)  # type: ignore[arg-type]


def test_what_is_created_is_there_with_its_first_events(store: Store) -> None:
    claim = begun(store)
    assert (claim.epoch, claim.seq) == (1, 2)
    record = store.records.record("exec-a")
    assert (record.status, record.seq, record.workflow_id) == (ExecutionStatus.RUNNING, 2, "flow")
    assert store.records.rows("exec-a") == rows(1, 2)


def test_an_id_is_given_once(store: Store) -> None:
    begun(store)
    with pytest.raises(StoreError):
        begun(store)
    assert store.records.page()[1] == 1


def test_several_are_created_at_once(store: Store) -> None:
    begun = [
        (new(name, code_version="v1", code_body="{}"), Append(number=0, epoch=1, rows=rows(1, count), changes={}))
        for name, count in (("exec-a", 1), ("exec-b", 6))
    ]
    claims = store.journal.create_all(begun)
    assert [claim.seq for claim in claims] == [1, 6]
    assert [store.records.rows(name) for name in ("exec-a", "exec-b")] == [rows(1, 1), rows(1, 6)]
    assert store.journal.append([part(claim, claim.seq + 1) for claim in claims]) == set()
    assert store.journal.code("v1") == "{}"


def test_of_several_none_is_created_when_one_cannot_be(store: Store) -> None:
    begun(store)
    first = Append(number=0, epoch=1, rows=rows(1))
    with pytest.raises(StoreError):
        store.journal.create_all([(new("exec-b"), first), (new("exec-a"), first)])
    assert store.records.page()[1] == 1


@pytest.mark.parametrize("count", range(1, 7))
def test_few_rows_are_written_as_many_are(store: Store, count: int) -> None:
    claim = begun(store)
    odd = [
        Row(seq, "node_ended", 0.1 + seq, '{"a":"\\"{}\\\\"}', None if seq % 2 else '"ü 🙂"\n""', seq - 1, "Ann")
        for seq in range(3, 3 + count)
    ]
    progress = {"total": 9, "completed": 1, "running": 2, "failed": 3, "skipped": 4}
    written = Append(number=claim.number, epoch=1, rows=odd, changes={"status": "paused", "reason": "so", **progress})
    assert store.journal.append([written]) == set()
    assert store.records.rows("exec-a", after=2) == odd
    record = store.records.record("exec-a")
    assert (record.status, record.reason, record.seq) == ("paused", "so", 2 + count)
    assert record.progress == Progress(**{f"{name}_nodes": value for name, value in progress.items()})


def test_what_is_not_changed_stays(store: Store) -> None:
    claim = begun(store)
    store.journal.append([Append(number=claim.number, epoch=1, changes={"total": 7, "reason": "so"})])
    store.journal.append([part(claim, 3, changes={"completed": 5})])
    store.journal.append([part(claim, 4)])
    record = store.records.record("exec-a")
    assert (record.progress.total_nodes, record.progress.completed_nodes, record.reason, record.seq) == (7, 5, "so", 4)


def test_appends_are_read_in_order_and_from_any_number_on(store: Store) -> None:
    claim = begun(store)
    assert store.journal.append([part(claim, 3, 5)]) == set()
    assert [row.seq for row in store.records.rows("exec-a", after=2)] == [3, 4, 5, 6, 7]
    assert store.records.rows("exec-a", after=6, values=False)[0].data is None
    assert [row.seq for row in store.records.rows("exec-a", after=2, limit=2)] == [3, 4]
    assert store.records.record("exec-a").seq == 7


def test_one_value_is_read_alone(store: Store) -> None:
    claim = begun(store)
    assert store.journal.data(claim.number, 2) == '"2"'
    assert store.journal.data(claim.number, 99) is None


def test_values_of_many_events_are_read_at_once(store: Store) -> None:
    claim = begun(store)
    store.journal.append([part(claim, 3, 5)])
    found = store.journal.data_of(claim.number, [6, 2, 99])
    assert found == {seq: store.journal.data(claim.number, seq) for seq in (2, 6)}
    assert store.journal.data_of(claim.number, []) == {}
    for one in (store.journal, store.records):
        assert one.values_of("exec-a", [6, 2, 99]) == found
        assert one.values_of("exec-nobody", [2]) == {}


def test_what_another_conductor_took_is_refused_and_the_rest_is_written(store: Store) -> None:
    lost, kept = begun(store), begun(store, "exec-b")
    taken = store.other.claim("exec-a", "two")
    assert store.journal.append([part(lost, 3), part(kept, 3)]) == {lost.number}
    assert [store.records.record(name).seq for name in ("exec-a", "exec-b")] == [2, 3]
    assert store.other.append([part(taken, 3)]) == set()


def test_a_refusal_also_holds_for_logs_alone(store: Store) -> None:
    lost = begun(store)
    store.other.claim("exec-a", "two")
    line = LogRow(1.0, "info", "a", "task", 1, "stdout", "late")
    assert store.journal.append([Append(number=lost.number, epoch=lost.epoch, logs=[line])]) == {lost.number}
    assert store.records.logs("exec-a") == []


def test_what_a_living_conductor_holds_is_not_given(store: Store) -> None:
    end = store.begin("one")
    begun(store)
    with pytest.raises(ConflictError, match="exec-a is held"):
        store.other.claim("exec-a", "two")
    end()
    assert store.other.claim("exec-a", "two").epoch == 2


def test_what_nobody_alive_holds_is_an_orphan_unless_it_pauses_or_is_over(store: Store) -> None:
    end = store.begin("one")
    claims = {name: begun(store, name, origin="server") for name in ("exec-a", "exec-b", "exec-c", "exec-d")}
    begun(store, "exec-script")
    changes = {"exec-b": {"status": "paused"}, "exec-c": {"status": "failed", "completed_at": 2.0, "owner": None}}
    store.journal.append([part(claims[name], 3, changes=change) for name, change in changes.items()])
    assert store.other.orphans("two", ["server"], 9) == []
    end()
    assert store.other.orphans("two", ["server", "dev"], 9) == ["exec-a", "exec-d"]
    assert store.other.orphans("two", ["server"], 1) == ["exec-a"]
    assert store.journal.orphans("one", ["server"], 9) == []
    store.begin("two")
    store.other.claim("exec-a", "two")
    store.journal.release([claims["exec-d"].number], "one")
    assert store.journal.orphans("one", ["server"], 9) == ["exec-d"]


def test_what_was_released_is_given_to_anybody(store: Store) -> None:
    end = store.begin("one")
    claim = begun(store)
    store.other.release([claim.number], "two")  # not his
    with pytest.raises(ConflictError):
        store.other.claim("exec-a", "two")
    store.journal.release([claim.number], "one")
    assert store.other.claim("exec-a", "two").seq == 2
    end()


def test_an_unknown_id_cannot_be_claimed(store: Store) -> None:
    with pytest.raises(NotFoundError, match="exec-none"):
        store.journal.claim("exec-none", "one")


def test_a_claim_tells_what_the_execution_was_started_from(store: Store) -> None:
    begun(store, "exec-0")
    begun(store, code_version="v1", code_body="{}", replay_of="exec-0")
    claim = store.other.claim("exec-a", "two")
    assert (claim.code_version, claim.replay_of) == ("v1", "exec-0")
    assert store.other.code("v1") == "{}"
    assert store.other.code("v2") is None


def test_loading_starts_from_the_newest_snapshot(store: Store) -> None:
    claim = begun(store)
    store.journal.append([part(claim, 3, snapshot="at 3", snapshot_seq=3)])
    store.journal.append([part(claim, 4, 2, snapshot="at 5", snapshot_seq=5), part(claim, 6)])
    snapshot, after = store.other.load(claim.number)
    assert (snapshot, [row.seq for row in after]) == ("at 5", [6])
    assert len(store.records.rows("exec-a")) == 6
    whole, rows_ = store.other.load(claim.number, snapshot=False)
    assert (whole, [row.seq for row in rows_]) == (None, [1, 2, 3, 4, 5, 6])


def test_without_a_snapshot_everything_is_loaded(store: Store) -> None:
    claim = begun(store)
    snapshot, after = store.journal.load(claim.number)
    assert (snapshot, [row.seq for row in after]) == (None, [1, 2])


def hears(journal: Journal) -> bool:
    """A server tells it in its own time, which is a moment."""
    deadline = time.monotonic() + 10
    while not journal.changed():
        if time.monotonic() > deadline:
            return False
    return True


def test_messages_reach_the_conductor_that_holds_it(store: Store) -> None:
    claim = begun(store)
    store.journal.changed()
    store.records.post("exec-a", "pause", "{}")
    store.records.post("exec-a", "cancel", "{}")
    assert hears(store.journal)
    while store.journal.changed():
        pass  # the second one is told apart from the first
    assert [message.kind for message in store.journal.messages("one")] == ["pause", "cancel"]
    assert store.journal.messages("two") == []
    assert store.journal.messages("one")[0].number == claim.number


def test_a_message_goes_with_the_commit_that_answers_it(store: Store) -> None:
    claim = begun(store)
    store.records.post("exec-a", "pause", "{}")
    (message,) = store.journal.messages("one")
    store.journal.append([part(claim, 3, taken=[message.id])])
    assert store.journal.messages("one") == []


def test_a_message_stays_when_its_answer_is_refused(store: Store) -> None:
    claim = begun(store)
    store.records.post("exec-a", "pause", "{}")
    (message,) = store.journal.messages("one")
    store.other.claim("exec-a", "two")
    store.journal.append([part(claim, 3, taken=[message.id])])
    assert [waiting.kind for waiting in store.other.messages("two")] == ["pause"]


def test_code_is_kept_beside_what_an_execution_began_with(store: Store) -> None:
    store.journal.keep_code("v2", "{}", 1.0)
    store.journal.keep_code("v2", "{}", 2.0)
    assert (store.other.code("v2"), store.other.code("v3")) == ("{}", None)


def test_how_an_execution_stands_depends_on_who_asks(store: Store) -> None:
    end = store.begin("one")
    begun(store)
    assert store.journal.standing("exec-a", "one") == ("running", False)
    assert store.other.standing("exec-a", "two") == ("running", True)
    end()
    assert store.other.standing("exec-a", "two") == ("running", False)
    assert store.other.standing("exec-b", "two") is None


def test_an_end_clears_messages_and_snapshots(store: Store) -> None:
    claim = begun(store)
    store.journal.append([part(claim, 3, snapshot="at 3", snapshot_seq=3)])
    store.records.post("exec-a", "pause", "{}")
    store.journal.append([part(claim, 4, changes={"status": "completed", "completed_at": 5.0})])
    assert store.journal.messages("one") == []
    assert store.journal.load(claim.number)[0] is None
    store.records.post("exec-a", "pause", "{}")
    assert store.journal.messages("one") == []


def test_half_a_surrogate_pair_is_written_readably(store: Store) -> None:
    claim = begun(store)
    row = Row(3, "timer_fired", 3.0, '{"timer":"\udc80"}', None)
    line = LogRow(1.0, "info", "a", "task", 1, "stdout", "\udc80!")
    store.journal.append([Append(number=claim.number, epoch=1, rows=[row], logs=[line])])
    assert store.records.rows("exec-a")[-1].body == '{"timer":"\\udc80"}'
    assert store.records.logs("exec-a")[0].message == "\\udc80!"


def test_the_list_is_newest_first_and_in_pages(store: Store) -> None:
    for number in range(5):
        begun(store, f"exec-{number}", at=1_000.0 + number, workflow_id="odd" if number % 2 else "even")
    page, total = store.records.page(limit=2, offset=1)
    assert ([record.id for record in page], total) == (["exec-3", "exec-2"], 5)
    assert [record.id for record in store.records.page(workflow_id="odd")[0]] == ["exec-3", "exec-1"]
    assert store.records.page(status=ExecutionStatus.FAILED) == ([], 0)
    assert store.records.newest() == "exec-4"


def test_what_a_body_started_aside_is_not_the_last_that_somebody_began(store: Store) -> None:
    begun(store, "exec-parent", at=1_000.0)
    begun(store, "exec-child", at=1_001.0, origin="detached")
    assert store.records.newest() == "exec-parent"
    begun(store, "exec-again", at=1_002.0, origin="detached", replay_of="exec-child")
    assert store.records.newest() == "exec-again"


def test_an_unknown_id_is_told_with_near_ones(store: Store) -> None:
    begun(store, "exec-abcd")
    with pytest.raises(NotFoundError) as told:
        store.records.record("exec-abce")
    assert told.value.near == ("exec-abcd",)


@pytest.mark.parametrize(
    ("owner_lives", "status", "shown"),
    [(True, "running", "alive"), (False, "running", "gone"), (False, "completed", "none")],
)
def test_the_list_says_whether_the_owner_lives(store: Store, owner_lives: bool, status: str, shown: str) -> None:
    end = store.begin("one") if owner_lives else None
    claim = begun(store)
    store.journal.append([part(claim, 3, changes={"status": status})])
    assert store.records.record("exec-a").owner == shown
    if end is not None:
        end()


@pytest.mark.parametrize(("status", "shown"), [("running", "gone"), ("paused", "none")])
def test_what_was_let_go_is_lost_unless_it_pauses(store: Store, status: str, shown: str) -> None:
    claim = begun(store)
    store.journal.append([part(claim, 3, changes={"status": status})])
    store.journal.release([claim.number], "one")
    assert store.records.record("exec-a").owner == shown


def logged(store: Store) -> None:
    claim = begun(store)
    levels = ("debug", "info", "warning", "error", "info")
    lines = [
        LogRow(float(place), level, f"n{place % 2}", "task", 1, "stdout", f"line {place}")
        for place, level in enumerate(levels)
    ]
    store.journal.append([Append(number=claim.number, epoch=1, logs=lines)])


def test_logs_come_in_pages(store: Store) -> None:
    logged(store)
    first = store.records.logs("exec-a", limit=2)
    rest = store.records.logs("exec-a", after=first[-1].seq)
    assert [line.message[-1] for line in first + rest] == list("01234")


def test_a_level_means_that_level_and_above(store: Store) -> None:
    logged(store)
    assert [line.level for line in store.records.logs("exec-a", level="warning")] == ["warning", "error"]


def test_logs_of_one_node_or_of_one_component(store: Store) -> None:
    logged(store)
    assert [line.message[-1] for line in store.records.logs("exec-a", node="n1")] == ["1", "3"]
    assert len(store.records.logs("exec-a", node="task")) == 5


def test_lines_of_some_attempts_of_a_node_come_as_they_were_written_in_pages(store: Store) -> None:
    claim = begun(store)
    at = 1_763_000_000.123456
    many = [LogRow(at + number, "info", "a", "task", 2, "stdout", f"line {number}") for number in range(1_001)]
    others = [LogRow(at, "info", node, "task", attempt, "stdout", "no") for node, attempt in (("a", 1), ("b", 2))]
    last = LogRow(at, "warning", "a", "task", 3, "stderr", "last\0")
    late = LogRow(at, "info", "a", "task", 4, "stdout", "late")
    store.journal.append([Append(number=claim.number, epoch=1, logs=[*others, *many, last, late])])
    first = store.journal.lines_of(claim.number, "a", (2, 3))
    rest = store.journal.lines_of(claim.number, "a", (2, 3), first[-1][0])
    found = [(line[1], line[2], without_zero(line[3])) for line in (*first, *rest)]
    assert found == [*((line.at, "stdout", line.message) for line in many), (at, "stderr", "last\\x00")]
    assert store.journal.lines_of(claim.number, "a", (2, 3), rest[-1][0]) == []


def test_a_plan_is_kept_per_code_and_body_and_the_first_stays(store: Store) -> None:
    records = store.records
    assert records.plan("v1", "m:flow") is None
    records.keep_plan("v1", "m:flow", "{}")
    records.keep_plan("v1", "m:flow", '{"name": "late"}')
    assert (records.plan("v1", "m:flow"), records.plan("v1", "m:other"), records.plan("v2", "m:flow")) == (
        "{}", None, None,
    )  # fmt: skip


def test_readers_find_the_code_too(store: Store) -> None:
    assert store.records.code("v1") is None
