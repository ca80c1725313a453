from __future__ import annotations

import base64
import json
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twingraph.executors.mask import Flow, Mask, Matcher

SECRET = 'p@ss "wörd"/+? 1\\'
ANY_VALUE = st.text(min_size=4, max_size=40).filter(lambda text: len(text.strip()) >= 4 and text.isprintable())


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize(
    "said",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        repr([SECRET]),
        repr(SECRET.encode()),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        SECRET.encode().hex(),
    ],
)
def test_a_value_is_hidden_however_it_is_written(said: str) -> None:
    hidden = Mask([SECRET])(f"before {said} after")
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")
    assert "***" in hidden
    assert len(hidden) <= len("before *** after") + 5


@pytest.mark.parametrize("before", ["", "u", "us", "use", "user:"])
@pytest.mark.parametrize("after", ["", "\n", "ab", "abc"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_it_is_found_in_base64_wherever_it_lies(before: str, after: str, encode: object) -> None:
    text = encode((before + SECRET + after).encode()).decode()  # type: ignore[operator]
    for said in (text, text.rstrip("=")):
        hidden = Mask([SECRET])(said)
        assert "***" in hidden
        assert len(hidden.replace("***", "")) <= len(before) * 4 / 3 + len(after) * 4 / 3 + 7


def test_wrapped_base64_is_known() -> None:
    value = "k" * 40 + "0123456789" * 10
    hidden = Mask([value])(base64.encodebytes(value.encode()).decode())
    assert hidden.replace("***", "").strip() == ""


def test_each_line_of_a_key_is_hidden() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nabc\n-----END KEY-----\n"
    assert Mask([key])("  MIIEvQIBADANBgkq |") == "  *** |"
    assert Mask([key])(f"<{key}>") == "<***>"


def test_short_values_are_not_hidden() -> None:
    assert Mask(["abc"])("abc") == "abc"


def test_what_overlaps_is_hidden_as_one() -> None:
    assert Matcher(["abcd", "cdef", "zzzz"]).hide("-abcdef-zzzzzz-abcdabcd") == "-***-***-******"


@given(st.lists(st.text(alphabet="ab", min_size=1, max_size=5), min_size=1, max_size=4), st.text(alphabet="abc"))
def test_nothing_of_any_occurrence_is_left(patterns: list[str], text: str) -> None:
    covered = {
        place
        for pattern in patterns
        for at in range(len(text))
        if text.startswith(pattern, at)
        for place in range(at, at + len(pattern))
    }
    left = "".join(letter for place, letter in enumerate(text) if place not in covered)
    assert Matcher(patterns).hide(text).replace("***", "") == left


@settings(max_examples=400)
@given(
    st.lists(st.text(alphabet="ab\n", min_size=1, max_size=6), min_size=1, max_size=4),
    st.text(alphabet="abc\n", max_size=60),
    st.lists(st.integers(0, 60), max_size=20),
)
def test_pieces_say_what_the_whole_would(patterns: list[str], text: str, places: list[int]) -> None:
    flow = Flow(Matcher(patterns))
    said = "".join([flow.feed(piece) for piece in cut(text, places)]) + flow.finish()
    assert said == Matcher(patterns).hide(text)


@given(ANY_VALUE, st.text(max_size=20), st.text(max_size=20), st.lists(st.integers(0, 80), max_size=10))
def test_any_value_in_any_pieces(value: str, before: str, after: str, places: list[int]) -> None:
    mask = Mask([value])
    flow = Flow(mask.text)
    said = "".join([flow.feed(piece) for piece in cut(before + value + after, places)]) + flow.finish()
    if value not in before + "***" + after:
        assert value not in said
    data = mask.hide_bytes((before + value + after).encode())
    assert value in before + "***" + after or value.encode() not in data


@given(ANY_VALUE, st.binary(max_size=5), st.binary(max_size=5))
def test_any_value_in_base64(value: str, before: bytes, after: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        said = Mask([value])(encode(before + value.encode() + after).decode())
        assert "***" in said


def test_little_is_held_back() -> None:
    flow = Flow(Mask(["topsecret"]).text)
    assert flow.feed("nothing to hide\n") == "nothing to hide\n"
    assert flow.feed("a top") == "a "
    flow.cut()
    assert flow.feed("xyz") == "xyz"
