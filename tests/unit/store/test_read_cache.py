"""Copies of remote blobs on this machine: bounded, and never taken from under a reader."""

from __future__ import annotations

import os
import time
from pathlib import Path

from twingraph.store.blobs.read_cache import GRACE_SECONDS, ReadCache

DATA = b"x" * 1000


def put(cache: ReadCache, number: int) -> str:
    with cache.writer() as writer:
        writer.write(DATA + str(number).encode())
        return writer.commit()


def aged(folder: Path, digest: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(folder / digest[:2] / digest[2:], (then, then))


def test_what_was_not_asked_for_longest_goes_first(tmp_path: Path) -> None:
    cache = ReadCache(tmp_path, 5_000)
    digests = [put(cache, number) for number in range(10)]
    for age, digest in enumerate(digests):
        aged(tmp_path, digest, GRACE_SECONDS + 100 - age)
    cache.added(600)
    assert [cache.find(digest) is not None for digest in digests] == [False] * 7 + [True] * 3


def test_what_was_asked_for_just_now_stays(tmp_path: Path) -> None:
    cache = ReadCache(tmp_path, 1_000)
    digests = [put(cache, number) for number in range(5)]
    aged(tmp_path, digests[0], GRACE_SECONDS + 10)
    aged(tmp_path, digests[1], GRACE_SECONDS + 10)
    assert cache.find(digests[1]) is not None
    cache.clear()
    assert [cache.find(digest) is not None for digest in digests] == [False] + [True] * 4


def test_a_rotten_copy_counts_as_none(tmp_path: Path) -> None:
    digest = put(ReadCache(tmp_path, 1_000), 1)
    (tmp_path / digest[:2] / digest[2:]).write_bytes(b"rot")
    assert ReadCache(tmp_path, 1_000).find(digest) is None


def test_code_stays_when_room_is_made(tmp_path: Path) -> None:
    cache = ReadCache(tmp_path, 10)
    digest = put(cache, 1)
    place = cache.find(digest)
    assert place is not None
    kept = cache.keep(digest, place)
    assert cache.keep(digest, place) == kept
    aged(tmp_path, digest, GRACE_SECONDS + 10)
    cache.clear()
    assert cache.find(digest) is None
    assert kept.read_bytes().startswith(DATA)
