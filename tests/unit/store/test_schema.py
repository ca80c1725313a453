"""The schema: a fresh home and a migrated one are the same, and nothing in the middle harms."""

from __future__ import annotations

import itertools
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from twingraph.core.errors import HomeError, StoreError
from twingraph.store.home import Home
from twingraph.store.locks import FileLock
from twingraph.store.migrations.upgrade import upgrade
from twingraph.store.sqlite import schema
from twingraph.store.sqlite.schema import HEAD, KNOWN, create, current, prepare


def shape(path: Path) -> dict[str, object]:
    """Columns by table in their order, and indexes by name."""
    db = sqlite3.connect(path)
    try:
        tables = [row[0] for row in db.execute("select name from sqlite_master where type = 'table' order by name")]
        columns = {name: db.execute(f"pragma table_info({name})").fetchall() for name in tables}
        indexes = db.execute("select name, sql from sqlite_master where type = 'index' and sql is not null").fetchall()
    finally:
        db.close()
    columns.pop("alembic_version")
    return {**columns, "indexes": sorted(indexes)}


def is_free(home: Home) -> bool:
    alone = FileLock(home.path / "home.lock")
    try:
        return alone.take(wait=False)
    finally:
        alone.release()


def old_home(path: Path, at: str = "0001") -> Home:
    home = Home(path).open()
    upgrade(home.database, at)
    return home


def test_a_fresh_home_is_what_migrations_lead_to(tmp_path: Path) -> None:
    create(tmp_path / "fresh.db")
    upgrade(tmp_path / "old.db")
    assert shape(tmp_path / "fresh.db") == shape(tmp_path / "old.db")
    assert current(tmp_path / "fresh.db") == current(tmp_path / "old.db") == HEAD == KNOWN[-1]


@pytest.mark.parametrize("at", KNOWN[:-1])
def test_an_older_home_is_led_here_and_a_copy_stays(tmp_path: Path, at: str) -> None:
    home = old_home(tmp_path / "my home #1", at)
    prepare(home)
    assert current(home.database) == HEAD
    assert current(home.path / f"twingraph.{at}.db") == at
    home.close()


def test_a_home_that_somebody_uses_is_not_migrated_under_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = old_home(tmp_path)
    passing = itertools.count(0.0, 10.0)
    monkeypatch.setattr(schema, "time", SimpleNamespace(monotonic=lambda: next(passing), sleep=lambda _: None))
    late = Home(tmp_path).open()
    with pytest.raises(HomeError, match="needs a migration, but another process uses it"):
        prepare(late)
    assert current(user.database) == "0001"
    user.close()
    prepare(late)
    assert current(late.database) == HEAD
    late.close()


def test_a_newer_home_is_refused_and_let_go(tmp_path: Path) -> None:
    home = Home(tmp_path).open()
    create(home.database)
    db = sqlite3.connect(home.database)
    db.execute("update alembic_version set version_num = '9999'")
    db.commit()
    db.close()
    with pytest.raises(HomeError, match="newer TwinGraph"):
        prepare(home)
    assert is_free(home)


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    home = Home(tmp_path).open()
    home.database.write_bytes(b"something else entirely, and long enough to be looked at" * 20)
    with pytest.raises(StoreError, match="not a database"):
        prepare(home)
    assert is_free(home)


def test_a_file_that_was_just_begun_is_fresh(tmp_path: Path) -> None:
    home = Home(tmp_path).open()
    home.database.touch()
    prepare(home)
    assert current(home.database) == HEAD
    home.close()


OPEN = """
import sys
from pathlib import Path
from twingraph.store.home import Home
from twingraph.store.sqlite.schema import prepare
sys.stdin.readline()
home = Home(Path(sys.argv[1])).open()
prepare(home)
home.secret()
home.close()
"""


def test_ten_processes_make_one_fresh_home_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN, str(tmp_path / "home")]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(10)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=30)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 10, told
    assert current(tmp_path / "home" / "twingraph.db") == HEAD


# Kills itself at the n-th statement that SQLite carries out.
KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from twingraph.store.home import Home
from twingraph.store.sqlite import connection, schema
left = int(sys.argv[2])
def seen(statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
plain = sqlite3.connect
def connect(*args, **kwargs):
    made = plain(*args, **kwargs)
    made.set_trace_callback(seen)
    return made
sqlite3.connect = connect
sqlite3.dbapi2.connect = connect
home = Home(Path(sys.argv[1])).open()
schema.prepare(home)
"""


def killed_at(home: Path, statement: int) -> bool:
    done = subprocess.run([sys.executable, "-c", KILLED, str(home), str(statement)], capture_output=True, timeout=60)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode != 0


@pytest.mark.parametrize("statement", [1, 2, 4, 7, 9, 12, 16, 20])
def test_a_kill_while_it_is_made_leaves_a_usable_home(tmp_path: Path, statement: int) -> None:
    killed_at(tmp_path, statement)
    home = Home(tmp_path).open()
    prepare(home)
    assert current(home.database) == HEAD
    home.close()


@pytest.mark.parametrize("statement", [11, 14, 17, 20, 22, 24])
@pytest.mark.parametrize("at", KNOWN[:-1])
def test_a_kill_in_a_migration_leaves_a_usable_home(tmp_path: Path, at: str, statement: int) -> None:
    old_home(tmp_path, at).close()
    killed_at(tmp_path, statement)
    home = Home(tmp_path).open()
    prepare(home)
    create(tmp_path / "fresh.db")
    assert shape(home.database) == shape(tmp_path / "fresh.db")
    home.close()
