"""Blobs as files of a folder, mostly the home's: `<home>/blobs/ab/cdef...`.

A file with other bytes than its name says is set aside in `blobs/damaged`: then it counts as missing, and a resume runs
what made it again instead of meeting the same bytes for ever.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from twingraph.core.errors import DamagedError, NotFoundError, StoreError
from twingraph.core.hashing import hasher
from twingraph.core.recordclass import recordclass
from twingraph.store.blobs.base import KEY_NAME, KEY_SIZE, BlobInfo, BlobStore, BlobWriter, BytesLike, checked_key

_HASH = re.compile(r"[0-9a-f]{64}")
_TEMPORARY = "tmp"
_DAMAGED = "damaged"
_USERS = "users"
_GOING = "going-"  # a blob that prune is about to remove; whoever finds one that was left so brings it back
_STALE_SECONDS = 24 * 3600  # no writer takes a day; its process may live in another container, so its id says nothing
_PIECE = 1 << 20


@recordclass
class LocalBlobsOptions:
    """`sync`: wait for the disk at each put, so that a power cut loses nothing (durability = "full")."""

    sync: bool = False


class LocalBlobs(BlobStore):
    """Whole files only: each is written beside its place and moved into it in one step."""

    def __init__(
        self, home: Path | None, options: LocalBlobsOptions | None = None, *, folder: Path | None = None
    ) -> None:
        """In a home, or in a folder of any name."""
        if folder is None:
            assert home is not None
            folder = Path(home) / "blobs"
        self._root = folder
        self._options = options or LocalBlobsOptions()
        self._checked: set[str] = set()
        with _explained(f"blob folder {self._root}"):
            (self._root / _TEMPORARY).mkdir(parents=True, exist_ok=True)
        self._remove_stale()

    def writer(self) -> BlobWriter:
        return _LocalWriter(self._root, self._options)

    def read(self, digest: str) -> bytes:
        try:
            data = self._place(digest).read_bytes()
        except FileNotFoundError:
            raise _missing(digest) from None
        hashed = hasher()
        hashed.update(data)
        self._check(digest, hashed.hexdigest())
        return data

    def trust(self, digest: str) -> None:
        """The caller has just written this blob: it need not be read again to be checked."""
        self._checked.add(digest)

    def open(self, digest: str) -> BinaryIO:
        return self._verified(digest).open("rb")

    def path(self, digest: str) -> Path | None:
        return self._verified(digest)

    def exists(self, digest: str) -> bool:
        return self._place(digest).is_file()

    def refresh(self, digest: str) -> bool:
        with _explained(f"blob {digest}"):
            try:
                os.utime(self._place(digest))
            except FileNotFoundError:
                return False
        return True

    def delete(self, digest: str, *, before: datetime | None = None) -> bool:
        """In two steps, so that a refresh at this very moment either holds or is told that there is no such blob."""
        self._checked.discard(digest)
        place, going = self._place(digest), self._root / _TEMPORARY / f"{_GOING}{digest}"
        limit = before.timestamp() if before is not None else math.inf
        with _explained(f"blob {digest}"):
            try:
                if place.stat().st_mtime >= limit:
                    return False
                os.replace(place, going)
                if going.stat().st_mtime >= limit:
                    self._bring_back(going)
                    return False
                going.unlink()
            except FileNotFoundError:  # gone already, or somebody has just brought it back
                return not place.is_file()
        return True

    def _bring_back(self, going: Path) -> None:
        place = self._place(going.name.removeprefix(_GOING))
        with contextlib.suppress(FileNotFoundError, FileExistsError):  # what was put meanwhile is younger, and stays
            os.link(going, place)
        going.unlink(missing_ok=True)

    def check(self) -> str:
        import shutil

        with _explained(f"blob folder {self._root}"):
            free = shutil.disk_usage(self._root).free
            probe = self._root / _TEMPORARY / f"probe-{_new_name()}"
            probe.write_bytes(b"probe")
            found = probe.read_bytes()
            probe.unlink()
        if found != b"probe":
            raise StoreError(f"blob folder {self._root}: what was written is not what is read; check the disk")
        return f"{self._root} ({free / 1e9:,.1f} GB free)"

    def sign(self, user: str, words: str) -> None:
        fresh = self._root / _TEMPORARY / _new_name()
        with _explained(f"blob folder {self._root}"):
            (self._root / _USERS).mkdir(exist_ok=True)
            fresh.write_text(words, encoding="utf-8")
            os.replace(fresh, self._root / _USERS / user)

    def users(self) -> Mapping[str, str]:
        with _explained(f"blob folder {self._root}"):
            files = sorted((self._root / _USERS).glob("*"))
            return {file.name: file.read_text(encoding="utf-8", errors="replace") for file in files}

    def signature(self, user: str) -> str:
        return str(self._root / _USERS / user)

    def shared_key(self) -> bytes:
        place = self._root / KEY_NAME
        with _explained(f"the key of the workers, {place}, instead of which TWINGRAPH_WORKER_KEY may be set"):
            if not place.exists():
                self._make_key(place)
            return checked_key(place.read_bytes(), str(place))

    def _make_key(self, place: Path) -> None:
        """Whole, and never over the key of whoever was first."""
        fresh = self._root / _TEMPORARY / _new_name()
        try:
            _write_new(fresh, os.urandom(KEY_SIZE))
            with contextlib.suppress(FileExistsError):
                os.link(fresh, place)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            with contextlib.suppress(FileExistsError):  # a share without hard links
                _write_new(place, os.urandom(KEY_SIZE))
        finally:
            fresh.unlink(missing_ok=True)

    def list(self) -> Iterator[BlobInfo]:
        for folder in self._root.glob("[0-9a-f][0-9a-f]"):
            for file in folder.iterdir():
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    status = file.stat()
                    changed = datetime.fromtimestamp(status.st_mtime, UTC)
                    yield BlobInfo(hash=folder.name + file.name, size=status.st_size, time=changed)

    def _place(self, digest: str) -> Path:
        check_hash(digest)
        return self._root / digest[:2] / digest[2:]

    def _verified(self, digest: str) -> Path:
        place = self._place(digest)
        if digest in self._checked and place.is_file():
            return place
        try:
            found = _hash_of(place)
        except FileNotFoundError:
            raise _missing(digest) from None
        self._check(digest, found)
        self._checked.add(digest)
        return place

    def _check(self, digest: str, found: str) -> None:
        if found == digest:
            return
        self._checked.discard(digest)
        aside = self._set_aside(digest)
        where = f"is kept as {aside}" if aside else f"is {self._place(digest)}; delete it"
        raise DamagedError(
            f"blob {digest} is damaged: its file held other bytes and {where}; check the disk, then resume the "
            "execution: what made the value runs again"
        )

    def _set_aside(self, digest: str) -> Path | None:
        """Where the damaged file is from now on. A put may mend it at this very moment: what is whole goes back."""
        place, aside = self._place(digest), self._root / _DAMAGED / digest
        try:
            aside.parent.mkdir(exist_ok=True)
            os.replace(place, aside)
            if _hash_of(aside) == digest:
                os.replace(aside, place)
        except OSError:  # a read-only home, or another process was first
            return aside if aside.is_file() else None
        return aside

    def _remove_stale(self) -> None:
        limit = time.time() - _STALE_SECONDS
        for file in (self._root / _TEMPORARY).iterdir():
            with contextlib.suppress(OSError):  # another process was first, or still holds it open
                if file.name.startswith(_GOING):
                    self._bring_back(file)  # a prune that was killed; the next one decides anew
                elif file.stat().st_mtime < limit:
                    file.unlink()


class _LocalWriter(BlobWriter):
    def __init__(self, root: Path, options: LocalBlobsOptions) -> None:
        self._root = root
        self._options = options
        self._hash = hasher()
        self._temporary = root / _TEMPORARY / _new_name()
        with _explained(f"blob folder {root}"):
            self._file = self._temporary.open("xb")

    def write(self, data: BytesLike) -> int:
        with _explained(f"blob folder {self._root}"):
            self._file.write(data)
        self._hash.update(data)
        written = memoryview(data).nbytes
        self.size += written
        return written

    def commit(self) -> str:
        digest: str = self._hash.hexdigest()
        place = self._root / digest[:2] / digest[2:]
        with _explained(f"blob {digest}"):
            self._file.flush()
            if self._options.sync:
                os.fsync(self._file.fileno())
            self._file.close()
            place.parent.mkdir(exist_ok=True)
            try:
                os.replace(self._temporary, place)  # also mends a damaged one
            except PermissionError:
                # Windows replaces no file that somebody has mapped; the blob is there, only its time is refreshed
                if not place.is_file():
                    raise
                os.utime(place)
            if self._options.sync and os.name == "posix":
                _sync_folder(place.parent)
        return self._closed(digest)

    def _closed(self, digest: str) -> str:
        self.closed = True
        self._temporary.unlink(missing_ok=True)
        return digest

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            with contextlib.suppress(OSError):  # closing flushes, which fails again on a full disk
                self._file.close()
            with contextlib.suppress(OSError):
                self._temporary.unlink()


def is_hash(text: str) -> bool:
    return _HASH.fullmatch(text) is not None


def check_hash(digest: str) -> str:
    """It may come from outside and must not lead out of the folder."""
    if not is_hash(digest):
        raise NotFoundError(f"{digest[:80]!r} is not the hash of a blob")
    return digest


def _hash_of(file: Path) -> str:
    hashed = hasher()
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            hashed.update(piece)
    digest: str = hashed.hexdigest()
    return digest


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _missing(digest: str) -> NotFoundError:
    return NotFoundError(
        f"blob {digest} is not in this store; it was pruned, or it belongs to another home or TWINGRAPH_BLOB_URL"
    )


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreError(f"{what}: the disk is full; free space or move the home (TWINGRAPH_HOME)") from error
        raise StoreError(f"{what}: {error.strerror or error}") from error


def _write_new(place: Path, data: bytes) -> None:
    """FileExistsError when there is one. A power cut leaves no empty file in its place."""
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _new_name() -> str:
    return os.urandom(16).hex()
