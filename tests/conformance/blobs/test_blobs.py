"""One suite for the promise of `store.blobs.base` on every maker."""

from __future__ import annotations

import os
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.s3 import Endpoint, only_with_s3
from twingraph.core.errors import NotFoundError
from twingraph.core.hashing import content_hash
from twingraph.store.blobs.base import BlobStore
from twingraph.store.blobs.catalog import open_blobs
from twingraph.store.blobs.local import LocalBlobs, LocalBlobsOptions
from twingraph.store.blobs.memory import MemoryBlobs


@pytest.fixture(
    params=["memory", "local", "local, synced", "folder", pytest.param("s3", marks=only_with_s3)],
)
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "memory":
        return MemoryBlobs()
    if request.param == "folder":
        return open_blobs(f"file://{tmp_path}/else where".replace(" ", "%20"))
    if request.param == "s3":
        endpoint: Endpoint = request.getfixturevalue("s3")
        return open_blobs(endpoint.address(f"suite/{uuid.uuid4().hex}", cache=tmp_path / "cache"))
    return LocalBlobs(tmp_path, LocalBlobsOptions(sync="synced" in request.param))


def test_users_sign_beside_the_blobs_and_are_none(blobs: BlobStore) -> None:
    assert blobs.users() == {}
    blobs.sign("a1", "the home /a")
    blobs.sign("b2", "the home /ü")
    blobs.sign("a1", "the home /moved")
    assert blobs.users() == {"a1": "the home /moved", "b2": "the home /ü"}
    assert "a1" in blobs.signature("a1")
    assert list(blobs.list()) == []


def test_who_shares_a_store_knows_one_key(blobs: BlobStore) -> None:
    with ThreadPoolExecutor(4) as threads:
        keys = {future.result() for future in [threads.submit(blobs.shared_key) for _ in range(4)]}
    assert len(keys) == 1, "whoever comes first makes it"
    assert len(keys.pop()) >= 32
    assert list(blobs.list()) == [], "it is no blob"


@pytest.mark.parametrize("data", [b"", b"abc", bytearray(b"x" * 100_000), memoryview(b"view")])
def test_what_is_put_is_read(blobs: BlobStore, data: bytes) -> None:
    digest = blobs.put(data)
    assert digest == content_hash(data)
    assert blobs.read(digest) == data
    assert blobs.exists(digest)
    with blobs.open(digest) as file:
        assert file.read() == data
    path = blobs.path(digest)
    assert path is None or path.read_bytes() == data


def test_pieces_make_one_blob(blobs: BlobStore) -> None:
    with blobs.writer() as writer:
        writer.write(b"ab")
        writer.write(b"c")
        assert blobs.put(b"abc") == writer.commit()
        assert writer.size == 3
    assert [info.hash for info in blobs.list()] == [content_hash(b"abc")]


def test_an_uncommitted_writer_leaves_nothing(blobs: BlobStore) -> None:
    with blobs.writer() as writer:
        writer.write(b"abc")
    assert not blobs.exists(content_hash(b"abc"))
    assert list(blobs.list()) == []


def test_put_refreshes_the_time(blobs: BlobStore) -> None:
    digest = blobs.put(b"abc")
    path = blobs.path(digest)
    if path is not None:
        os.utime(path, (0, 0))
    blobs.put(b"abc")
    (info,) = blobs.list()
    assert (info.hash, info.size) == (digest, 3)
    assert abs(datetime.now(UTC) - info.time) < timedelta(minutes=1)


def test_a_missing_blob_is_named(blobs: BlobStore) -> None:
    for digest in ("0" * 64, "../../etc/passwd"):
        with pytest.raises(NotFoundError, match=digest[:5]):
            blobs.read(digest)


def test_a_refresh_says_whether_it_is_there(blobs: BlobStore) -> None:
    digest = blobs.put(b"abc")
    assert blobs.refresh(digest)
    blobs.delete(digest)
    assert not blobs.refresh(digest)


def test_what_was_put_since_is_not_deleted(blobs: BlobStore) -> None:
    digest = blobs.put(b"abc")
    assert not blobs.delete(digest, before=datetime.now(UTC) - timedelta(minutes=1))
    assert blobs.read(digest) == b"abc"
    assert blobs.delete(digest, before=datetime.now(UTC) + timedelta(minutes=1))
    assert blobs.delete(digest, before=datetime.now(UTC) - timedelta(minutes=1))  # gone is gone
    assert not blobs.exists(digest)


def test_what_is_kept_for_code_stays_readable(blobs: BlobStore) -> None:
    digest = blobs.put(b"abc")
    path = blobs.keep(digest)
    assert path is None or path.read_bytes() == b"abc"


def test_a_check_says_where_it_is(blobs: BlobStore) -> None:
    assert blobs.check()
    assert list(blobs.list()) == []


def test_delete_is_idempotent(blobs: BlobStore) -> None:
    digest = blobs.put(b"abc")
    blobs.delete(digest)
    blobs.delete(digest)
    assert not blobs.exists(digest)


def test_many_writers_of_one_blob(blobs: BlobStore) -> None:
    threads = [threading.Thread(target=blobs.put, args=(b"z" * 200_000,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert blobs.read(content_hash(b"z" * 200_000)) == b"z" * 200_000
    assert len(list(blobs.list())) == 1
