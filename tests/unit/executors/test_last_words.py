"""What a process said is read after its end, once, in order, whatever else it left in that memory."""

from __future__ import annotations

import os
import struct
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twingraph.core.codec_base import dumps, loads
from twingraph.executors.base import Line
from twingraph.executors.capture import Records, Stream
from twingraph.executors.first_process import FirstProcess
from twingraph.executors.frames import MARK
from twingraph.executors.last_words import SIZE, LastWords, unheard
from twingraph.executors.mask import Flow, Mask
from twingraph.executors.told import Told


class Side:
    """A process that speaks, and who reads what it left."""

    def __init__(self) -> None:
        self.memory = bytearray(SIZE)
        self.words = LastWords(self.memory)
        self.records = Records(self.words)
        self.records.begin(1)
        self.out = self.stream("stdout", "info")

    def stream(self, name: str, level: str) -> Stream:
        return Stream(name, level, 1, self.records, lambda: None)

    def left(self, heard: int = 0, run: int = 1) -> list[str]:
        return [record[3] for record in unheard(LastWords(self.memory).said().get(run, []), heard)]


@pytest.fixture
def side() -> Side:
    return Side()


def test_what_was_heard_is_not_read_again(side: Side) -> None:
    print("a\nb", file=side.out)
    heard = len(side.records.take()[1])
    side.records.add("error", "logging", "c")
    side.records.keep("info", "artifact", "d")
    assert side.left() == ["a", "b", "c", "d"]
    assert side.left(heard) == ["c", "d"]
    assert side.left(4) == []


def test_each_run_has_its_own(side: Side) -> None:
    print("first", file=side.out)
    side.records.take()
    print("of a thread that was left behind", file=side.out)
    side.records.begin(2)
    print("second", file=side.out)
    assert side.left(run=2) == ["of a thread that was left behind", "second"]
    assert side.left(run=2, heard=1) == ["second"]
    assert side.left(run=1)[0] == "first"


class EndedError(Exception):
    """What a handler of a signal raises, wherever its process is."""


@pytest.mark.parametrize("raises", [False, True])
def test_a_handler_of_a_signal_may_come_in_the_middle_of_a_print(raises: bool) -> None:
    """Before and after each call that is made there."""
    moment, is_over = 0, False
    while not is_over:
        moment += 1
        side = Side()
        left = moment

        def happens(_frame: Any, _event: str, called: Any, side: Side = side) -> None:
            nonlocal left
            left -= called is not sys.setprofile
            if left == 0 and raises:
                raise EndedError
            if left == 0:
                print("by a handler", file=side.out)

        sys.setprofile(happens)
        try:
            side.records.add("info", "stdout", "in which it comes")
        except EndedError:
            pass
        finally:
            sys.setprofile(None)
        is_over = left > 0
        print("after", file=side.out)
        told = [record[3] for record in side.records.take()[1]]
        assert [side.left(heard) for heard in range(len(told) + 1)] == [told[at:] for at in range(len(told) + 1)]
    assert moment > 20


@pytest.mark.parametrize(("more", "left"), [("", ["before", "asking: "]), ("yes\n", ["before", "asking: yes"])])
def test_a_line_that_was_flushed_before_its_end(side: Side, more: str, left: list[str]) -> None:
    print("before", file=side.out)
    print("asking: ", end="", file=side.out, flush=True)
    side.out.write(more)
    side.out.write("never flushed")
    assert side.left() == left


def test_a_line_that_is_flushed_again_and_again_takes_no_room_of_others(side: Side) -> None:
    print("before", file=side.out)
    for _ in range(2000):
        print(".", end="", file=side.out, flush=True)
    assert side.left() == ["before", "." * 2000]
    print(file=side.out)
    print("next", end="", file=side.out, flush=True)
    assert side.left() == ["before", "." * 2000, "next"]


def test_lines_without_their_ends_of_two_streams(side: Side) -> None:
    error = side.stream("stderr", "warning")
    for part in "abc":
        print(part, end="", file=side.out, flush=True)
        print(part.upper(), end="", file=error, flush=True)
    assert side.left() == ["abc", "ABC"]


