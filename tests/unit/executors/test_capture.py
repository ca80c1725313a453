from __future__ import annotations

import logging
import sys
import threading
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twingraph.executors.capture import (
    BROKEN_OFF,
    MAX_LINE,
    MAX_LINES,
    MAX_TOTAL,
    Records,
    Stream,
    install_handler,
    on_import_of_logging,
    pieces,
    portions,
)
from twingraph.executors.mask import Flow, Mask


@pytest.fixture
def records() -> Records:
    return Records()


def said(records: Records) -> list[str]:
    return [message for _, _, _, message in records.take()[1]]


def stream(records: Records) -> Stream:
    return Stream("stdout", "info", 1, records, lambda: None)


def test_lines_come_whole_and_a_last_one_at_the_end(records: Records) -> None:
    out = stream(records)
    print("a", 1, file=out)
    out.write("half ")
    assert said(records) == ["a 1"]
    out.write("and half\nrest")
    out.finish()
    assert said(records) == ["half and half", "rest"]


def test_a_huge_line_comes_in_marked_pieces() -> None:
    parts = pieces("x" * (2 * MAX_LINE + 5))
    assert [part.endswith("...(goes on)") for part in parts] == [True, True, False]
    assert sum(part.count("x") for part in parts) == 2 * MAX_LINE + 5


def test_text_without_any_line_end_does_not_pile_up(records: Records) -> None:
    out = stream(records)
    for _ in range(40):
        out.write("x" * 10_000)
    out.finish()
    assert sum(line.count("x") for line in said(records)) == 400_000


def test_after_the_limit_one_note_is_kept_and_the_next_run_starts_anew(records: Records) -> None:
    records.begin(1)
    for _ in range(2 * MAX_TOTAL // MAX_LINE):
        records.add("info", "stdout", "x" * MAX_LINE)
    lines = said(records)
    assert "ends here" in lines[-1]
    assert sum("ends here" in line for line in lines) == 1
    assert sum(map(len, lines)) <= MAX_TOTAL
    records.begin(2)
    records.add("info", "stdout", "again")
    assert said(records) == ["again"]


def test_lines_are_counted_too_and_an_artifact_is_known_after_any_number(records: Records) -> None:
    records.begin(1)
    stream(records).write("\n" * (3 * MAX_LINES))
    records.keep("info", "artifact", "model 1234 5 bytes")
    lines = said(records)
    assert len(lines) == MAX_LINES + 2
    assert lines[-3:] == ["", BROKEN_OFF, "model 1234 5 bytes"]
    records.begin(2)
    records.add("info", "stdout", "again")
    assert said(records) == ["again"]


def test_what_is_not_kept_is_not_searched_for_secrets(records: Records) -> None:
    searched: list[str] = []

    def mask(text: str) -> str:
        searched.append(text)
        return text

    records.mask = mask
    for _ in range(MAX_LINES + 50):
        records.add("info", "stdout", "")
    assert len(searched) == MAX_LINES + 1


def test_an_artifact_is_masked_like_the_rest(records: Records) -> None:
    records.mask = Mask(["s3cret-name"])
    records.keep("info", "artifact", "s3cret-name 1234")
    assert said(records) == ["*** 1234"]


@given(st.lists(st.sampled_from([0, 1, 40_000, MAX_LINE]), max_size=20), st.integers(0, 2500))
def test_much_is_told_in_portions_in_order(sizes: list[int], empty: int) -> None:
    lines = [(0.0, "info", "stdout", "x" * size) for size in [*sizes, *[0] * empty]]
    told = list(portions(lines))
    assert [line for portion in told for line in portion] == lines
    for portion in told:
        assert 0 < len(portion) <= 1000
        assert len(portion) == 1 or sum(len(line[3]) for line in portion) <= MAX_LINE


def test_what_is_taken_names_its_run_and_is_taken_once(records: Records) -> None:
    records.begin(7)
    records.add("info", "stdout", "a")
    number, taken = records.take()
    assert (number, len(taken), records.take()[1]) == (7, 1, [])


def test_no_record_is_lost_to_a_thread_that_sends_meanwhile(records: Records) -> None:
    done, found = threading.Event(), []

    def send() -> None:
        while not done.is_set():
            found.extend(said(records))

    sender = threading.Thread(target=send)
    sender.start()
    for number in range(5000):
        records.add("info", "stdout", str(number))
    done.set()
    sender.join()
    assert found + said(records) == [str(number) for number in range(5000)]


def test_only_text_can_be_written(records: Records) -> None:
    with pytest.raises(TypeError, match="must be str"):
        stream(records).write(b"bytes")  # type: ignore[arg-type]


def test_closing_it_silences_nothing(records: Records) -> None:
    out = stream(records)
    out.close()
    out.write("still\n")
    assert said(records) == ["still"]


def test_logging_keeps_level_and_name(records: Records) -> None:
    root = logging.Logger("root", logging.WARNING)
    install_handler(
        SimpleNamespace(Handler=logging.Handler, getLogger=lambda: root, WARNING=30, INFO=20), records, lambda: None
    )
    root.info("plain %d", 1)
    root.error("wrong %d", "text")
    lines = records.take()[1]
    assert [(level, stream) for _, level, stream, _ in lines] == [("info", "logging"), ("error", "logging")]
    assert lines[0][3] == "plain 1"
    assert "not formatted" in lines[1][3]


def test_what_is_logged_while_we_work_is_not_told(records: Records) -> None:
    root, ours = logging.Logger("root", logging.WARNING), [True]
    here = SimpleNamespace(Handler=logging.Handler, getLogger=lambda: root, WARNING=30, INFO=20)
    install_handler(here, records, lambda: None, lambda: ours[-1])
    root.info("ours")
    ours.append(False)
    root.info("the author's")
    assert said(records) == ["the author's"]


def test_logging_that_is_there_already_is_met_at_once() -> None:
    met: list[object] = []
    on_import_of_logging(met.append)
    assert met == [sys.modules["logging"]]


@given(st.text(alphabet="abst\n", max_size=60), st.lists(st.integers(0, 60), max_size=12))
def test_secrets_are_hidden_in_whatever_pieces_they_are_printed(text: str, places: list[int]) -> None:
    mask = Mask(["abab", "st\nba", "bbbbb"])
    records = Records()
    records.begin(1)
    records.mask = mask
    stream = Stream("stdout", "info", 1, records, lambda: None)
    stream.flow = Flow(mask.text)
    edges = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    said = []
    for start, end in pairwise(edges):
        stream.write(text[start:end])
        said += records.take()[1]
    stream.finish()
    said += records.take()[1]
    lines = mask(text).split("\n")
    assert [line[3] for line in said] == (lines if lines[-1] else lines[:-1])
