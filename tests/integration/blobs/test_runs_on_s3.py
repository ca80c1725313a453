"""Whole runs whose values lie on S3: they work, survive kills and failures, and record nothing that is not there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faulty_proxy import Fault, FaultyProxy
from tests.support.s3 import Endpoint, only_with_s3
from twingraph import Workflow, component
from twingraph.core import codec
from twingraph.errors import ExecutionFailed
from twingraph.settings import load
from twingraph.store.blobs.base import BlobStore
from twingraph.store.blobs.catalog import open_blobs
from twingraph.store.prune import Retention
from twingraph.wiring import close_all, open_reader
from twingraph.wiring.pruning import prune

pytestmark = only_with_s3
PROJECT = Path(__file__).parents[3]
FLOW = PROJECT / "tests" / "support" / "crash" / "flow.py"
COUNT = 40_000


@component
def large(count: int, mark: str) -> list[int]:
    """Leaves a mark for each time it ran."""
    Path(mark, uuid.uuid4().hex).touch()
    return list(range(count))


@component
def total(numbers: list[int]) -> int:
    return sum(numbers)


@component
def asks_s3() -> list[int]:
    import boto3

    boto3.session.Session().client("s3", region_name="us-east-1")
    return list(range(COUNT))


def workflow(folder: Path, count: int = COUNT, **options: object) -> Workflow:
    (folder / "marks").mkdir(exist_ok=True)
    made = Workflow("on-s3")
    made.add_component("large", large, count=count, mark=str(folder / "marks"), **options)
    made.add_component("total", total)
    return made.connect("large", "total", input="numbers")


class World:
    """A home whose values go through a proxy to S3."""

    def __init__(self, endpoint: Endpoint, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.endpoint, self.folder = endpoint, folder
        self.prefix = f"runs/{uuid.uuid4().hex}"
        self.proxy = FaultyProxy(endpoint.port)
        patch.setenv("TWINGRAPH_HOME", str(folder / "home"))
        patch.setenv("TWINGRAPH_BLOB_URL", endpoint.address(self.prefix, port=self.proxy.port, attempts=3))

    def stored(self) -> BlobStore:
        return open_blobs(self.endpoint.address(self.prefix, cache=self.folder / uuid.uuid4().hex))

    def referred_to(self) -> set[str]:
        """By all that is journaled."""
        reader = open_reader()
        found: set[str] = set()
        records, _ = reader.executions(limit=100)
        for record in records:
            for row in reader._records.rows(record.id):
                found.update(digest for line in (row.data or "").split("\n") if line for digest in codec.refs(line))
        reader.close()
        return found

    def marks(self) -> int:
        return len(list((self.folder / "marks").iterdir()))


@pytest.fixture
def world(s3: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(s3, tmp_path, monkeypatch)
    yield made
    close_all(wait=False)
    made.proxy.close()


def test_values_and_code_lie_in_the_bucket_and_nowhere_else(world: World) -> None:
    assert workflow(world.folder).run() == sum(range(COUNT))
    stored = {info.hash for info in world.stored().list()}
    assert world.referred_to() <= stored
    assert world.referred_to()
    assert [file for file in (world.folder / "home" / "blobs").rglob("*") if file.is_file()] == []


@pytest.mark.parametrize("asks", [False, True])
def test_what_boto_says_is_told_of_the_authors_own_client_alone(world: World, asks: bool) -> None:
    made = Workflow("says")
    if asks:
        made.add_component("n", asks_s3)
    else:
        made.add_component("n", large, count=COUNT, mark=str(world.folder))
    handle = made.submit()
    handle.result()
    reader = open_reader()
    said = [record.message for record in reader.logs(handle.id)]
    reader.close()
    assert [message for message in said if "Found credentials" in message] == said[: int(asks)]
    assert len(said) == int(asks)


def test_a_store_that_fails_for_a_while_costs_attempts_of_a_node(world: World) -> None:
    def plan(method: str, path: str, _: int) -> Fault | None:
        return Fault(refuse=True) if method == "PUT" and world.folder.joinpath("marks").exists() and fails() else None

    def fails() -> bool:
        return 1 <= world.marks() < 3

    world.proxy.plan = plan
    assert workflow(world.folder, retry_policy={"max_attempts": 4, "initial_delay": 0.01}).run() == sum(range(COUNT))
    assert world.marks() == 3


def test_a_store_that_stays_away_fails_the_node_and_records_nothing(world: World) -> None:
    world.proxy.plan = lambda method, *_: (
        Fault(refuse=True) if method == "PUT" and (world.folder / "marks").exists() and world.marks() else None
    )
    with pytest.raises(ExecutionFailed, match=rf"writing s3://blobs/{world.prefix}/.*failed 3 times"):
        workflow(world.folder).run()
    assert world.referred_to() == set()


def test_rotten_bytes_fail_what_needs_them_and_are_made_again(world: World) -> None:
    assert workflow(world.folder).run() == sum(range(COUNT))
    for digest in world.referred_to():
        world.endpoint.file(f"{world.prefix}/{digest[:2]}/{digest[2:]}").write_bytes(b"rotten")
    blobs = world.stored()
    for digest in world.referred_to():
        with pytest.raises(Exception, match="is damaged"):
            blobs.read(digest)
        assert not blobs.exists(digest)
    assert workflow(world.folder).run() == sum(range(COUNT))
    assert all(world.stored().read(digest) for digest in world.referred_to())


def test_prune_removes_objects_that_nothing_refers_to(world: World) -> None:
    workflow(world.folder).run()
    first = world.referred_to()
    kept = workflow(world.folder, count=COUNT + 1).submit()
    kept.result(timeout=30)
    close_all()
    for info in world.stored().list():
        os.utime(world.endpoint.file(f"{world.prefix}/{info.hash[:2]}/{info.hash[2:]}"), (0, 0))
    pruned = prune(load(), Retention(ended_before=1e12, keep=1), dry_run=False, progress=lambda *_: None)
    assert pruned.blobs >= len(first)
    left = {info.hash for info in world.stored().list()}
    assert world.referred_to() <= left
    assert left.isdisjoint(first)
    assert world.proxy.seen


@pytest.mark.parametrize("commits", [3, 9, 18])
def test_a_kill_between_blob_and_journal_loses_nothing(world: World, commits: int) -> None:
    """Outcomes of nodes have come, so that their blobs are there, and the commit that would tell of them never is."""
    effects = world.folder / "effects"
    for name in ("effects", "failed"):
        (world.folder / name).mkdir()
    environment = {**os.environ, "EFFECTS": str(effects), "TWINGRAPH_PROGRESS": "off"}

    def twingraph(point: str, number: int, *words: str) -> int:
        """Killed there, the so-many-th time."""
        command = [sys.executable, "-m", "tests.support.crash.victim", point, str(number), *words]
        return subprocess.run(command, cwd=PROJECT, env=environment, timeout=60, capture_output=True).returncode

    assert twingraph("before commit", commits, "run", f"{FLOW}:flow", "-i", "count=40") == -signal.SIGKILL
    stored = {info.hash for info in world.stored().list()}
    assert world.referred_to() <= stored
    assert twingraph("never", 1, "resume", "--all") == 0
    reader = open_reader(settings=load())
    assert reader.record(reader.resolve("last")).status == "completed"
    reader.close()
    assert world.referred_to() <= {info.hash for info in world.stored().list()}
