"""What a conductor on PostgreSQL does when its connection is lost: it goes on, and nothing is there twice."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.conducting import wait_until
from tests.support.cutting_proxy import CuttingProxy
from twingraph.core.errors import StoreError
from twingraph.store.base import Append, Claim, LogRow, NewExecution, Row
from twingraph.store.postgres.connection import connect
from twingraph.store.postgres.journal import PostgresJournal
from twingraph.store.postgres.store import PostgresStore


@pytest.fixture
def journal(postgres: str, through: str) -> Iterator[PostgresJournal]:
    journal = PostgresStore(f"{through}&application_name={schema_of(postgres)}").journal()
    yield journal
    journal.close()


def schema_of(postgres: str) -> str:
    return postgres.rpartition("%3D")[2]


def begun(journal: PostgresJournal, name: str = "exec-a") -> Claim:
    new = NewExecution(
        id=name, workflow_id="flow", name="flow", created_at=1.0, owner="one", origin="server", target=None,
        code_version=None,
    )  # fmt: skip
    return journal.create(new, Append(number=0, epoch=1, rows=rows(1), changes={"status": "running"}))


def rows(*numbers: int) -> list[Row]:
    return [Row(seq, "timer_fired", float(seq), f'{{"timer":"t{seq}"}}', None) for seq in numbers]


def part(claim: Claim, *numbers: int) -> Append:
    return Append(number=claim.number, epoch=claim.epoch, rows=rows(*numbers))


def written(url: str) -> list[int]:
    with connect(url) as connection:
        return [row[0] for row in connection.execute("select seq from events order by execution, seq")]


@pytest.mark.parametrize("reached", [True, False])
def test_a_batch_whose_answer_was_lost_is_written_once(
    postgres: str, proxy: CuttingProxy, journal: PostgresJournal, reached: bool
) -> None:
    claim = begun(journal)
    (proxy.cut_answer_to if reached else proxy.cut_before)(b"t3")
    assert journal.append([part(claim, 2, 3)]) == set()
    assert proxy.cuts == 1
    assert written(postgres) == [1, 2, 3]
    assert journal.append([part(claim, 4)]) == set()


@pytest.mark.parametrize("reached", [True, False])
def test_an_execution_whose_answer_was_lost_exists_once(
    postgres: str, proxy: CuttingProxy, journal: PostgresJournal, reached: bool
) -> None:
    (proxy.cut_answer_to if reached else proxy.cut_before)(b"exec-lost")
    claim = begun(journal, "exec-lost")
    assert proxy.cuts == 1
    assert journal.append([part(claim, 2)]) == set()
    assert written(postgres) == [1, 2]


@pytest.mark.parametrize("reached", [True, False])
def test_lines_of_logs_alone_are_there_once(
    postgres: str, proxy: CuttingProxy, journal: PostgresJournal, reached: bool
) -> None:
    claim = begun(journal)
    lines = [LogRow(float(n), "info", "a", "task", 1, "stdout", f"line {n}") for n in range(3)]
    (proxy.cut_answer_to if reached else proxy.cut_before)(b"line 2")
    assert journal.append([Append(number=claim.number, epoch=1, logs=lines)]) == set()
    with connect(postgres) as connection:
        assert connection.execute("select count(*) from logs").fetchone() == (3,)


def test_what_was_taken_over_while_the_connection_was_lost_is_refused(
    postgres: str, proxy: CuttingProxy, journal: PostgresJournal
) -> None:
    lost, kept = begun(journal), begun(journal, "exec-b")
    other = PostgresStore(postgres).journal()
    other.claim("exec-a", "two")
    other.close()
    proxy.cut_answer_to(b"t3")
    assert journal.append([part(lost, 2, 3), part(kept, 2, 3)]) == {lost.number}
    assert written(postgres) == [1, 1, 2, 3]


def test_a_session_that_the_server_ended_is_replaced(postgres: str, journal: PostgresJournal) -> None:
    claim = begun(journal)
    journal.changed()
    with connect(postgres) as connection:
        ended = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s"
        assert connection.execute(ended, (schema_of(postgres),)).fetchall() == [(True,)]
    assert journal.append([part(claim, 2)]) == set()
    assert written(postgres) == [1, 2]


def test_messages_that_came_while_nobody_listened_are_found(
    postgres: str, proxy: CuttingProxy, journal: PostgresJournal
) -> None:
    begun(journal)
    journal.changed()
    records = PostgresStore(postgres).records()
    proxy.cut_before(b"select data from events")
    records.post("exec-a", "pause", "{}")
    journal.data(1, 1)
    assert journal.changed()
    assert [message.kind for message in journal.messages("one")] == ["pause"]
    records.close()


def test_what_comes_with_the_answer_to_a_statement_is_heard_too(postgres: str) -> None:
    """Either way of asking, and from others alone."""
    store = PostgresStore(postgres)
    journal, records = store.journal(), store.records()
    claim = begun(journal)
    journal.changed()
    for ask in (lambda: journal.append([part(claim, 2)]), lambda: journal.data(claim.number, 1)):
        records.post("exec-a", "pause", "{}")
        ask()
        assert journal.changed()
        assert not journal.changed()
    journal.append([replace(part(claim, 3), freed=["a"])])
    assert not journal.changed()
    records.close()
    journal.close()


def test_a_journal_that_is_forgotten_leaves_no_connection(postgres: str) -> None:
    journal = PostgresStore(f"{postgres}&application_name={schema_of(postgres)}-forgotten").journal()
    with connect(postgres) as connection:
        count = "select count(*) from pg_stat_activity where application_name = %s"
        named = (f"{schema_of(postgres)}-forgotten",)
        assert connection.execute(count, named).fetchone() == (1,)
        del journal
        gc.collect()
        wait_until(lambda: connection.execute(count, named).fetchone() == (0,), "it is still open")


def test_a_database_that_forgot_what_it_had_confirmed_is_not_written_past(
    postgres: str, journal: PostgresJournal
) -> None:
    claim = begun(journal)
    journal.append([part(claim, 2)])
    with connect(postgres) as connection:
        connection.execute("delete from events where seq = 2")
        connection.execute("update executions set seq = 1")
    with pytest.raises(StoreError, match="does not have event 2"):
        journal.append([part(claim, 3)])
    assert written(postgres) == [1]
