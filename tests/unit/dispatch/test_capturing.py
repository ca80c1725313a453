from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twingraph.dispatch.embedded.capturing import CapturedFile, Line, bounded, split
from twingraph.dispatch.embedded.strand import Held
from twingraph.executors.capture import BROKEN_OFF, MAX_LINE, MAX_LINES, MAX_TOTAL, pieces
from twingraph.executors.mask import Flow, Mask

SECRETS = ["wörd-secret", "two\nlines-of-it", "abab"]
PARTS = st.sampled_from([*SECRETS, "wörd-", "secret", "two", "\n", "\n", "ab", "ä", "x", " "])


@given(st.lists(st.tuples(st.integers(1, 7), st.booleans()), max_size=40), st.lists(PARTS, max_size=20))
def test_what_children_print_is_hidden_however_it_is_read(steps: list[tuple[int, bool]], parts: list[str]) -> None:
    text = "".join(parts)
    data, position = text.encode(), 0
    lines: list[Line] = []
    descriptor, path = tempfile.mkstemp()
    os.unlink(path)
    file = CapturedFile(descriptor)
    file.hide(Flow(Mask(SECRETS).raw))
    for size, look in steps:
        os.write(descriptor, data[position : position + size])
        position += size
        if look:
            lines += file.read("info", "stdout", whole=False)
    os.write(descriptor, data[position:])
    lines += file.read("info", "stdout")
    file.close()
    assert "\n".join(line[3] for line in lines) == "\n".join(Mask(SECRETS)(text).splitlines())


@pytest.fixture
def descriptor() -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        yield os.dup(file.fileno())


@pytest.fixture
def held() -> Held:
    return Held(None, None)  # type: ignore[arg-type]


LETTERS = st.sampled_from([b"a", b"\n", b"\r", b"\r\n", "ä".encode(), "\u2028".encode(), b"\x85", b"\xc3", b"\x0b"])


@given(st.lists(LETTERS, max_size=30), st.integers(1, 6))
def test_it_is_split_as_if_it_were_split_whole(letters: list[bytes], part: int) -> None:
    data = b"".join(letters)
    assert list(split(data, part)) == data.decode("utf-8", "replace").splitlines()


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_huge_line_comes_in_the_same_pieces_however_it_is_split(more: int) -> None:
    line = "x" * (3 * MAX_LINE + more)
    assert list(split(f"a\n{line}\r\nb".encode(), 1000)) == ["a", *pieces(line), "b"]


def test_of_a_flood_of_lines_only_what_is_kept_is_made(held: Held) -> None:
    asked = itertools.count()

    def lines() -> Iterator[Line]:
        while True:
            yield float(next(asked)), "info", "stdout", ""

    kept = bounded(held, lines())
    assert (len(kept), next(asked)) == (MAX_LINES + 1, MAX_LINES + 1)
    assert [line[3] for line in kept[-2:]] == ["", BROKEN_OFF]
    assert (bounded(held, lines()), next(asked)) == ([], MAX_LINES + 2)


@pytest.mark.parametrize("flood", [b"\n", b"\r", "\u2028".encode()])
def test_a_file_full_of_line_ends_is_as_many_lines_as_an_attempt_keeps(
    descriptor: int, held: Held, flood: bytes
) -> None:
    os.write(descriptor, flood * (MAX_TOTAL // len(flood) + 5))
    file = CapturedFile(descriptor)
    assert len(bounded(held, file.read("info", "stdout"))) == MAX_LINES + 1
    os.write(descriptor, b"of the next one\n")
    assert [line[3] for line in file.read("info", "stdout")] == ["of the next one"]
    file.close()


@pytest.mark.parametrize("hides", [False, True])
def test_a_look_reads_a_part_and_the_next_one_reads_on(descriptor: int, hides: bool) -> None:
    text = [f"wörd-secret {number} {'x' * 90}" for number in range(10_000)]
    os.write(descriptor, "\n".join(text).encode())
    file = CapturedFile(descriptor)
    if hides:
        file.hide(Flow(Mask(SECRETS).raw))
    looks = [[line[3] for line in file.read("info", "stdout", whole=False)] for _ in range(3)]
    assert all(0 < sum(map(len, look)) <= 4 * MAX_LINE for look in looks)
    rest = [line[3] for line in file.read("info", "stdout")]
    assert [*itertools.chain(*looks), *rest] == ([Mask(SECRETS)(line) for line in text] if hides else text)
    file.close()


def test_a_line_without_an_end_that_is_longer_than_a_look_is_not_waited_for(descriptor: int) -> None:
    os.write(descriptor, b"a\n" + b"x" * (10 * MAX_LINE))
    file = CapturedFile(descriptor)
    looks = [[line[3] for line in file.read("info", "stdout", whole=False)] for _ in range(4)]
    assert looks[0] == ["a"]
    assert sum("".join(look).count("x") for look in looks) == 10 * MAX_LINE
    file.close()
