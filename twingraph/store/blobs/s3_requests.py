"""One request to an S3 endpoint: what its failures mean, which are worth asking again, and what a person can do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import boto3
from botocore import exceptions as boto
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from twingraph.core.errors import BlobsUnavailable, StoreError
from twingraph.store.blobs.address import S3Options
from twingraph.store.blobs.retries import Again, Retries

Result = TypeVar("Result")
_CONNECT_SECONDS = 5.0
# What a 4xx answer may say of a request that was right when it left, or that met another one.
_AGAIN = {
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "RequestTimeout",
    "SlowDown",
    "XAmzContentSHA256Mismatch",
}
_ON_THE_WAY = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.ResponseStreamingError,
    boto.IncompleteReadError,
    OSError,
)
_NO_CONDITIONS = {"NotImplemented", "InvalidArgument", "InvalidRequest"}


class Client(Protocol):
    """What is used of a client of boto3; each answers with a dict."""

    def put_object(self, **given: Any) -> dict[str, Any]: ...
    def get_object(self, **given: Any) -> dict[str, Any]: ...
    def head_object(self, **given: Any) -> dict[str, Any]: ...
    def copy_object(self, **given: Any) -> dict[str, Any]: ...
    def delete_object(self, **given: Any) -> dict[str, Any]: ...
    def list_objects_v2(self, **given: Any) -> dict[str, Any]: ...
    def create_multipart_upload(self, **given: Any) -> dict[str, Any]: ...
    def upload_part(self, **given: Any) -> dict[str, Any]: ...
    def upload_part_copy(self, **given: Any) -> dict[str, Any]: ...
    def complete_multipart_upload(self, **given: Any) -> dict[str, Any]: ...
    def abort_multipart_upload(self, **given: Any) -> dict[str, Any]: ...


class Absent(Exception):  # noqa: N818 - an answer
    """There is no such object."""


class Present(Exception):  # noqa: N818 - an answer
    """It was to be written only if it is not there, and it is."""


class Unconditional(Exception):  # noqa: N818 - an answer
    """The endpoint knows no conditional writes."""


def make_client(options: S3Options) -> Client:
    """Asks once: retrying is ours, since botocore's ends where a body begins to be read."""
    style = options.addressing
    if style == "auto" and options.endpoint:
        style = "path"
    config = Config(
        connect_timeout=min(_CONNECT_SECONDS, options.timeout),
        read_timeout=options.timeout,
        retries={"total_max_attempts": 1},
        max_pool_connections=32,
        s3={"addressing_style": style},
        # Other endpoints know no trailing checksums; a body is checked by Content-MD5, and by its own hash when read.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = boto3.session.Session()
    region = options.region or session.region_name or "us-east-1"
    client: Client = session.client("s3", region_name=region, endpoint_url=options.endpoint, config=config)
    return client


class Requests:
    """Requests about one bucket, asked again while that can help."""

    def __init__(self, options: S3Options, retries: Retries) -> None:
        self._options = options
        self._retries = retries
        self._asking = threading.local()

    def is_asking(self) -> bool:
        """Whether the calling thread is in a request."""
        return getattr(self._asking, "now", False)

    def ask(self, doing: str, key: str, act: Callable[[], Result]) -> Result:
        """What `act` gives. `doing` and `key` are for the error, as in 'reading' and 'ab/cdef'."""

        def once() -> Result:
            self._asking.now = True
            try:
                return act()
            except ClientError as error:
                raise self._meaning(error, doing, key) from error
            except (boto.NoCredentialsError, boto.PartialCredentialsError) as error:
                raise StoreError(
                    f"{doing} {self._options.said(key)}: no credentials were found; set AWS_ACCESS_KEY_ID and "
                    "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
                ) from error
            except _ON_THE_WAY as error:
                raise Again(_short(error)) from error
            except BotoCoreError as error:
                raise StoreError(f"{doing} {self._options.said(key)}: {_short(error)}") from error
            finally:
                self._asking.now = False

        return self._retries(once, lambda again, tries: self._unavailable(doing, key, again, tries))

    def _unavailable(self, doing: str, key: str, again: Again, tries: int) -> StoreError:
        return BlobsUnavailable(
            f"{doing} {self._options.said(key)} failed {tries} times, the last time with: {again}; see that the "
            "endpoint runs and can be reached (`twingraph doctor`), then run or resume again"
        )

    def _meaning(self, error: ClientError, doing: str, key: str) -> Exception:
        answer: Mapping[str, Any] = error.response
        code = str(answer.get("Error", {}).get("Code", ""))
        status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        where = f"{doing} {self._options.said(key)}"
        if (status >= 500 and code != "NotImplemented") or status == 429 or code in _AGAIN:
            return Again(f"{status} {code}: {_short(error)}")
        if code == "NoSuchBucket":
            return StoreError(
                f"{where}: there is no bucket {self._options.bucket}; create it, or correct TWINGRAPH_BLOB_URL"
            )
        if status == 404:
            return Absent()
        if status == 412:
            return Present()
        if code in _NO_CONDITIONS and status in (400, 501):
            return Unconditional(_short(error))
        if status == 403:
            return StoreError(
                f"{where}: refused ({code or 403}); give these credentials the right to get, put, delete and list "
                f"objects of the bucket {self._options.bucket}, or set others (AWS_ACCESS_KEY_ID, AWS_PROFILE)"
            )
        if status in (301, 307, 400) and "egion" in f"{code} {error}":
            return StoreError(f"{where}: the bucket is in another region: add region=NAME to TWINGRAPH_BLOB_URL")
        return StoreError(f"{where}: {status} {_short(error)}; correct TWINGRAPH_BLOB_URL or the endpoint")


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]
