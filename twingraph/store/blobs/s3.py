"""Blobs as objects of an S3 bucket: `prefix/ab/cdef...`, by any endpoint that speaks S3. Needs the extra `s3`.

An object is there before its hash is given to anybody. What is read is checked by its hash on its way into a local
cache, piece by piece, and from there it is mapped as any local blob. Bytes that are wrong each time in the same way are
rotten where they lie: the object is moved to `prefix/damaged/`, so that it counts as missing and a resume makes it
anew. Bytes that are wrong in another way each time were damaged on their way, and nothing is touched.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from twingraph.core.errors import BlobsUnavailable, DamagedError, MissingExtraError, NotFoundError, StoreError
from twingraph.store.blobs.address import S3Options
from twingraph.store.blobs.base import KEY_NAME, KEY_SIZE, BlobInfo, BlobStore, BlobWriter, BytesLike, checked_key
from twingraph.store.blobs.local import check_hash, is_hash
from twingraph.store.blobs.read_cache import ReadCache
from twingraph.store.blobs.retries import Again, Retries

try:
    from twingraph.store.blobs.s3_requests import Absent, Client, Requests, make_client
    from twingraph.store.blobs.s3_writing import Writing
except ModuleNotFoundError as missing:
    raise MissingExtraError("a blob store on S3", "s3") from missing

_DAMAGED = "damaged"
_PIECE = 1 << 20
# How old an object may be that is put again without its time being refreshed: far less than prune's 24 hours.
REFRESH_AFTER = timedelta(hours=1)
_READS = 3  # of bytes that turn out to be wrong


class S3Blobs(BlobStore):
    """Any thread; a forked child makes a client of its own."""

    def __init__(self, options: S3Options, *, client: Client | None = None, retries: Retries | None = None) -> None:
        if not options.cache:
            raise ValueError("a blob store on S3 needs a folder for its read cache")
        self._options = options
        self._given = client
        self._made: tuple[int, Client] | None = None
        self.cache = ReadCache(Path(options.cache), options.cache_size)
        self._requests = Requests(options, retries or Retries(options.attempts))
        self._writing = Writing(self._client, options.bucket, self._requests)

    def _client(self) -> Client:
        if self._given is not None:
            return self._given
        if self._made is None or self._made[0] != os.getpid():
            self._made = os.getpid(), make_client(self._options)
        return self._made[1]

    def is_asking(self) -> bool:
        return self._requests.is_asking()

    def writer(self) -> BlobWriter:
        return _S3Writer(self)

    # -- reading -----------------------------------------------------------------------------------

    def read(self, digest: str) -> bytes:
        return self.path(digest).read_bytes()

    def open(self, digest: str) -> Any:
        return self.path(digest).open("rb")

    def path(self, digest: str) -> Path:
        check_hash(digest)
        return self.cache.find(digest) or self._fetched(digest)

    def keep(self, digest: str) -> Path:
        return self.cache.keep(digest, self.path(digest))

    def _fetched(self, digest: str) -> Path:
        wrong: set[str] = set()
        for _ in range(_READS):
            found, size = self._download(digest)
            self.cache.added(size)
            if found == digest:
                self.cache.trust(digest)
                place = self.cache.find(digest)
                if place is not None:
                    return place
            wrong.add(found)
            self.cache.forget(found)
        where = self._options.said(self._options.place(digest))
        if len(wrong) > 1:
            raise BlobsUnavailable(
                f"{where} was read {_READS} times and came with other bytes each time: something between here and the "
                "store damages them (a proxy, the network); the object itself was left as it is"
            )
        aside = self._set_aside(digest)
        raise DamagedError(
            f"blob {digest} is damaged: {where} held other bytes and was moved to {aside}; check the storage, then "
            "resume the execution: what made the value runs again"
        )

    def _download(self, digest: str) -> tuple[str, int]:
        """Into the cache, under the hash that the bytes really have. What breaks off goes on where it was."""
        key = self._options.place(digest)
        with self.cache.writer() as writer:
            tag: str | None = None

            def more() -> None:
                nonlocal tag
                given = {"Range": f"bytes={writer.size}-", "IfMatch": tag} if tag and writer.size else {}
                answer = self._client().get_object(Bucket=self._options.bucket, Key=key, **given)
                tag, whole = answer["ETag"], writer.size + int(answer["ContentLength"])
                with answer["Body"] as body:
                    while piece := body.read(_PIECE):
                        writer.write(piece)
                if writer.size != whole:
                    raise Again(f"it broke off after {writer.size} of {whole} bytes")

            try:
                self._requests.ask("reading", key, more)
            except Absent:
                raise self._missing(digest) from None
            return writer.commit(), writer.size

    def _set_aside(self, digest: str) -> str:
        key, aside = self._options.place(digest), self._options.beside(f"{_DAMAGED}/{digest}")
        self._writing.copy(key, aside)
        self._remove(key)
        return self._options.said(aside)

    def _missing(self, digest: str) -> NotFoundError:
        where = self._options.said(self._options.place(digest))
        return NotFoundError(
            f"blob {digest} is not in this store ({where}); it was pruned, or written under another TWINGRAPH_BLOB_URL"
        )

    # -- what is there -----------------------------------------------------------------------------

    def _head(self, digest: str) -> BlobInfo | None:
        key = self._options.place(check_hash(digest))
        try:
            found = self._requests.ask(
                "looking at", key, lambda: self._client().head_object(Bucket=self._options.bucket, Key=key)
            )
        except Absent:
            return None
        return BlobInfo(hash=digest, size=int(found["ContentLength"]), time=found["LastModified"])

    def exists(self, digest: str) -> bool:
        return self._head(digest) is not None

    def refresh(self, digest: str) -> bool:
        found = self._head(digest)
        if found is None:
            return False
        if datetime.now(UTC) - found.time < REFRESH_AFTER:
            return True
        try:
            self._make_young(digest, found.size)
        except Absent:  # pruned at this very moment
            return False
        return True

    def _make_young(self, digest: str, size: int) -> None:
        """Copy it onto itself; where the endpoint leaves the time as it was then, by way of another name."""
        key = self._options.place(digest)
        time = self._writing.copy(key, key, size=size)
        if time is not None and datetime.now(UTC) - time < REFRESH_AFTER:
            return
        aside = self._options.beside(f"refreshing/{uuid.uuid4().hex}")
        try:
            self._writing.copy(key, aside, size=size)
            self._writing.copy(aside, key, size=size)
        finally:
            self._remove(aside)

    def store(self, digest: str, size: int, file: Path) -> None:
        """Make it an object, unless it is one: then its time is refreshed."""
        if size >= self._writing.large and self.refresh(digest):
            return
        if not self._writing.put(self._options.place(digest), file, size) and not self.refresh(digest):
            self._writing.put(self._options.place(digest), file, size)  # it went between the two

    def delete(self, digest: str, *, before: datetime | None = None) -> bool:
        """S3 can look at the time and delete, not both at once: who refreshes it within these milliseconds loses."""
        if before is not None:
            found = self._head(digest)
            if found is not None and found.time >= before:
                return False
        self._remove(self._options.place(check_hash(digest)))
        self.cache.forget(digest)
        return True

    def _remove(self, key: str) -> None:
        self._requests.ask("removing", key, lambda: self._client().delete_object(Bucket=self._options.bucket, Key=key))

    def sign(self, user: str, words: str) -> None:
        key, client, bucket = self._user(user), self._client(), self._options.bucket
        self._requests.ask("writing", key, lambda: client.put_object(Bucket=bucket, Key=key, Body=words.encode()))

    def users(self) -> Mapping[str, str]:
        prefix = self._user("")
        names = [str(entry["Key"]).removeprefix(prefix) for entry in self._page(prefix, None).get("Contents", ())]
        return {name: self._words(self._user(name)) for name in names}

    def _words(self, key: str) -> str:
        return self._content(key).decode("utf-8", "replace")

    def _content(self, key: str) -> bytes:
        client, bucket = self._client(), self._options.bucket
        data = self._requests.ask("reading", key, lambda: client.get_object(Bucket=bucket, Key=key)["Body"].read())
        return bytes(data)

    def shared_key(self) -> bytes:
        """Where the endpoint knows no conditional writes, two that make it at the same moment may read two keys."""
        key = self._options.beside(KEY_NAME)
        try:
            found = self._content(key)
        except Absent:
            self._writing.put_bytes(key, os.urandom(KEY_SIZE))
            found = self._content(key)
        return checked_key(found, self._options.said(key))

    def signature(self, user: str) -> str:
        return self._options.said(self._user(user))

    def _user(self, user: str) -> str:
        return self._options.beside(f"users/{user}")

    def list(self) -> Iterator[BlobInfo]:
        prefix = self._options.beside("")
        after: str | None = None
        while True:
            page = self._page(prefix, after)
            for entry in page.get("Contents", ()):
                digest = str(entry["Key"]).removeprefix(prefix).replace("/", "", 1)
                if is_hash(digest) and entry["Key"] == self._options.place(digest):
                    yield BlobInfo(hash=digest, size=int(entry["Size"]), time=entry["LastModified"])
            if not page.get("IsTruncated"):
                return
            after = page["NextContinuationToken"]

    def _page(self, prefix: str, after: str | None) -> dict[str, Any]:
        given = {"Bucket": self._options.bucket, "Prefix": prefix}
        if after is not None:
            given["ContinuationToken"] = after
        return self._requests.ask("listing", prefix, lambda: self._client().list_objects_v2(**given))

    def check(self) -> str:
        key = self._options.beside(f"probe/{uuid.uuid4().hex}")
        client, bucket = self._client(), self._options.bucket
        self._requests.ask("writing", key, lambda: client.put_object(Bucket=bucket, Key=key, Body=b"probe"))
        self._requests.ask("reading", key, lambda: client.get_object(Bucket=bucket, Key=key)["Body"].read())
        self._requests.ask("removing", key, lambda: client.delete_object(Bucket=bucket, Key=key))
        return self._options.said()


class _S3Writer(BlobWriter):
    """Into the local cache first, where its hash is found; the upload reads from there."""

    def __init__(self, blobs: S3Blobs) -> None:
        self._blobs = blobs
        self._cache = blobs.cache
        self._local = self._cache.writer()

    def write(self, data: BytesLike) -> int:
        written = self._local.write(data)
        self.size += written
        return written

    def commit(self) -> str:
        digest = self._local.commit()
        self.closed = True
        cache = self._cache
        cache.trust(digest)
        place = cache.find(digest)
        try:
            if place is None:
                raise StoreError(f"the read cache {cache.folder} was cleared while a value was written")
            self._blobs.store(digest, self.size, place)
        except BaseException:
            cache.forget(digest)  # a copy of what is not in the store must not answer for it
            raise
        cache.added(self.size)
        return digest

    def abort(self) -> None:
        self._local.abort()
        self.closed = True
