"""What a place is told, as a stream of parts."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from twingraph.executors.parcel import Parts, Unfed, head


def spoken(*pieces: bytes) -> int:
    """A descriptor that gives these, as they come."""
    reading, writing = os.pipe()

    def speak() -> None:
        for piece in pieces:
            os.write(writing, piece)
        os.close(writing)

    threading.Thread(target=speak).start()
    return reading


def test_parts_are_read_to_their_ends_and_no_further(tmp_path: Path) -> None:
    large = os.urandom(1_000_000)
    reading = spoken(head(b"p", 3), b"abc", head(b"v", len(large), "0a" * 32), large, head(b"e", 0), b"rest")
    found = []
    parts = Parts(reading)
    for kind, name, size in parts:
        if kind == b"v":
            parts.save(size, str(tmp_path / name))
        else:
            found.append((kind, parts.read(size)))
    assert found == [(b"p", b"abc")]
    assert (tmp_path / ("0a" * 32)).read_bytes() == large
    assert os.read(reading, 100) == b"rest"
    os.close(reading)


@pytest.mark.parametrize("said", [b"", head(b"p", 10)[:20], head(b"p", 10) + b"half"])
def test_a_stream_that_breaks_off_is_known(said: bytes) -> None:
    reading = spoken(said)
    parts = Parts(reading)
    with pytest.raises(Unfed):
        [parts.read(size) for _, _, size in parts]
    os.close(reading)
