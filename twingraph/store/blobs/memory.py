"""Blobs in memory: the double for tests, and the store of runs that keep nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from twingraph.core.errors import NotFoundError
from twingraph.core.hashing import content_hash
from twingraph.store.blobs.base import KEY_SIZE, BlobInfo, BlobStore, BlobWriter, BytesLike


class MemoryBlobs(BlobStore):
    """A dict of bytes. Threads are safe because each step is one operation on the dict."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._blobs: dict[str, tuple[bytes, datetime]] = {}
        self._users: dict[str, str] = {}
        self._key = os.urandom(KEY_SIZE)

    def writer(self) -> BlobWriter:
        return _MemoryWriter(self._blobs, self._now)

    def read(self, digest: str) -> bytes:
        try:
            return self._blobs[digest][0]
        except KeyError:
            raise NotFoundError(f"blob {digest} is not in this store") from None

    def path(self, digest: str) -> Path | None:
        return None

    def exists(self, digest: str) -> bool:
        return digest in self._blobs

    def refresh(self, digest: str) -> bool:
        known = self._blobs.get(digest)
        if known is not None:
            self._blobs[digest] = known[0], self._now()
        return known is not None

    def delete(self, digest: str, *, before: datetime | None = None) -> bool:
        known = self._blobs.get(digest)
        if known is not None and before is not None and known[1] >= before:
            return False
        self._blobs.pop(digest, None)
        return True

    def check(self) -> str:
        return "in memory"

    def sign(self, user: str, words: str) -> None:
        self._users[user] = words

    def users(self) -> Mapping[str, str]:
        return dict(self._users)

    def signature(self, user: str) -> str:
        return f"{user} in memory"

    def shared_key(self) -> bytes:
        return self._key

    def list(self) -> Iterator[BlobInfo]:
        for digest, (data, time) in tuple(self._blobs.items()):
            yield BlobInfo(hash=digest, size=len(data), time=time)


class _MemoryWriter(BlobWriter):
    def __init__(self, blobs: dict[str, tuple[bytes, datetime]], now: Callable[[], datetime]) -> None:
        self._now = now
        self._blobs = blobs
        self._data = bytearray()

    def write(self, data: BytesLike) -> int:
        self._data += data
        written = memoryview(data).nbytes
        self.size += written
        return written

    def commit(self) -> str:
        data = bytes(self._data)
        digest = content_hash(data)
        self._blobs[digest] = (data, self._now())
        self.closed = True
        return digest

    def abort(self) -> None:
        self.closed = True
