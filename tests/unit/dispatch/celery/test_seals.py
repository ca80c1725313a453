"""Whose word a worker takes: of those that share its key, its blob store or its home."""

from __future__ import annotations

from pathlib import Path

from twingraph.dispatch.celery.signing import ForgedError, Seal
from twingraph.dispatch.celery.worker import seal_of
from twingraph.settings import load
from twingraph.store.blobs.catalog import open_blobs
from twingraph.store.blobs.settled import blob_address
from twingraph.store.home import Home


def seal(folder: Path, home: str, **environ: str) -> Seal:
    settings = load(environ={"HOME": str(folder), "TWINGRAPH_HOME": str(folder / home), **environ}, folder=folder)
    opened = Home(Path(settings.home)).open()
    try:
        return seal_of(settings, opened, open_blobs(blob_address(settings, opened)))
    finally:
        opened.close()


def agree(one: Seal, other: Seal) -> bool:
    try:
        return other.check("lane", "text", one.sign("lane", "text")) == "text"
    except ForgedError:
        return False


def test_who_shares_a_home_needs_no_key(tmp_path: Path) -> None:
    assert agree(seal(tmp_path, "one"), seal(tmp_path, "one"))
    assert not agree(seal(tmp_path, "one"), seal(tmp_path, "two"))


def test_who_shares_a_blob_store_needs_no_key(tmp_path: Path) -> None:
    shared = {"TWINGRAPH_BLOB_URL": f"file://{tmp_path}/blobs"}
    assert agree(seal(tmp_path, "one", **shared), seal(tmp_path, "two", **shared))
    assert not agree(seal(tmp_path, "one", **shared), seal(tmp_path, "one"))


def test_a_key_of_the_settings_goes_before(tmp_path: Path) -> None:
    shared = {"TWINGRAPH_BLOB_URL": f"file://{tmp_path}/blobs"}
    ours = seal(tmp_path, "one", TWINGRAPH_WORKER_KEY="a key of their own", **shared)
    assert not (tmp_path / "blobs" / "workers.key").exists()
    assert agree(ours, seal(tmp_path, "two", TWINGRAPH_WORKER_KEY="a key of their own"))
    assert not agree(ours, seal(tmp_path, "one", **shared))
