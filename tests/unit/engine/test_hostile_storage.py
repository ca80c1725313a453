"""A disk that is full, a home that is taken away, bytes that rot: a clear error, and nothing recorded is lost."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.conducting import SOON, Rig, chain, fresh_home, hole, over, plan, wait_until
from twingraph.core.errors import ConflictError, DamagedError, HomeError, StoreError, TwinGraphError
from twingraph.core.plan import Edge, PlanNode
from twingraph.core.statuses import NodeStatus
from twingraph.dispatch.base import Outcome
from twingraph.engine import views
from twingraph.engine.handle import Handle
from twingraph.engine.sizes import Sizes
from twingraph.store.base import Journal
from twingraph.store.blobs.memory import MemoryBlobs
from twingraph.store.home import Home
from twingraph.store.locks import FileLock
from twingraph.store.sqlite.journal import SqliteJournal
from twingraph.store.sqlite.records import SqliteRecords


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "home") as made:
        yield made


def small(home: Home, pages: int) -> Journal:
    """A journal on a disk that has room for so many pages more."""
    journal = SqliteJournal(home)
    used = journal._db.execute("pragma page_count").fetchone()[0]
    journal._db.execute(f"pragma max_page_count = {used + pages}")
    return journal


@pytest.mark.parametrize("pages", [1, 2, 3, 5, 8])
def test_a_full_disk_stops_with_its_remedy_and_what_was_recorded_goes_on(tmp_path: Path, pages: int) -> None:
    with Rig(tmp_path / "home") as rig:
        rig.crash()
        rig.make_journal = lambda: small(rig.home, pages)
        rig.start()
        handle = rig.submit(chain(300), execution="exec-a")
        assert handle.wait(SOON)
        assert isinstance(handle.fault, StoreError)
        assert "the disk is full; free some space and resume" in str(handle.fault)
        recorded = {name for name, status in known(rig).items() if status is NodeStatus.COMPLETED}
        rig.make_journal = lambda: SqliteJournal(rig.home)
        rig.restart()
        again = over(rig.conductor.adopt("exec-a") if known(rig) else rig.submit(chain(300), execution="exec-a"))
        assert again.status == "completed"
        assert not recorded & {name for name, _ in rig.dispatch.begun}


def known(rig: Rig) -> dict[str, NodeStatus]:
    return rig.statuses("exec-a") if rig.records.newest() is not None else {}


def test_a_home_that_is_deleted_stops_what_runs_in_it(tmp_path: Path) -> None:
    with Rig(tmp_path / "home", hold=True) as rig:
        running = begun(rig)
        shutil.rmtree(rig.home.path)
        assert running.wait(SOON)
        assert isinstance(running.fault, HomeError)
        assert "was deleted while it was in use" in str(running.fault)
        wait_until(lambda: not rig.conductor.usable, "the conductor goes on")


def begun(rig: Rig) -> Handle:
    handle = rig.submit(chain(3))
    rig.dispatch.wait_for(1)
    return handle


def test_nothing_ends_or_begins_in_a_home_that_was_replaced(rig: Rig) -> None:
    over(rig.submit(chain(1)))
    rig.home.path.rename(rig.home.path.with_name("elsewhere"))
    fresh_home(rig.home.path).close()
    handle = rig.submit(chain(3))
    assert handle.wait(SOON)
    assert isinstance(handle.fault, HomeError)
    assert "was replaced" in str(handle.fault)
    wait_until(lambda: not rig.conductor.usable, "the conductor goes on")


def test_an_end_that_nobody_could_read_is_no_end(tmp_path: Path) -> None:
    """Between two looks at the home an execution may come to its end."""
    home = fresh_home(tmp_path / "home")
    with Rig(tmp_path / "home", lambda lane, run: shutil.rmtree(home.path, ignore_errors=True)) as rig:
        handle = rig.submit(chain(1))
        assert handle.wait(SOON)
        assert isinstance(handle.fault, HomeError)
    home.close()


def damage(database: Path, *pages: int) -> None:
    """Other bytes in these pages, as a bad disk leaves them."""
    connection = sqlite3.connect(database)
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    size = 4096
    with database.open("r+b") as file:
        for page in pages:
            file.seek(page * size)
            file.write(b"\xa5" * size)


def pages(home: Home) -> int:
    connection = sqlite3.connect(home.database)
    try:
        return int(connection.execute("pragma page_count").fetchone()[0])
    finally:
        connection.close()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_damaged_page_is_an_error_of_the_store_or_none(tmp_path: Path, share: float) -> None:
    with Rig(tmp_path / "home") as rig:
        over(rig.submit(chain(200), execution="exec-a"))
    damage(rig.home.database, int(pages(rig.home) * share))
    try:
        with Rig(tmp_path / "home") as again:
            views.view(again.records, again.blobs, "exec-a")
            handle = again.submit(chain(2))
            assert handle.wait(SOON)
            assert handle.fault is None or isinstance(handle.fault, TwinGraphError)
    except StoreError:
        pass


def test_what_reads_a_damaged_home_says_what_to_do(tmp_path: Path) -> None:
    home = fresh_home(tmp_path / "home")
    home.close()
    damage(home.database, *range(1, pages(home)))
    with pytest.raises(StoreError, match="restore a copy, or move it away"):
        SqliteRecords(home).page()


@pytest.mark.parametrize("_", range(5))
def test_of_many_that_adopt_at_once_one_does_and_the_others_are_refused(tmp_path: Path, _: int) -> None:
    with Rig(tmp_path / "home", hold=True) as rig:
        handle = begun(rig)
        rig.crash()
        together = threading.Barrier(4)

        def adopt(name: str) -> int | None:
            lock, journal = FileLock(rig.home.run / f"{name}.lock"), SqliteJournal(rig.home)
            lock.take()
            locks.append(lock)
            together.wait()
            try:
                return journal.claim(handle.id, name).epoch
            except ConflictError:
                return None
            finally:
                journal.close()

        locks: list[FileLock] = []
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(adopt, ("one", "two", "three", "four")))
        for lock in locks:
            lock.release()
        assert sorted(found, key=str) == [2, None, None, None]


def test_a_lock_file_of_the_dead_keeps_nothing(tmp_path: Path) -> None:
    with Rig(tmp_path / "home", hold=True) as rig:
        handle = begun(rig)
        left = rig.alive.path
        rig.crash()
        assert left.exists()
        rig.start()
        assert over(rig.conductor.adopt(handle.id)).status == "completed"


class Rotten(MemoryBlobs):
    def read(self, digest: str) -> bytes:
        raise DamagedError(f"blob {digest} is damaged")


LARGE = json.dumps({"$": "ref", "rung": "list", "hash": "0" * 64, "n": 3, "size": 99})


def test_a_value_that_rotted_fails_what_needs_it_and_nothing_else(tmp_path: Path) -> None:
    """The conductor itself looks into a large list when an element of it is passed on."""
    second = PlanNode(id="b", spec=0, edges=(Edge(source="a", param="x"),), args={"x": hole("a", index=1)})

    with Rig(tmp_path / "home", blobs=Rotten(), hold=True) as rig:
        handle = rig.submit(plan(PlanNode(id="a", spec=0), second))
        rig.dispatch.wait_for(1)
        given = {"shape": "plain", "outputs": [("output", "0" * 64, 99)], "texts": [LARGE]}
        rig.dispatch.tell(Outcome(handle.id, "a", 1, "completed", 1.0, 2.0, **given))  # type: ignore[arg-type]
        failed = over(handle)
        assert failed.error is not None
        assert (failed.status, failed.error.node_id) == ("failed", "b")
        assert "is damaged" in failed.error.message
        rig.dispatch.let_go()
        assert over(rig.submit(chain(2))).status == "completed"


def test_a_snapshot_that_nobody_can_read_is_done_without(tmp_path: Path) -> None:
    often = Sizes(snapshot_events=20, snapshot_events_per_node=0)
    with Rig(tmp_path / "home", hold=True, sizes=often) as rig:
        handle = rig.submit(chain(60))
        for number in range(50):
            rig.dispatch.let_one_go(f"n{number}")
        wait_until(lambda: rig.statuses(handle.id)["n49"] is NodeStatus.COMPLETED, "n49 is not over")
        rig.crash()
        connection = sqlite3.connect(rig.home.database)
        assert connection.execute("update snapshots set state = '{}'").rowcount == 1
        connection.commit()
        connection.close()
        rig.start()
        again = over(rig.conductor.adopt(handle.id))
        assert (again.fault, again.status) == (None, "completed")
        assert [name for name, _ in rig.dispatch.begun] == [f"n{number}" for number in range(50, 60)]
