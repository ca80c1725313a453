"""Where blobs are kept, as one text that travels to every process which reads or writes them.

`/srv/twingraph`                       the blobs of a home
`file:///srv/blobs`                    a folder
`s3://bucket/prefix?endpoint=URL&...`  objects under a prefix; no credentials, which come from where AWS clients look

Pure: nothing is opened here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from twingraph.core.nearest import did_you_mean
from twingraph.core.quantities import byte_count
from twingraph.core.recordclass import recordclass

_FORMS = "s3://bucket/prefix?endpoint=http://127.0.0.1:9000 or file:///folder"


@recordclass
class S3Options:
    """Objects of one bucket, and how patiently they are asked for."""

    bucket: str
    prefix: str = ""  # without slashes at its ends
    endpoint: str | None = None  # None: that of AWS, or what AWS_ENDPOINT_URL says
    region: str | None = None  # None: what AWS_REGION or the profile says, else us-east-1
    addressing: str = "auto"  # `path` for most servers that are not AWS: taken when there is an endpoint
    attempts: int = 6  # of each request, with growing pauses between
    timeout: float = 20.0  # s without a byte before an attempt is given up
    cache: str = ""  # the folder of the read cache
    cache_size: int = 10_000_000_000  # bytes that it may take, about

    def place(self, digest: str) -> str:
        """The key of a blob: the same layout as in a folder, so that one can be copied to the other."""
        return self.beside(f"{digest[:2]}/{digest[2:]}")

    def beside(self, name: str) -> str:
        """The key of what has this name under the prefix."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def said(self, key: str = "") -> str:
        """As errors name it."""
        return f"s3://{self.bucket}/{key or self.prefix}{f' at {self.endpoint}' if self.endpoint else ''}"


_READERS: Mapping[str, Callable[[str], object]] = {
    "endpoint": str,
    "region": str,
    "addressing": str,
    "attempts": int,
    "timeout": float,
    "cache": str,
    "cache_size": byte_count,
}


def check_url(url: str) -> str:
    """The URL, when it can be one of blobs; ValueError says what is wrong with it."""
    if url.startswith("s3:"):
        s3_options(url)
    else:
        folder_of(url)
    return url


def folder_of(url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme != "file" or not parts.path.startswith("/") or parts.netloc not in ("", "localhost"):
        raise ValueError(f"{url!r} is not the address of a blob store, such as {_FORMS}")
    return Path(unquote(parts.path))


def s3_options(url: str) -> S3Options:
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc or parts.fragment:
        raise ValueError(f"{url!r} is not the address of a blob store, such as {_FORMS}")
    if "@" in parts.netloc or ":" in parts.netloc:
        raise ValueError(
            "a blob store's address takes no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"
        )
    given = _read(dict(parse_qsl(parts.query, keep_blank_values=True)))
    if not str(given.get("endpoint", "http://")).startswith(("http://", "https://")):
        raise ValueError(f"endpoint={given['endpoint']}: must begin with http:// or https://")
    if given.get("addressing", "auto") not in ("auto", "path", "virtual"):
        raise ValueError(f"addressing={given['addressing']}: must be auto, path or virtual")
    return S3Options(bucket=parts.netloc, prefix=unquote(parts.path).strip("/"), **given)  # type: ignore[arg-type]


def _read(query: Mapping[str, str]) -> dict[str, object]:
    given: dict[str, object] = {}
    for key, text in query.items():
        if key not in _READERS:
            raise ValueError(f"{key!r} is no part of a blob store's address; {did_you_mean(key, list(_READERS))}")
        try:
            given[key] = _READERS[key](text)
        except ValueError as error:
            raise ValueError(f"{key}={text}: {error}") from error
    for key in ("attempts", "timeout"):
        if key in given and not float(str(given[key])) > 0:
            raise ValueError(f"{key}={given[key]}: must be above 0")
    return given


def with_cache(url: str, folder: Path) -> str:
    """The address as it travels: with the folder for the read cache, unless it names one."""
    if not url.startswith("s3:") or s3_options(url).cache:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode({'cache': str(folder)})}"


def s3_url(options: S3Options) -> str:
    """The address again."""
    plain = S3Options(bucket=options.bucket)
    told = {
        field.name: getattr(options, field.name)
        for field in fields(S3Options)
        if field.name not in ("bucket", "prefix") and getattr(options, field.name) != getattr(plain, field.name)
    }
    path = f"/{quote(options.prefix)}" if options.prefix else ""
    return f"s3://{options.bucket}{path}{f'?{urlencode(told)}' if told else ''}"
