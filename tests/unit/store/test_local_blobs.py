"""What only files can do wrong: rot, fill the disk, outlive their writer."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from twingraph.core.errors import DamagedError, StoreError
from twingraph.store.blobs.local import LocalBlobs


def rotten(home: Path) -> tuple[LocalBlobs, str]:
    digest = LocalBlobs(home).put(b"abc")
    (home / "blobs" / digest[:2] / digest[2:]).write_bytes(b"abX")
    return LocalBlobs(home), digest


@pytest.mark.parametrize("way", ["read", "path", "open"])
def test_rotten_bytes_are_named_and_set_aside(tmp_path: Path, way: str) -> None:
    blobs, digest = rotten(tmp_path)
    with pytest.raises(DamagedError, match=f"{digest} is damaged"):
        getattr(blobs, way)(digest)
    assert not blobs.exists(digest)
    assert (tmp_path / "blobs" / "damaged" / digest).read_bytes() == b"abX"
    assert list(blobs.list()) == []


def test_what_was_mended_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs, digest = rotten(tmp_path)
    plain = os.replace

    def replace(source: Path, target: Path) -> None:
        if target.parent.name == "damaged":
            monkeypatch.undo()
            LocalBlobs(tmp_path).put(b"abc")
        plain(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(DamagedError):
        blobs.read(digest)
    assert blobs.read(digest) == b"abc"


def test_a_put_mends_a_rotten_blob(tmp_path: Path) -> None:
    blobs, digest = rotten(tmp_path)
    blobs.put(b"abc")
    assert blobs.read(digest) == b"abc"


def test_only_old_temporary_files_are_removed(tmp_path: Path) -> None:
    LocalBlobs(tmp_path)
    old, new = tmp_path / "blobs" / "tmp" / "old", tmp_path / "blobs" / "tmp" / "new"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    LocalBlobs(tmp_path)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_blob_that_a_killed_prune_was_about_to_remove_comes_back(tmp_path: Path) -> None:
    digest = LocalBlobs(tmp_path).put(b"abc")
    place = tmp_path / "blobs" / digest[:2] / digest[2:]
    os.replace(place, tmp_path / "blobs" / "tmp" / f"going-{digest}")
    assert LocalBlobs(tmp_path).read(digest) == b"abc"
    assert list((tmp_path / "blobs" / "tmp").iterdir()) == []


def test_what_was_put_meanwhile_keeps_its_time(tmp_path: Path) -> None:
    digest = LocalBlobs(tmp_path).put(b"abc")
    going = tmp_path / "blobs" / "tmp" / f"going-{digest}"
    going.write_bytes(b"abc")
    os.utime(going, (0, 0))
    (info,) = LocalBlobs(tmp_path).list()
    assert info.time.year > 2000
    assert not going.exists()


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = LocalBlobs(tmp_path)

    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreError, match="the disk is full"):
        blobs.put(b"abc")
    assert list((tmp_path / "blobs" / "tmp").iterdir()) == []


@pytest.mark.parametrize("left", [b"", b"short"])
def test_a_key_that_is_not_whole_is_never_used(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "workers.key").write_bytes(left)
    with pytest.raises(StoreError, match=r"workers\.key, the key of the workers, is damaged .* TWINGRAPH_WORKER_KEY"):
        LocalBlobs(None, folder=tmp_path).shared_key()


def test_a_key_is_made_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*places: object) -> None:
        raise PermissionError(errno.EPERM, "this share has none")

    monkeypatch.setattr(os, "link", refuse)
    blobs = LocalBlobs(None, folder=tmp_path)
    assert len(blobs.shared_key()) == 32
    assert blobs.shared_key() == LocalBlobs(None, folder=tmp_path).shared_key()
    assert list((tmp_path / "tmp").iterdir()) == []
