"""Writing objects: whole, in parts when they are large, only where there is none yet, and by copying in the store."""

from __future__ import annotations

import contextlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path
from typing import Any

from twingraph.core.errors import TwinGraphError
from twingraph.store.blobs.s3_requests import Absent, Client, Present, Requests, Unconditional

LARGE = 16 << 20  # from here on in parts, each of which is asked for again alone
_MOST_PARTS = 9_000  # S3 takes 10,000
_COPY_AT_ONCE = 5 << 30  # S3 copies no more with one request


class Writing:
    """Of one bucket. `client` is asked for at each request, since a fork needs its own."""

    def __init__(
        self,
        client: Callable[[], Client],
        bucket: str,
        requests: Requests,
        *,
        large: int = LARGE,
        copy_at_once: int = _COPY_AT_ONCE,
    ) -> None:
        self.large = large
        self._client, self._bucket, self._requests = client, bucket, requests
        self._copy_at_once = copy_at_once
        self._condition: dict[str, str] = {"IfNoneMatch": "*"}  # empty once the endpoint has said that it knows none

    def put(self, key: str, file: Path, size: int) -> bool:
        """Write the object; False when there is one already."""
        if size < self.large:
            return self.put_bytes(key, file.read_bytes())
        return self._unless_present(lambda: self._in_parts(key, _upload(file, self._part_size(size))))

    def put_bytes(self, key: str, data: bytes) -> bool:
        """The same with what is small."""
        return self._unless_present(lambda: self._put_whole(key, data))

    def _unless_present(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except Present:
            return False
        except Unconditional:
            if not self._condition:
                raise
            self._condition = {}
            return self._unless_present(write)
        return True

    def _put_whole(self, key: str, data: bytes) -> None:
        given = {"Bucket": self._bucket, "Key": key, "Body": data, "ContentMD5": _md5(data), **self._condition}
        self._requests.ask("writing", key, lambda: self._client().put_object(**given))

    def copy(self, source: str, target: str, *, size: int = 0) -> datetime | None:
        """Within the store; onto itself it may refresh the time. Gives the target's time, where that is told."""
        origin = {"Bucket": self._bucket, "Key": source}
        if size > self._copy_at_once:
            self._in_parts(target, _copy(origin, size, self._copy_at_once), {})
            return datetime.now(UTC)
        given = {"Bucket": self._bucket, "Key": target, "CopySource": origin, "MetadataDirective": "REPLACE"}
        answer = self._requests.ask("copying", source, lambda: self._client().copy_object(**given))
        time: datetime | None = answer.get("CopyObjectResult", {}).get("LastModified")
        return time

    def _part_size(self, size: int) -> int:
        return max(self.large, -(-size // _MOST_PARTS))

    def _in_parts(
        self,
        key: str,
        parts: Iterator[Callable[[Client, dict[str, Any]], str]],
        condition: dict[str, str] | None = None,
    ) -> None:
        """Nothing is seen of it before the last request; what it leaves when it fails is removed."""
        where = {"Bucket": self._bucket, "Key": key}
        begun = self._requests.ask("writing", key, lambda: self._client().create_multipart_upload(**where))
        upload = {**where, "UploadId": begun["UploadId"]}
        try:
            done = []
            for number, act in enumerate(parts, 1):
                given = {**upload, "PartNumber": number}
                tag = self._requests.ask("writing", key, lambda act=act, given=given: act(self._client(), given))  # type: ignore[misc]
                done.append({"PartNumber": number, "ETag": tag})
            last = {**upload, "MultipartUpload": {"Parts": done}}
            last |= self._condition if condition is None else condition
            self._requests.ask("writing", key, lambda: self._client().complete_multipart_upload(**last))
        except BaseException:
            with contextlib.suppress(TwinGraphError, Absent):
                self._requests.ask("writing", key, lambda: self._client().abort_multipart_upload(**upload))
            raise


def _upload(file: Path, size: int) -> Iterator[Callable[[Client, dict[str, Any]], str]]:
    with file.open("rb") as opened:
        while data := opened.read(size):
            yield lambda client, given, data=data: client.upload_part(**given, Body=data, ContentMD5=_md5(data))["ETag"]  # type: ignore[misc]


def _copy(origin: dict[str, str], size: int, piece: int) -> Iterator[Callable[[Client, dict[str, Any]], str]]:
    for start in range(0, size, piece):
        span = f"bytes={start}-{min(start + piece, size) - 1}"
        yield lambda client, given, span=span: client.upload_part_copy(  # type: ignore[misc]
            **given, CopySource=origin, CopySourceRange=span
        )["CopyPartResult"]["ETag"]


def _md5(data: bytes) -> str:
    """What the endpoint checks the body by; nothing secret hangs on it."""
    return b64encode(md5(data, usedforsecurity=False).digest()).decode()
