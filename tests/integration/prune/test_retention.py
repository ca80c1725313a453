"""What prune takes away, and what it must not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.pruning import DAY, NOW, PruneBench
from twingraph.core import codec
from twingraph.core.errors import ConflictError, NotFoundError
from twingraph.engine import views
from twingraph.store.base import Append, LogRow, Row
from twingraph.store.prune import Retention
from twingraph.store.sqlite.journal import SqliteJournal


@pytest.fixture(params=["sqlite", "postgres"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PruneBench]:
    made = PruneBench(tmp_path / "home", None if request.param == "sqlite" else request.getfixturevalue("postgres"))
    yield made
    made.close()


def refs(text: str) -> list[str]:
    return list(codec.refs(text))


def large(word: str) -> list[str]:
    return [f"{word} {number}" for number in range(9_000)]


def test_old_executions_go_with_all_that_is_theirs(bench: PruneBench) -> None:
    text = bench.value(large("a"))
    bench.ended("exec-old", text)
    bench.ended("exec-new", age=1 * DAY)
    pruned = bench.prune()
    assert [one.id for one in pruned.executions] == ["exec-old"]
    assert bench.left() == {"exec-new"}
    assert bench.stored() == set()
    assert (pruned.blobs, pruned.rows) == (1, 3)
    assert (bench.count("events"), bench.count("logs")) == (1, 0)


def test_a_dry_run_says_the_same_and_does_nothing(bench: PruneBench) -> None:
    version, bundle = bench.code()
    bench.ended("exec-old", bench.value(large("a")), code_version=version)
    bench.ended("exec-new", age=1 * DAY)
    before = bench.left(), bench.stored(), bench.count("events"), bench.count("code")
    planned = bench.prune(dry_run=True)
    assert (bench.left(), bench.stored(), bench.count("events"), bench.count("code")) == before
    done = bench.prune()
    assert [one.id for one in planned.executions] == [one.id for one in done.executions]
    assert (planned.blobs, planned.blob_bytes, planned.code_versions) == (done.blobs, done.blob_bytes, 1)
    assert bundle not in bench.stored()


def test_the_newest_of_each_workflow_stay(bench: PruneBench) -> None:
    for number in range(6):
        bench.ended(f"exec-{number}", age=(50 - number) * DAY, workflow_id=f"flow-{number % 2}")
    bench.prune(keep=2)
    assert bench.left() == {"exec-2", "exec-3", "exec-4", "exec-5"}


def test_one_workflow_alone_is_pruned(bench: PruneBench) -> None:
    for name in ("a", "b", "c"):
        bench.ended(f"exec-{name}", workflow_id=name)
    bench.prune(workflow="b")
    assert bench.left() == {"exec-a", "exec-c"}


def test_the_newest_of_all_goes_at_once_with_its_number(bench: PruneBench) -> None:
    bench.ended("exec-a")
    bench.ended("exec-b")
    assert len(bench.prune().executions) == 2
    assert bench.left() == set()
    assert [bench.count(table) for table in ("events", "logs", "executions")] == [0, 0, 0]


def test_a_large_newest_stays_until_there_is_another(bench: PruneBench) -> None:
    """Its number would be given again while events of it are left."""
    bench.begin("exec-a")
    bench.add_many("exec-a", 1_100)
    bench.end("exec-a")
    pruned = bench.prune()
    assert (pruned.newest_stays, bench.left()) == (True, {"exec-a"})
    bench.ended("exec-b", age=1 * DAY)
    assert not bench.prune().newest_stays
    assert (bench.left(), bench.count("events")) == ({"exec-b"}, 1)


@pytest.mark.parametrize("status", ["running", "paused", "pending"])
def test_what_has_not_ended_stays_whatever_its_age(bench: PruneBench, status: str) -> None:
    text = bench.value(large("a"))
    bench.begin("exec-live", text)
    bench.change("exec-live", status=status, owner=None)
    bench.ended("exec-last")
    bench.prune(days=0)
    assert bench.left() == {"exec-live"}
    assert bench.is_readable("exec-live")


def test_what_a_kept_replay_replays_stays_over_several_steps(bench: PruneBench) -> None:
    bench.ended("exec-1")
    bench.ended("exec-2", replay_of="exec-1")
    bench.ended("exec-3", replay_of="exec-2", age=1 * DAY)
    bench.ended("exec-4")
    pruned = bench.prune()
    assert bench.left() == {"exec-1", "exec-2", "exec-3"}
    assert pruned.kept_for_others == 2


def test_a_replay_that_goes_takes_what_it_replayed_with_it(bench: PruneBench) -> None:
    bench.ended("exec-1")
    bench.ended("exec-2", replay_of="exec-1")
    bench.ended("exec-3")
    bench.prune()
    assert bench.left() == set()


def test_a_replay_of_a_doomed_replay_keeps_all_that_came_before(bench: PruneBench) -> None:
    """It begins after the plan was made, with all of them in one transaction."""
    bench.ended("exec-1")
    bench.ended("exec-2", replay_of="exec-1")
    bench.ended("exec-last")
    with closing(bench.store.prune()) as store:
        newest = store.newest()
        doomed = store.doomed(Retention(ended_before=NOW))
        bench.begin("exec-replay", replay_of="exec-2")
        store.remove([one.number for one in doomed], newest)
    assert bench.left() == {"exec-1", "exec-2", "exec-replay"}


def test_the_newest_of_all_goes_with_what_it_replays(bench: PruneBench) -> None:
    bench.ended("exec-1")
    bench.ended("exec-2", replay_of="exec-1")
    assert [one.id for one in bench.prune(dry_run=True).executions] == ["exec-2", "exec-1"]
    assert {one.id for one in bench.prune().executions} == {"exec-2", "exec-1"}
    assert bench.left() == set()


def test_a_detached_child_of_a_live_execution_stays(bench: PruneBench) -> None:
    bench.begin("exec-parent")
    bench.add("exec-parent", kind="detached_started", body=json.dumps(["child", "exec-child"]))
    bench.ended("exec-child")
    bench.ended("exec-last")
    bench.prune()
    assert "exec-child" in bench.left()


def test_shared_values_stay_while_anybody_refers_to_them(bench: PruneBench) -> None:
    text = bench.value(large("shared"))
    bench.ended("exec-old", text)
    bench.ended("exec-new", text, age=1 * DAY)
    bench.prune()
    assert bench.left() == {"exec-new"}
    assert bench.is_readable("exec-new")


def test_values_inside_moved_values_stay(bench: PruneBench) -> None:
    """A list in the store whose elements are themselves in the store, of another age."""
    inner = [b"x" * 70_000, b"y" * 70_000]
    text = bench.value([inner, *large("outer")])
    bench.ended("exec-new", text, age=1 * DAY)
    assert len(bench.stored()) == 3
    bench.prune()
    assert len(bench.stored()) == 3
    assert bench.is_readable("exec-new")


@pytest.mark.parametrize("place", ["inbox", "error", "artifact", "text in a text"])
def test_a_blob_is_kept_wherever_it_is_mentioned(bench: PruneBench, place: str) -> None:
    text = bench.value(large(place))
    bench.begin("exec-live")
    if place == "inbox":
        bench.records.post("exec-live", "signal", json.dumps({"name": "go", "value": text}))
    elif place == "error":
        bench.change("exec-live", error=json.dumps({"exception": text}))
    elif place == "artifact":
        line = LogRow(1.0, "info", "n", "c", 1, "artifact", f"report.html {refs(text)[0]} 12 bytes")
        claim = bench.claims["exec-live"]
        bench.journal.append([Append(number=claim.number, epoch=claim.epoch, logs=[line])])
    else:
        bench.add("exec-live", body=json.dumps([json.dumps({"exception": text})]))
    bench.prune()
    assert bench.stored() == set(refs(text))


def test_young_blobs_and_code_stay_though_nothing_mentions_them(bench: PruneBench) -> None:
    old, young = bench.value(large("old")), bench.value(large("young"), age=0.9 * DAY)
    old_code, young_code = bench.code(), bench.code(age=0.9 * DAY)
    bench.ended("exec-last")
    pruned = bench.prune()
    assert bench.stored() == {*refs(young), young_code[1]}
    assert refs(old)
    assert bench.journal.code(young_code[0]) is not None
    assert bench.journal.code(old_code[0]) is None
    assert pruned.code_versions == 1


def test_code_stays_while_an_execution_or_an_event_names_it(bench: PruneBench) -> None:
    own, late, nobodys = bench.code(), bench.code(), bench.code()
    bench.ended("exec-a", age=1 * DAY, code_version=own[0])
    bench.add("exec-a", kind="graph_extended", body=json.dumps([{"entry": "late", "code": late[0]}]))
    bench.prune()
    assert {own[1], late[1]} == bench.stored()
    assert [bench.journal.code(one[0]) is not None for one in (own, late, nobodys)] == [True, True, False]


def test_code_that_is_kept_again_is_young_again(bench: PruneBench) -> None:
    version, _ = bench.code()
    body = bench.journal.code(version)
    assert body is not None
    bench.journal.keep_code(version, body, NOW)
    bench.ended("exec-last")
    assert bench.prune().code_versions == 0


def test_plans_go_with_their_code(bench: PruneBench) -> None:
    version, _ = bench.code()
    bench.records.keep_plan(version, "body", "{}")
    bench.ended("exec-last")
    bench.prune()
    assert bench.records.plan(version, "body") is None


def test_a_replay_of_what_was_pruned_is_refused(bench: PruneBench) -> None:
    bench.ended("exec-old")
    bench.ended("exec-last")
    bench.prune()
    with pytest.raises(ConflictError, match="exec-old was pruned"):
        bench.begin("exec-replay", replay_of="exec-old")
    with pytest.raises(NotFoundError):
        bench.records.record("exec-old")


def test_a_replay_that_began_after_the_plan_keeps_its_origin(bench: PruneBench) -> None:
    bench.ended("exec-old")
    bench.ended("exec-other")
    bench.ended("exec-last")
    with closing(bench.store.prune()) as store:
        newest = store.newest()
        doomed = store.doomed(Retention(ended_before=NOW))
        assert {one.id for one in doomed} == {"exec-old", "exec-other", "exec-last"}
        bench.begin("exec-replay", replay_of="exec-old")
        assert store.remove([one.number for one in doomed], newest) == 2
    assert bench.left() == {"exec-old", "exec-replay"}


MARKS = "create table marks (scope text not null, work text not null, execution integer, primary key (scope, work))"


def test_rows_of_every_table_go_with_their_execution(bench: PruneBench) -> None:
    """Whoever adds a table with a column `execution` need not tell prune."""
    write: Callable[..., object]
    if isinstance(bench.journal, SqliteJournal):
        write, place = bench.journal._db.execute, "?"
        write(MARKS + " without rowid")
    else:
        write, place = bench.journal._link.connection().execute, "%s"
        write(MARKS)
    bench.ended("exec-a")
    bench.ended("exec-b", age=1 * DAY)
    numbers = [bench.claims[name].number for name in ("exec-a", "exec-b")]
    for work in range(300):
        write(f"insert into marks values ('', {place}, {place})", (str(work), numbers[work % 2]))
    bench.prune()
    assert bench.records._all("select execution, count(*) from marks group by execution") == [(numbers[1], 150)]


def test_who_looks_while_it_is_pruned_is_told_that_it_is_not_there(bench: PruneBench) -> None:
    """Between the record and the events."""
    bench.ended("exec-a")
    bench.ended("exec-b", age=1 * DAY)
    rows = bench.records.rows

    def pruned_meanwhile(execution: str, after: int = 0, *, values: bool = True) -> list[Row]:
        bench.prune()
        return rows(execution, after, values=values)

    bench.records.rows = pruned_meanwhile  # type: ignore[assignment, method-assign]
    with pytest.raises(NotFoundError, match="exec-a"):
        views.view(bench.records, bench.blobs, "exec-a")


def test_a_home_with_nothing_in_it(bench: PruneBench) -> None:
    pruned = bench.prune(days=0)
    assert (pruned.executions, pruned.rows, pruned.blobs) == ([], 0, 0)