class Meanwhile(str):
    """While it is being written, another thread writes too if it may."""

    stream: Stream
    lock: Any
    could = False

    def __contains__(self, part: Any) -> bool:
        other = threading.Thread(target=self.write)
        other.start()
        other.join()
        return super().__contains__(part)

    def write(self) -> None:
        if self.lock.acquire(blocking=False):
            self.could = True
            self.stream.write("lost")
            self.lock.release()


def test_two_threads_that_write_at_once_lose_nothing(side: Side) -> None:
    text = Meanwhile("kept")
    text.stream, text.lock = side.out, side.records.lock
    side.out.write(text)
    print(file=side.out)
    assert (text.could, side.left()) == (False, ["kept"])


def test_the_newest_of_much_is_there_with_a_note_of_the_rest(side: Side) -> None:
    said = [f"{number} {'x' * 1000}" for number in range(2 * SIZE // 1000)]
    for line in said:
        print(line, file=side.out)
    first, *left = side.left()
    assert left == said[-len(left) :]
    assert len(left) * 1000 > SIZE * 0.4
    assert first == f"({len(said) - len(left)} lines before this one were lost)"


def test_a_line_that_takes_all_room_is_cut(side: Side) -> None:
    side.records.add("info", "stdout", "\U0001f600" * 65536)
    assert side.left() == ["\U0001f600" * 16384 + " ...(cut)"]


def test_where_there_is_little_room_the_newest_that_fits_is_there() -> None:
    words = LastWords(bytearray(4096))
    records = Records(words)
    records.begin(1)
    for text in ("a", "b" * 5_000, "c", "\U0001f600" * 5_000, "d"):
        records.add("info", "stdout", text)
    words.note_unfinished(1, "info", "stdout", "\U0001f600" * 5_000)
    left = [record[3] for record in unheard(words.said()[1], 0)]
    assert left[-1] == "d"
    assert all(len(text) < 2_000 for text in left)


def test_a_fork_leaves_it_alone(side: Side) -> None:
    side.words.in_child()
    print("of the child", file=side.out)
    assert side.left() == []


def test_secrets_are_not_in_that_memory(side: Side) -> None:
    mask = Mask(["a-password"])
    side.records.mask, side.out.flow = mask, Flow(mask.text)
    print("it is a-password", file=side.out)
    print("half of it: a-pass", end="", file=side.out, flush=True)
    assert side.left() == ["it is ***", "half of it: "]
    assert b"a-pass" not in side.memory


@given(st.binary(max_size=300), st.integers(0, 200), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3))
def test_whatever_a_crashing_process_has_written_there(data: bytes, at: int, numbers: list[int]) -> None:
    side = Side()
    print("a\nb\nc", file=side.out)
    side.memory[64 + at : 64 + at + len(data)] = data
    side.memory[:24] = struct.pack("3q", *numbers)
    assert all(type(line) is str for line in side.left())


class Hearing:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def began(self, at: float) -> None: ...

    def said(self, lines: Sequence[Line]) -> None:
        self.lines += [line[3] for line in lines]

    def gave(self, start: int, texts: Sequence[str]) -> None: ...


def test_of_a_container_each_line_is_told_once(side: Side) -> None:
    hearing = Hearing()
    told = Told("token", [], hearing, lambda: 0.0)

    def say(*message: Any) -> None:
        told.feed(MARK + b"tokenw" + dumps(message).encode() + b"\n", None)

    print("a\nb", file=side.out)
    say("l", side.records.take()[1])
    print("c\nd", file=side.out)
    say("w", side.words.said()[1])
    assert hearing.lines == told.last == ["a", "b", "c", "d"]


def test_the_only_run_of_a_container_needs_no_further_process_to_be_told(
    side: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be no room for one: what the run has started may be there still."""
    monkeypatch.setattr(os, "dup", lambda descriptor: descriptor)
    told: list[str] = []
    first = FirstProcess(str(tmp_path / "place"), "token", 0.0)
    monkeypatch.setattr(first, "_frames", SimpleNamespace(send=told.append))
    monkeypatch.setattr(os, "fork", Mock(side_effect=BlockingIOError))
    side.records.begin(0)
    print("a", file=side.out)
    first._tell_last_words(side.words)
    assert [(index, record[3]) for index, record in loads(told[0])[1]] == [(0, "a")]
