"""How a database is opened, and who waits for it how long."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.conducting import fresh_home
from twingraph.core.errors import StoreError
from twingraph.store.home import Home
from twingraph.store.sqlite.connection import connect, persistently
from twingraph.store.sqlite.journal import SqliteJournal
from twingraph.store.sqlite.records import SqliteRecords

NORMAL, FULL = 1, 2  # as SQLite numbers them


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with closing(fresh_home(tmp_path / "home")) as home:
        yield home


@pytest.mark.parametrize(("durability", "mode"), [("normal", NORMAL), ("full", FULL)])
def test_a_journal_waits_for_the_disk_as_its_durability_says(home: Home, durability: str, mode: int) -> None:
    with closing(SqliteJournal(home, durability=durability)) as journal:
        assert journal._db.execute("pragma synchronous").fetchone() == (mode,)
        assert journal._db.execute("pragma journal_mode").fetchone() == ("wal",)


def test_who_meets_another_writer_waits_until_it_is_through(home: Home) -> None:
    with closing(connect(home.database)) as writer, closing(connect(home.database)) as other:
        writer.execute("begin immediate")
        met = threading.Event()

        def write() -> sqlite3.Cursor:
            try:
                return other.execute("delete from inbox")
            except sqlite3.OperationalError:
                met.set()
                raise

        waits = threading.Thread(target=lambda: done.append(persistently(write, home.database).rowcount))
        done: list[int] = []
        waits.start()
        assert met.wait(20)
        assert not done
        writer.execute("commit")
        waits.join(20)
        assert done == [0]


def test_who_waits_too_long_says_for_what(home: Home) -> None:
    with closing(connect(home.database)) as writer, closing(connect(home.database)) as other:
        writer.execute("begin immediate")
        with pytest.raises(StoreError, match="another process has held it"):
            persistently(lambda: other.execute("delete from inbox"), home.database, patience=0.02)


def test_a_reader_meets_no_writer(home: Home) -> None:
    with closing(connect(home.database)) as writer, closing(connect(home.database)) as reader:
        writer.execute("begin immediate")
        assert reader.execute("select count(*) from executions").fetchone() == (0,)


def test_who_has_read_keeps_no_transaction_open(home: Home) -> None:
    """Else the log of the database could not be taken in, and grew as long as somebody follows."""
    with closing(connect(home.database)) as writer, closing(SqliteRecords(home)) as records:
        for read in (records.page, records.newest, lambda: records.rows("exec-1"), lambda: records.logs("exec-1")):
            read()
            writer.execute("delete from inbox")
            busy, *_ = writer.execute("pragma wal_checkpoint(truncate)").fetchone()
            assert not busy
