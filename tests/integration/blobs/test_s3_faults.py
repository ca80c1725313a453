"""A blob store on S3 that fails, is slow or returns rotten bytes: asked again where that helps, else a clear error."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.faulty_proxy import Fault, FaultyProxy
from tests.support.s3 import BUCKET, Endpoint, free_port, only_with_s3
from twingraph.core.errors import BlobsUnavailable, DamagedError, NotFoundError, StoreError
from twingraph.core.hashing import content_hash
from twingraph.store.blobs.address import s3_options
from twingraph.store.blobs.retries import Retries
from twingraph.store.blobs.s3 import S3Blobs

pytestmark = only_with_s3
ATTEMPTS = 4
ERROR_503 = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
LARGE = os.urandom(3_000_000)


class Bench:
    """A store reached through a proxy, and the same store reached straight."""

    def __init__(self, endpoint: Endpoint, tmp_path: Path) -> None:
        self.endpoint, self.tmp_path = endpoint, tmp_path
        self.prefix = f"faults/{uuid.uuid4().hex}"
        self.proxy = FaultyProxy(endpoint.port)
        self.pauses: list[float] = []
        self.straight = self.store(endpoint.port)
        self.blobs = self.store(self.proxy.port)

    def store(self, port: int, **more: object) -> S3Blobs:
        options = s3_options(
            self.endpoint.address(self.prefix, port=port, cache=self.tmp_path / uuid.uuid4().hex, **more)
        )
        return S3Blobs(options, retries=Retries(ATTEMPTS, self.pauses.append))

    def plan(self, method: str, plan: Callable[[int], Fault | None]) -> None:
        """What happens to the first, second, ... request of this method from now on."""
        self.proxy.seen.clear()
        count = iter(range(1, 1000))
        self.proxy.plan = lambda asked, path, _: plan(next(count)) if asked == method else None

    def file(self, digest: str) -> Path:
        return self.endpoint.file(f"{self.prefix}/{digest[:2]}/{digest[2:]}")


@pytest.fixture
def bench(s3: Endpoint, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(s3, tmp_path)
    yield made
    made.proxy.close()


@pytest.mark.parametrize("fault", [Fault(answer=ERROR_503), Fault(refuse=True), Fault(cut=10)], ids=repr)
def test_what_fails_twice_is_asked_a_third_time(bench: Bench, fault: Fault) -> None:
    digest = bench.straight.put(LARGE)
    bench.plan("GET", lambda number: fault if number < 3 else None)
    assert bench.blobs.read(digest) == LARGE
    assert len(bench.pauses) == 2


def test_only_who_is_in_a_request_is_told_so(bench: Bench) -> None:
    seen: list[bool] = []

    def plan(number: int) -> Fault | None:
        seen.append(bench.blobs.is_asking())  # of the proxy's thread, which asks nothing
        return None

    class Said(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(bench.blobs.is_asking())

    bench.plan("PUT", plan)
    logger, handler = logging.getLogger("botocore.credentials"), Said()
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        bench.blobs.put(b"abc")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert seen == [True, False]
    assert not bench.blobs.is_asking()


def test_a_put_that_fails_is_asked_again(bench: Bench) -> None:
    bench.plan("PUT", lambda number: Fault(answer=ERROR_503) if number < 3 else None)
    digest = bench.blobs.put(b"abc")
    assert bench.straight.read(digest) == b"abc"


def test_a_put_whose_answer_was_lost_is_not_made_twice(bench: Bench) -> None:
    bench.plan("PUT", lambda number: Fault(lose=True) if number == 1 else None)
    digest = bench.blobs.put(b"abc")
    assert bench.straight.read(digest) == b"abc"
    assert len(bench.pauses) == 1


def test_a_download_that_breaks_off_goes_on_where_it_was(bench: Bench) -> None:
    digest = bench.straight.put(LARGE)
    bench.plan("GET", lambda number: Fault(cut=1_000_000) if number < 3 else None)
    assert bench.blobs.read(digest) == LARGE
    assert len(bench.proxy.seen) == 3


def test_a_store_that_does_not_answer_is_named_with_its_remedy(bench: Bench) -> None:
    port = free_port()
    with pytest.raises(BlobsUnavailable, match=rf"s3://{BUCKET}/.* at http://127.0.0.1:{port}.*failed 4 times.*doctor"):
        bench.store(port).put(b"abc")
    assert len(bench.pauses) == ATTEMPTS - 1


def test_a_store_that_is_slow_is_given_up_in_the_end(bench: Bench) -> None:
    digest = bench.straight.put(b"abc")
    slow = bench.store(bench.proxy.port, timeout=0.2)
    bench.plan("GET", lambda _: Fault(delay=2))
    with pytest.raises(BlobsUnavailable, match="Read timeout"):
        slow.read(digest)


def test_what_is_slow_once_is_waited_for(bench: Bench) -> None:
    digest = bench.straight.put(b"abc")
    slow = bench.store(bench.proxy.port, timeout=0.5)
    bench.plan("GET", lambda number: Fault(delay=2) if number == 1 else None)
    assert slow.read(digest) == b"abc"


def test_bytes_that_were_flipped_on_the_way_are_read_again(bench: Bench) -> None:
    digest = bench.straight.put(LARGE)
    bench.plan("GET", lambda number: Fault(flip=1234) if number == 1 else None)
    assert bench.blobs.read(digest) == LARGE


def test_bytes_that_are_flipped_differently_each_time_leave_the_object_alone(bench: Bench) -> None:
    digest = bench.straight.put(LARGE)
    bench.plan("GET", lambda number: Fault(flip=number * 1000))
    with pytest.raises(BlobsUnavailable, match="damages them"):
        bench.blobs.read(digest)
    assert bench.straight.read(digest) == LARGE
    assert bench.file(digest).exists()


def test_bytes_that_are_flipped_while_being_written_are_refused_and_sent_again(bench: Bench) -> None:
    """The endpoint checks what it was sent: here by the signature too, over TLS by the Content-MD5."""
    bench.plan("PUT", lambda number: Fault(flip_sent=True) if number == 1 else None)
    digest = bench.blobs.put(LARGE)
    assert bench.file(digest).read_bytes() == LARGE


def test_rotten_objects_are_set_aside_and_made_again(bench: Bench) -> None:
    digest = bench.straight.put(b"abc")
    bench.file(digest).write_bytes(b"abX")
    with pytest.raises(DamagedError, match=rf"{digest} is damaged.*{BUCKET}/{bench.prefix}/damaged/{digest}"):
        bench.blobs.read(digest)
    assert not bench.blobs.exists(digest)
    assert bench.endpoint.file(f"{bench.prefix}/damaged/{digest}").read_bytes() == b"abX"
    assert bench.blobs.put(b"abc") == digest
    assert bench.blobs.read(digest) == b"abc"


def test_a_refusal_is_not_asked_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StoreError, match=rf"writing s3://{BUCKET}/.*refused.*AWS_ACCESS_KEY_ID") as raised:
        bench.store(bench.proxy.port).put(b"abc")
    assert not isinstance(raised.value, BlobsUnavailable)
    assert bench.pauses == []


def test_a_bucket_that_is_not_there_is_named(bench: Bench) -> None:
    options = s3_options(f"s3://nowhere-at-all/x?endpoint={bench.endpoint.url}&cache={bench.tmp_path}/c")
    with pytest.raises(StoreError, match="no bucket nowhere-at-all; create it"):
        S3Blobs(options).put(b"abc")


def test_no_credentials_are_said(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(StoreError, match="no credentials were found; set AWS_ACCESS_KEY_ID"):
        bench.store(bench.endpoint.port).put(b"abc")


def test_a_missing_object_is_not_asked_again(bench: Bench) -> None:
    with pytest.raises(NotFoundError, match=f"{'0' * 64}.*{BUCKET}/{bench.prefix}/00/"):
        bench.blobs.read("0" * 64)
    assert bench.pauses == []


def test_a_put_that_failed_leaves_no_copy_that_answers_for_it(bench: Bench) -> None:
    bench.plan("PUT", lambda _: Fault(answer=ERROR_503))
    with pytest.raises(BlobsUnavailable):
        bench.blobs.put(b"abc")
    with pytest.raises(NotFoundError):
        bench.blobs.read(content_hash(b"abc"))
    assert list(bench.straight.list()) == []


def test_an_upload_in_parts_that_fails_leaves_nothing(bench: Bench) -> None:
    data = os.urandom(20 << 20)
    bench.plan("PUT", lambda number: Fault(refuse=True) if number > 1 else None)
    with pytest.raises(BlobsUnavailable):
        bench.blobs.put(data)
    assert list(bench.straight.list()) == []
    bench.plan("PUT", lambda number: Fault(answer=ERROR_503) if number == 2 else None)  # one part, asked again
    digest = bench.blobs.put(data)
    assert bench.straight.read(digest) == data


def test_a_put_of_what_is_there_refreshes_its_time(bench: Bench) -> None:
    for data in (b"abc", os.urandom(17 << 20)):
        digest = bench.straight.put(data)
        os.utime(bench.file(digest), (0, 0))
        assert {info.time.year for info in bench.straight.list() if info.hash == digest} == {1970}
        bench.straight.put(data)
        assert {info.time.year for info in bench.straight.list() if info.hash == digest} != {1970}
        assert bench.store(bench.endpoint.port).read(digest) == data


def test_what_the_cache_holds_is_mapped_and_fetched_once(bench: Bench) -> None:
    digest = bench.straight.put(LARGE)
    bench.plan("GET", lambda _: None)
    assert bench.blobs.path(digest).read_bytes() == LARGE
    assert bench.blobs.read(digest) == LARGE
    assert len(bench.proxy.seen) == 1


def test_the_list_goes_over_pages(bench: Bench) -> None:
    digests = {bench.straight.put(str(number).encode()) for number in range(30)}
    (bench.file("ab" + "c" * 62).parent).mkdir(parents=True, exist_ok=True)
    assert {info.hash for info in bench.straight.list()} == digests
