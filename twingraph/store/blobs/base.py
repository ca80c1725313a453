"""The promise of a blob store: bytes under the BLAKE2b hash of their content.

Every method may block on a disk and may be called from any thread and any process at once; none belongs on an event
loop. A crash in the middle of a put leaves no blob and at most a temporary file, which a later process removes.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from twingraph.core.errors import StoreError
from twingraph.core.recordclass import recordclass

BytesLike = bytes | bytearray | memoryview
# Of what all who share a store know.
KEY_NAME = "workers.key"
KEY_SIZE = 32


def checked_key(key: bytes, place: str) -> bytes:
    if len(key) != KEY_SIZE:
        raise StoreError(
            f"{place}, the key of the workers, is damaged ({len(key)} bytes, not {KEY_SIZE}); remove it, and who comes "
            "next makes a new one, or set TWINGRAPH_WORKER_KEY"
        )
    return key


@recordclass
class BlobInfo:
    """One stored blob; `time` is that of its last put."""

    hash: str
    size: int
    time: datetime


class BlobWriter(ABC):
    """A blob being written piece by piece by one thread. Leaving the `with` block without `commit` keeps nothing."""

    size: int = 0
    closed: bool = False

    @abstractmethod
    def write(self, data: BytesLike) -> int:
        """Add bytes. Raises StoreError when the disk is full; then the blob does not exist."""

    @abstractmethod
    def commit(self) -> str:
        """Make the blob visible, whole, and return its hash. Called once."""

    @abstractmethod
    def abort(self) -> None:
        """Forget what was written. Does nothing after `commit`."""

    def flush(self) -> None:  # noqa: B027 - nothing to do, for any store
        """Part of what libraries expect of a file; a blob is flushed by its commit."""

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()


class BlobStore(ABC):
    """Blobs by content hash. What is read is checked against its hash: DamagedError names a rotten blob."""

    def put(self, data: BytesLike) -> str:
        """Store bytes and return their hash. Idempotent; each put refreshes the blob's time, so that prune keeps it."""
        with self.writer() as writer:
            writer.write(data)
            return writer.commit()

    @abstractmethod
    def writer(self) -> BlobWriter:
        """A writer for data too large for memory."""

    @abstractmethod
    def read(self, digest: str) -> bytes:
        """All bytes, checked. NotFoundError when there is no such blob."""

    def open(self, digest: str) -> BinaryIO:
        """A readable file over the checked blob; the caller closes it."""
        return io.BytesIO(self.read(digest))

    @abstractmethod
    def path(self, digest: str) -> Path | None:
        """A local file to be mapped read-only or copy-on-write, checked once per process; None when there is none."""

    def keep(self, digest: str) -> Path | None:
        """The same, of a file that stays where it is: code is loaded from it long after this call."""
        return self.path(digest)

    @abstractmethod
    def exists(self, digest: str) -> bool:
        """Whether the blob is there; does not read it."""

    @abstractmethod
    def refresh(self, digest: str) -> bool:
        """Whether it is there, and no prune of the next hours takes it away. For who is about to refer to it again."""

    @abstractmethod
    def delete(self, digest: str, *, before: datetime | None = None) -> bool:
        """Remove it, unless it was put or refreshed at or after `before`; False when it is still there.

        Nothing happens when it is gone already. Only prune calls this, for blobs that nothing refers to.
        """

    @abstractmethod
    def check(self) -> str:
        """Say where it is, having tried to write, read and remove something there; StoreError says what is wrong."""

    @abstractmethod
    def sign(self, user: str, words: str) -> None:
        """Note that a home or a database of this name keeps its values here, told to people in these words. No prune
        takes the note away."""

    @abstractmethod
    def users(self) -> Mapping[str, str]:
        """Who has signed, each in its words."""

    @abstractmethod
    def signature(self, user: str) -> str:
        """Where this user's note is, for people."""

    @abstractmethod
    def shared_key(self) -> bytes:
        """What all who share this store know, and nobody else: made once, whoever comes first. No prune takes it."""

    def is_asking(self) -> bool:
        """Whether the calling thread is in a request of this store: what a library logs then is not the caller's."""
        return False

    @abstractmethod
    def list(self) -> Iterator[BlobInfo]:
        """Every blob, in no order; those that appear or go meanwhile may be missed."""
