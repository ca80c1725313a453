"""The runner's words are told from everything else, however they come and whoever speaks in between."""

from __future__ import annotations

import os

import pytest

from twingraph.executors.frames import LONGEST, FrameReader, FrameWriter


def written(*messages: str, token: str = "t") -> bytes:
    here, there = os.pipe()
    os.set_blocking(there, False)
    writer = FrameWriter(there, token)
    for message in messages:
        writer.send(message)
    os.close(there)
    with os.fdopen(here, "rb") as file:
        return file.read()


@pytest.mark.parametrize("step", [1, 7, 4096, 1 << 20])
def test_words_and_other_bytes_are_told_apart_in_pieces_of_any_size(step: int) -> None:
    large = "x" * 9000
    data = b"before\n" + written("one", large) + b"no end" + written("two") + b"after"
    reader = FrameReader("t")
    found = [part for at in range(0, len(data), step) for part in reader.feed(data[at : at + step])]
    found += reader.finish()
    assert [message for is_ours, message in found if is_ours] == [b"one", large.encode(), b"two"]
    assert b"".join(message for is_ours, message in found if not is_ours) == b"before\nno endafter"


def test_a_pipe_takes_each_frame_as_a_whole() -> None:
    assert all(len(line) < LONGEST for line in written("x" * 20_000).split(b"\n"))


def test_words_of_another_token_are_not_ours() -> None:
    data = written("theirs", token="u")
    assert list(FrameReader("t").feed(data)) == [(False, data)]


def test_who_was_ended_in_the_middle_spoils_nothing() -> None:
    begun = written("x" * 9000).split(b"\n")[0] + b"\n"
    assert list(FrameReader("t").feed(begun + written("whole"))) == [(True, b"whole")]


def test_a_closed_stream_silences_it() -> None:
    here, there = os.pipe()
    os.close(here)
    writer = FrameWriter(there, "t")
    writer.send("nobody hears this")
    assert writer.mute
    os.close(there)
