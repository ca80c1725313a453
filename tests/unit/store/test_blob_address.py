"""The one text that says where blobs are."""

from __future__ import annotations

from pathlib import Path

import pytest

from twingraph.store.blobs.address import S3Options, check_url, folder_of, s3_options, s3_url, with_cache
from twingraph.store.blobs.catalog import open_blobs
from twingraph.store.blobs.local import LocalBlobs


def test_an_address_on_s3_says_all_that_is_needed() -> None:
    url = "s3://bucket/a/b%20c/?endpoint=http://127.0.0.1:9000&region=eu-1&timeout=5&cache_size=2G&cache=/x"
    options = s3_options(url)
    assert options == S3Options(
        bucket="bucket",
        prefix="a/b c",
        endpoint="http://127.0.0.1:9000",
        region="eu-1",
        timeout=5.0,
        cache="/x",
        cache_size=2_000_000_000,
    )
    assert s3_options(s3_url(options)) == options
    assert options.place("abcd") == "a/b c/ab/cd"


def test_the_shortest_address_is_a_bucket() -> None:
    assert s3_options("s3://bucket") == S3Options(bucket="bucket")
    assert S3Options(bucket="bucket").place("abcd") == "ab/cd"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "not the address of a blob store"),
        ("gs://bucket", "such as s3://bucket/prefix"),
        ("file://elsewhere/folder", "not the address"),
        ("s3://key:secret@bucket", "takes no credentials: set AWS_ACCESS_KEY_ID"),
        ("s3://bucket?endpont=http://x", "did you mean 'endpoint'"),
        ("s3://bucket?endpoint=127.0.0.1:9000", "must begin with http"),
        ("s3://bucket?attempts=0", "must be above 0"),
        ("s3://bucket?attempts=many", "attempts=many"),
        ("s3://bucket?cache_size=10 apples", "not a number of bytes"),
        ("s3://bucket?addressing=sideways", "must be auto, path or virtual"),
    ],
)
def test_a_wrong_address_is_told_with_its_remedy(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        check_url(url)


def test_the_cache_travels_with_the_address() -> None:
    assert s3_options(with_cache("s3://b/p?region=r", Path("/home x"))).cache == "/home x"
    assert s3_options(with_cache("s3://b", Path("/home x"))).cache == "/home x"
    assert with_cache("s3://b?cache=/own", Path("/other")) == "s3://b?cache=/own"
    assert with_cache("file:///folder", Path("/other")) == "file:///folder"


def test_a_folder_may_be_called_anything(tmp_path: Path) -> None:
    assert folder_of("file:///a%20b") == Path("/a b")
    blobs = open_blobs(f"file://{tmp_path}/any")
    digest = blobs.put(b"abc")
    assert (tmp_path / "any" / digest[:2] / digest[2:]).read_bytes() == b"abc"


def test_a_path_is_that_of_a_home(tmp_path: Path) -> None:
    digest = open_blobs(str(tmp_path)).put(b"abc")
    assert LocalBlobs(tmp_path).read(digest) == b"abc"
    assert (tmp_path / "blobs" / digest[:2] / digest[2:]).exists()
